"""Batches: split, shuffled, indexed; the test images wait for the test."""

from collections.abc import Iterable

import pytest
import torch

from fae.data.datamodule import ImageDataModule
from fae.data.images import Images
from fae.data.synthetic.config import SyntheticConfig
from fae.data.synthetic.images import Synthetic


def synthetic(split_seed: int = 0) -> Synthetic:
    return settings(split_seed).build()


def settings(split_seed: int = 0, train: int = 50) -> SyntheticConfig:
    return SyntheticConfig(
        name="synthetic", side=4, train=train, val=70 - train, test=10, split_seed=split_seed
    )


def module(
    split_seed: int = 0,
    seed: int = 0,
    batch_size: int = 16,
    train: int = 50,
    limit: int | None = None,
) -> ImageDataModule:
    data = ImageDataModule(
        synthetic(),
        settings(split_seed, train),
        batch_size=batch_size,
        seed=seed,
        limit=limit,
    )
    data.setup("fit")
    return data


def rows(pixels: torch.Tensor) -> list[tuple[float, ...]]:
    return sorted(map(tuple, pixels.tolist()))


def test_the_split_covers_the_training_file_once() -> None:
    data = module()
    whole = synthetic().training().pixels
    assert (len(data.train), len(data.val)) == (50, 20)
    assert rows(torch.cat([data.train.pixels, data.val.pixels])) == rows(whole)
    assert not torch.equal(data.train.pixels, whole[:50])


def test_the_split_depends_on_its_own_seed_alone() -> None:
    assert torch.equal(module(seed=1).train.pixels, module(seed=2).train.pixels)
    assert not torch.equal(module(split_seed=1).train.pixels, module(split_seed=2).train.pixels)


def batches_of(loader: Iterable[Iterable[torch.Tensor]]) -> list[torch.Tensor]:
    """Each batch kept: the next one overwrites its buffer."""
    return [images.clone() for handed_on in loader for images in handed_on]


def epoch(data: ImageDataModule, number: int) -> list[torch.Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    return batches_of(loader)


def test_an_epoch_holds_every_image_once_in_batches() -> None:
    data = module(batch_size=16)
    batches = epoch(data, 0)
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    assert data.steps_per_epoch == 4
    (minibatches,) = data.train_dataloader()
    assert (len(minibatches), minibatches.start) == (4, 0)
    assert minibatches.sizes == [16, 16, 16, 2]
    assert rows(torch.cat(batches)) == rows(data.train.as_floats().pixels)


def test_a_step_call_gets_up_to_fifty_batches() -> None:
    data = module(train=60, batch_size=1)
    handed_on = list(data.train_dataloader())
    assert [(len(minibatches), minibatches.start) for minibatches in handed_on] == [
        (50, 0),
        (10, 50),
    ]
    assert len(data.train_dataloader()) == 2


def test_an_epoch_can_be_cut_short() -> None:
    data = module(batch_size=16, limit=2)
    assert data.steps_per_epoch == 2
    whole = epoch(module(batch_size=16), 0)
    for ours, theirs in zip(epoch(data, 0), whole[:2], strict=True):
        assert torch.equal(ours, theirs)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = torch.cat(epoch(module(seed=1), 3))
    assert torch.equal(first, torch.cat(epoch(module(seed=1), 3)))
    assert not torch.equal(first, torch.cat(epoch(module(seed=1), 4)))
    assert not torch.equal(first, torch.cat(epoch(module(seed=2), 3)))


def test_the_order_goes_where_the_images_are() -> None:
    """A device that every machine has, and that holds no numbers."""
    data = module()
    data.train = data.train.to(torch.device("meta"))
    ((_, indexes),) = data.train_dataloader().sampler
    assert {index.device.type for index in indexes} == {"meta"}


def test_an_evaluation_runs_over_the_images_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each split in one call, in batches."""
    monkeypatch.setattr("fae.data.datamodule.EVAL_BATCH_SIZE", 30)
    data = module()
    train, val = (batches_of(loader) for loader in data.val_dataloader())
    assert [len(images) for images in train] == [30, 20]
    assert torch.equal(torch.cat(train), data.train.as_floats().pixels)
    assert torch.equal(torch.cat(val), data.val.as_floats().pixels)
    assert [len(loader) for loader in data.val_dataloader()] == [1, 1]
    (cut_short, _) = module(limit=1).val_dataloader()
    assert [len(images) for images in batches_of(cut_short)] == [30]


def test_test_images_are_read_when_testing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    data_set = synthetic()
    images = data_set.test()

    def test() -> Images:
        read.append("test")
        return images

    monkeypatch.setattr(data_set, "test", test)
    data = ImageDataModule(data_set, settings(), batch_size=16, seed=0)
    data.setup("fit")
    list(data.train_dataloader())
    assert read == []
    data.setup("test")
    assert read == ["test"]
    assert torch.equal(torch.cat(batches_of(data.test_dataloader())), images.as_floats().pixels)
