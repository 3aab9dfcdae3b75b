"""Which images are shown: at most ten, by their classes."""

import pytest
import torch

from fae.data.examples import examples
from fae.data.images import Images


def chosen(*labels: int) -> list[int]:
    images = Images(torch.zeros(len(labels), 4, dtype=torch.uint8), torch.tensor(labels))
    return examples(images).tolist()


def test_of_ten_classes_the_first_of_each_is_shown() -> None:
    labels = torch.arange(500).mul(7).remainder(10)
    images = Images(torch.zeros(500, 4, dtype=torch.uint8), labels)
    assert torch.equal(examples(images), images.first_of_each_class())
    assert labels[examples(images)].tolist() == [*range(10)]


def test_of_more_classes_the_first_ten_are_shown() -> None:
    assert chosen(*range(200, 0, -1)) == [199 - i for i in range(10)]


@pytest.mark.parametrize(
    ("classes", "each"), [(1, 10), (2, 5), (3, 3), (4, 2), (5, 2), (6, 1), (9, 1)]
)
def test_of_few_classes_several_of_each_are_shown(classes: int, each: int) -> None:
    labels = [i % classes for i in range(20 * classes)]
    assert chosen(*labels) == [label + classes * i for label in range(classes) for i in range(each)]


def test_no_more_are_shown_than_there_are() -> None:
    assert chosen(1, 0, 0) == [1, 2, 0]
    assert chosen(3) == [0]
