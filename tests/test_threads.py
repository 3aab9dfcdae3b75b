"""The number of threads changes the time of a run, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fae.config import Config
from fae.job import Job
from fae.network import ACTIVATIONS
from fae.result import Result
from fae.threads import one_thread
from fae.training import train

LARGE = (
    "data.side=28",  # so that torch gives a part of each array to each thread
    "batch_size=100",
    "epochs=30",
    "optimizer=adam",
    "lr=0.05",
    "trainer.early_stopping=2",
)

Tiny = Callable[..., Config]
WithThreads = Callable[[int], None]


@pytest.mark.parametrize(
    "overrides",
    [
        ["hidden=33", "dropout=0.3"],
        ["hidden=33", "dropout=0.3", "model.output_activation=sigmoid"],
        ["hidden=50", "model.hidden_activation=silu", "model.initialisation=pca"],
        ["hidden=9", "model=deep", "model.widths=[77]", "model.inner_activation=tanh"],
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_a_run_is_the_same_in_one_two_and_three(
    tiny: Tiny, tmp_path: Path, with_threads: WithThreads, overrides: list[str]
) -> None:
    """Every metric but the times, the epoch that is tested, and what the weights make of images."""

    def outcome(threads: int) -> tuple[object, ...]:
        with_threads(threads)
        folder = tmp_path / str(threads)
        folder.mkdir()
        found: Result = train(tiny(*LARGE, *overrides), Job(f"{threads}", folder, ""))
        metrics = {key: value for key, value in found.metrics.items() if key[:5] != "time/"}
        panel = found.panel.reconstructions.tobytes()
        return found.epochs, found.tested_epoch, metrics, panel

    first = outcome(1)
    assert first == outcome(2)
    assert first == outcome(3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_and_their_gradients_are_the_same_in_any_number(
    with_threads: WithThreads, activation: str
) -> None:
    values, gradient = torch.randn(2, 999, 77, generator=torch.Generator().manual_seed(0))

    def outcome(threads: int) -> torch.Tensor:
        with_threads(threads)
        inputs = values.clone().requires_grad_()
        output = ACTIVATIONS[activation]()(inputs)
        return torch.cat([output, *torch.autograd.grad(output, inputs, gradient)]).detach()

    first = outcome(1)
    for threads in (2, 3, 5):
        assert torch.equal(first, outcome(threads))


@pytest.mark.parametrize("ours", ["sigmoid", "silu"])
def test_activations_are_those_of_torch(ours: str) -> None:
    inputs = torch.randn(50, 7, requires_grad=True)
    theirs = {"sigmoid": torch.nn.Sigmoid, "silu": torch.nn.SiLU}[ours]()
    outputs = ACTIVATIONS[ours]()(inputs), theirs(inputs)
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*(torch.autograd.grad(o.sum(), inputs) for o in outputs))


def test_one_thread_ends_with_its_block(with_threads: WithThreads) -> None:
    with_threads(3)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
