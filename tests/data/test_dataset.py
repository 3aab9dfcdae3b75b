"""Data sets: read as their format or their library says, verified, all classes there."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.utils import Bunch

from fae.data.digits.config import NON_TEST
from fae.data.digits.images import Digits
from fae.data.fashion_mnist.images import FashionMNIST
from fae.data.images import Images
from fae.data.synthetic.images import Synthetic
from fae.errors import DataError


def synthetic(split_seed: int = 0) -> Synthetic:
    return Synthetic(side=4, train=50, val=20, test=10, seed=split_seed)


def test_the_first_of_each_class_in_the_order_of_the_classes() -> None:
    images = Images(torch.arange(5).view(5, 1), torch.tensor([2, 0, 2, 1, 0]))
    assert images.first_of_each_class().tolist() == [1, 3, 0]


def test_pixels_become_floats_from_0_to_1() -> None:
    images = Images(torch.tensor([[0, 51, 255]], dtype=torch.uint8), torch.tensor([0]))
    assert images.as_floats().pixels.tolist() == [[0.0, pytest.approx(0.2), 1.0]]


def test_synthetic_images_have_all_classes_and_a_digest_of_their_settings() -> None:
    images = synthetic().test()
    assert images.pixels.shape == (10, 16)
    assert images.labels.unique().tolist() == list(range(10))
    assert synthetic(0).digest != synthetic(1).digest
    assert not torch.equal(synthetic(0).test().pixels, synthetic(1).test().pixels)


def test_the_real_images_are_read_as_the_idx_format_says(fashion_mnist: FashionMNIST) -> None:
    for part, images in (("train", fashion_mnist.training()), ("t10k", fashion_mnist.test())):
        expected = idx(fashion_mnist.folder / f"{part}-images-idx3-ubyte.gz")
        assert torch.equal(images.pixels, expected.flatten(1))
        labels = idx(fashion_mnist.folder / f"{part}-labels-idx1-ubyte.gz")
        assert torch.equal(images.labels, labels.long())


def idx(path: Path) -> torch.Tensor:
    """The bytes in a packed IDX file, whose header tells their type and their shape."""
    content = gzip.decompress(path.read_bytes())
    zeros, kind, dimensions = struct.unpack_from(">HBB", content)
    assert (zeros, kind) == (0, 8)
    sizes = struct.unpack_from(f">{dimensions}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    return torch.from_numpy(values.reshape(sizes).copy())


def test_the_digest_of_fashion_mnist_is_that_of_earlier_versions() -> None:
    """By which stored runs are known to have been trained on the same images."""
    assert FashionMNIST.digest == "ba2e37a64f59ed31"


def test_digits_are_scikit_learns_with_16_as_white() -> None:
    found = sklearn.datasets.load_digits()
    data_set = Digits(NON_TEST)
    data_set.verify()
    training, test = data_set.training(), data_set.test()
    assert (len(training), len(test)) == (1500, 297)
    pixels = torch.cat([training.pixels, test.pixels])
    assert torch.equal(torch.cat([training.labels, test.labels]), torch.from_numpy(found.target))
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (1797, 64))
    levels = pixels.unique().tolist()
    assert (len(levels), levels[0], levels[8], levels[16]) == (17, 0, 128, 255)
    shares = torch.from_numpy(found.data / 16)
    assert (pixels.double() / 255 - shares).abs().max() <= 0.5 / 255
    assert [data_set.classes[label] for label in test.labels[:5].tolist()] == [
        str(label) for label in found.target[1500:1505]
    ]
    assert len(test.first_of_each_class()) == 10


def test_other_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sklearn.datasets.load_digits()
    found.data[0, 10] += 1
    monkeypatch.setattr(
        "sklearn.datasets.load_digits", lambda: Bunch(data=found.data, target=found.target)
    )
    with pytest.raises(
        DataError, match=r"^data=digits: the digits of scikit-learn .* are not those"
    ):
        Digits(NON_TEST).verify()
