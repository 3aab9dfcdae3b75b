"""Images of a user's own files as a data set."""

from functools import cache
from pathlib import Path

import torch

from fae.data.images import Images, split_at_random
from fae.data.own.config import OwnConfig
from fae.data.own.content import Content
from fae.errors import ConfigError, DataError
from fae.runtime import process
from fae.runtime.console import warn
from fae.runtime.seeding import Stream, stream_seed


class OwnImages:
    """Images of a user's own files.

    Unless the user has set some aside, the test images are drawn at random by ``split_seed``.
    """

    def __init__(self, config: OwnConfig, content: Content) -> None:
        self._config = config
        self._content = content
        self.side = config.side
        self.digest = content.digest
        self.classes = content.classes
        self.origin = str(config.root)

    @property
    def folder(self) -> Path:
        return self._config.root

    def missing(self) -> str:
        return ""

    def verify(self) -> None:
        """Say what was left out, and check that the images are those of the settings.

        Raises:
            DataError: they are more or fewer.
        """
        content = self._content
        if process.has_begun():  # not each of the processes that a command starts
            _tell(content.remarks)
        try:
            self._config.check_sizes(len(content), content.test)
        except ConfigError as problem:
            raise DataError(str(problem)) from problem

    def training(self) -> Images:
        return self._parts()[0]

    def test(self) -> Images:
        return self._parts()[1]

    def _parts(self) -> tuple[Images, Images]:
        """The images for training and validation, and the test images."""
        content, count = self._content, self._config.test
        images = Images(torch.from_numpy(content.pixels), torch.from_numpy(content.labels))
        if content.test is not None:
            return images[: len(images) - count], images[len(images) - count :]
        seed = stream_seed(self._config.split_seed, Stream.SPLIT, 1)  # another than of the rest
        return split_at_random(images, len(images) - count, count, seed)


@cache
def _tell(remarks: tuple[str, ...]) -> None:
    for remark in remarks:
        warn(remark)
