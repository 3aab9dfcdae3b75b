"""Catalogue of data sets. How to add one: ``docs/extending.md``."""

from fae.data.cifar10.config import CIFAR10Config
from fae.data.config import DataConfig
from fae.data.digits.config import DigitsConfig
from fae.data.fashion_mnist.config import FashionMNISTConfig
from fae.data.folder.config import FolderConfig
from fae.data.mnist.config import MNISTConfig
from fae.data.npz.config import NpzConfig
from fae.data.synthetic.config import SyntheticConfig
from fae.runtime.catalogue import Catalogue

DATA_SETS = Catalogue[DataConfig](
    "data",
    "fae.data",
    {
        "fashion_mnist": FashionMNISTConfig,
        "mnist": MNISTConfig,
        "cifar10": CIFAR10Config,
        "digits": DigitsConfig,
        "folder": FolderConfig,
        "npz": NpzConfig,
        "synthetic": SyntheticConfig,
    },
)
