"""What a GPU would do, as far as that shows without one.

A tensor on torch's device ``meta``, or a fake one on CUDA, has a type, a shape and a device, but no
values. Whatever asks for a value, for which a GPU would have to be waited for, is an error, and so
is what combines tensors of two devices.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from conftest import NEEDS_GPU
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from fae.config import Config
from fae.data.datamodule import BATCHES_PER_STEP_CALL, BatchChunk, EvalBatches, ShuffledBatches
from fae.data.images import Images
from fae.models.layers.loss import mean_square
from fae.models.network import Network
from fae.runs.build import build, build_network
from fae.runtime.seeding import Stream, seed_torch, stream_seed
from fae.training.evaluation import Evaluation
from fae.training.learner import Learner
from fae.training.trainer import build_trainer

Tiny = Callable[..., Config]
NETWORKS: tuple[list[str], ...] = (
    [],
    ["model.output_activation=sigmoid", "model.hidden_activation=silu"],
    ["model=deep", "model.widths=[16]"],
)


@pytest.fixture(params=NETWORKS, ids=" ".join)
def config(request: pytest.FixtureRequest, tiny: Tiny) -> Config:
    return tiny("dropout=0.3", "batch_size=20", *request.param)


def chunk_on(device: torch.device, config: Config) -> BatchChunk:
    """The first batches of an epoch."""
    data, _ = build(config, config.data.build())
    data.setup("fit")
    data.train = data.train.to(device)
    chunk: BatchChunk = next(iter(data.train_dataloader()))
    return chunk


def test_steps_do_not_wait_for_a_value(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """All losses of a call of ``training_step`` are looked at once, at its end."""
    meta = torch.device("meta")
    _, learner = build(config, config.data.build())
    learner.to(meta)
    optimizer = torch.optim.SGD(learner.parameters(), config.lr)
    learner.trainer = MagicMock(current_epoch=0)
    monkeypatch.setattr(learner, "optimizers", lambda **_: optimizer)
    monkeypatch.setattr(learner, "lr_schedulers", lambda: None)
    looked_at: list[Tensor] = []
    monkeypatch.setattr(learner, "_log_losses", lambda losses, _: looked_at.append(losses))
    learner.training_step(chunk_on(meta, config), 0)
    (losses,) = looked_at
    assert (losses.device, losses.shape) == (meta, (BATCHES_PER_STEP_CALL,))


@NEEDS_GPU
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_steps_do_not_wait_for_the_gpu(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what torch itself notices."""
    step, log_losses = Learner.training_step, Learner._log_losses

    def watched(learner: Learner, chunk: BatchChunk, batch_idx: int) -> None:
        torch.cuda.set_sync_debug_mode("error")
        step(learner, chunk, batch_idx)

    def unwatched(learner: Learner, losses: Tensor, chunk: BatchChunk) -> None:
        torch.cuda.set_sync_debug_mode("default")
        log_losses(learner, losses, chunk)

    monkeypatch.setattr(Learner, "training_step", watched)
    monkeypatch.setattr(Learner, "_log_losses", unwatched)
    config = tiny("trainer.accelerator=gpu", "dropout=0.3", "optimizer.schedule=cosine")
    data, learner = build(config, config.data.build())
    trainer = build_trainer(config.trainer, epochs=2, folder=tmp_path, callbacks=[])
    try:
        trainer.fit(learner, data)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.current_epoch == 2


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Within the test all tensors are fake, as if there were a GPU."""
    with FakeTensorMode():
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
        yield torch.device("cuda")


def network_on(device: torch.device, config: Config) -> Network:
    with device:
        return build_network(config)


@pytest.mark.parametrize("bfloat16", [False, True], ids=["single precision", "bfloat16"])
def test_errors_are_computed_on_the_device(
    config: Config, cuda: torch.device, bfloat16: bool
) -> None:
    network, evaluation = network_on(cuda, config), Evaluation()
    pixels = torch.empty(2500, config.data.pixels, dtype=torch.uint8, device=cuda)
    [(start, indexes)] = ShuffledBatches(len(pixels), 500, seed=0, steps=5, device=cuda)
    with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16, cache_enabled=False):
        error = sum(network.error(images) for images in BatchChunk(pixels, indexes, start))
        with torch.inference_mode():
            for batch in EvalBatches(Images(pixels, pixels[:, 0])):
                evaluation.update(network.eval().residuals(batch))
    assert isinstance(error, Tensor)
    for value in (error, *evaluation._values["mse"]):
        assert (value.device.type, value.dtype) == ("cuda", torch.float64)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_the_optimizer_is_fused_and_does_not_wait(
    tiny: Tiny, cuda: torch.device, schedule: str
) -> None:
    """torch cannot fake SGD, which keeps no numbers but its momentum."""
    config = tiny("optimizer=adam", f"optimizer.schedule={schedule}")
    network = network_on(cuda, config)
    optimizer = config.optimizer.build(network.parameters(), config.lr)
    scheduler = config.optimizer.build_schedule(optimizer, config.lr, 3)
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter)
    for _ in range(3):
        optimizer.step()
        if scheduler:
            scheduler.step()
    kept = [value for state in optimizer.state.values() for value in state.values()]
    assert {value.device.type for value in kept} == {"cuda"}
    assert optimizer.defaults["fused"]


def test_generators_of_all_gpus_are_seeded_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """``random_`` on a tensor of a GPU draws from the generator of that GPU."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    for step in range(2):
        seed_torch(stream_seed(7, Stream.DROPOUT, 3, step))
    assert seeds == [stream_seed(7, Stream.DROPOUT, 3, step) for step in range(2)]


class Operators(TorchDispatchMode):
    """Notes the operators that are called within the block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.add(operator.overloadpacket.__name__)
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize(("device", "used"), [("cpu", "cumsum"), ("meta", "sum")])
def test_squares_are_added_by_what_gives_the_same_bits_each_time(device: str, used: str) -> None:
    """On CUDA the bits of ``cumsum`` vary; on a CPU those of ``sum``, with the threads."""
    with Operators() as called:
        mean_square(torch.empty(20, 64, device=device))
    assert called.names & {"sum", "cumsum"} == {used}
