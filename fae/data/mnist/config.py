"""Settings of MNIST."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, model_validator
from pydantic.dataclasses import dataclass

from fae.data.config import DataConfig
from fae.data.mnist.files import files
from fae.runtime.fields import STRICT, OwnFolder

if TYPE_CHECKING:
    from fae.data.mnist.images import MNIST


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MNISTConfig(DataConfig):
    """The 70,000 images of MNIST: 60,000 to train and validate on, 10,000 to test on."""

    name: Literal["mnist"]
    root: Annotated[OwnFolder, BeforeValidator(files.root_if_unset)]
    """Folder that holds the four files in ``MNIST/raw``, packed (``.gz``) or not; missing files are
    downloaded into it. null: the first of ``data``, ``../data`` and ``../shared/data`` that holds
    all files, or else a folder in the user's cache."""

    @property
    def title(self) -> str:
        return files.title

    @property
    def pixels(self) -> int:
        return 784

    def build(self) -> "MNIST":
        from fae.data.mnist.images import MNIST

        return MNIST(self.root)

    @model_validator(mode="after")
    def _splits_the_training_file(self) -> "MNISTConfig":
        self.check_split(files.training_images, "images of the training file")
        return self
