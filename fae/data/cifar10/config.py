"""Settings of CIFAR-10."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, model_validator
from pydantic.dataclasses import dataclass

from fae.data.cifar10.files import files
from fae.data.config import DataConfig
from fae.runtime.fields import STRICT, OwnFolder, Switch

if TYPE_CHECKING:
    from fae.data.cifar10.images import CIFAR10


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CIFAR10Config(DataConfig):
    """The 60,000 images of CIFAR-10: 50,000 to train and validate on, 10,000 to test on."""

    name: Literal["cifar10"]
    root: Annotated[OwnFolder, BeforeValidator(files.root_if_unset)]
    """Folder that holds ``cifar-10-python.tar.gz``, which is downloaded into it if it is missing.
    null: the first of ``data``, ``../data`` and ``../shared/data`` that holds it, or else a folder
    in the user's cache."""
    grey: Switch
    """Convert the colour images to grey, by the luma of ITU-R BT.601."""

    @property
    def title(self) -> str:
        return f"{files.title} in grey" if self.grey else files.title

    @property
    def pixels(self) -> int:
        return 1024 if self.grey else 3 * 1024

    def build(self) -> "CIFAR10":
        from fae.data.cifar10.images import CIFAR10

        return CIFAR10(self.root, grey=self.grey)

    @model_validator(mode="after")
    def _splits_the_training_batches(self) -> "CIFAR10Config":
        self.check_split(files.training_images, "images of the training batches")
        return self
