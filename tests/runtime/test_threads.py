"""The number of threads changes the time of a run, and nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fae.config import Config
from fae.models import kernels
from fae.models.dense.network import ACTIVATIONS
from fae.models.layers.linear import Linear, sum_rows
from fae.models.layers.loss import reconstruction_error
from fae.runs.job import Job
from fae.runs.provenance import hardware
from fae.runs.run import fit, open_run, train
from fae.runs.task import Known
from fae.runtime.threads import limit_threads, one_thread
from fae.tracking.archive import Archive

LARGE = (
    "data.side=28",  # so that torch gives a part of each array to each thread
    "batch_size=100",
    "epochs=30",
    "optimizer=adam",
    "lr=0.05",
    "trainer.early_stopping=2",
    "trainer.kernels=onednn",  # MKL divides some products by threads, which its tag tells
)

Tiny = Callable[..., Config]
WithThreads = Callable[[int], None]


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        ["hidden=33", "dropout=0.3"],
        ["hidden=33", "dropout=0.3", "model.output_activation=sigmoid"],
        ["hidden=50", "model.hidden_activation=silu", "model.initialisation=pca"],
        ["hidden=9", "model=deep", "model.widths=[77]", "model.inner_activation=tanh"],
        ["hidden=9", "model=tied", "data.noise=0.1"],
        ["hidden=9", "model=variational", "data.noise=0.1", "lr=0.003"],
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_a_run_is_the_same_in_one_two_and_three(
    tiny: Tiny,
    tmp_path: Path,
    with_threads: WithThreads,
    overrides: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All errors, the epoch that is tested, and the weights' bits."""
    monkeypatch.setattr("fae.runtime.threads.cores", lambda: 3)

    def outcome(number: int) -> tuple[object, ...]:
        with_threads(number)
        folder = tmp_path / str(number)
        folder.mkdir()
        config, job = tiny(*LARGE, *overrides), Job(f"{number}", folder, "")
        with open_run(config, job, Known, kind="run", subject="") as (run, _):
            assert run
            assert torch.get_num_threads() == number
            done = fit(run, config, job, resumed=False, started=0.0)
            test = done.trainer.test(done.learner, done.data, verbose=False)
            weights = torch.cat([p.detach().flatten() for p in done.learner.network.parameters()])
            return done.history.epochs, done.epoch, test, weights.detach().numpy().tobytes()

    first = outcome(1)
    assert first == outcome(2)
    assert first == outcome(3)


@pytest.mark.parametrize(
    "sizes",
    [(20_000, 16, 64), (50_000, 1, 64), (50_000, 3, 64)],
    ids=str,
)
def test_gradients_of_large_batches_are_the_same_in_any_number(
    with_threads: WithThreads, sizes: tuple[int, int, int]
) -> None:
    """PyTorch and oneDNN would divide the rows of one sum among the threads."""
    batch, hidden, pixels = sizes
    torch.manual_seed(0)
    images = torch.rand(batch, pixels)
    encoder, decoder = Linear(pixels, hidden), Linear(hidden, pixels)
    parameters = [*encoder.parameters(), *decoder.parameters()]

    def outcome(threads: int) -> torch.Tensor:
        with_threads(threads)
        with kernels.using("onednn"):
            error = reconstruction_error(encoder(images), decoder.weight, decoder.bias, images)
            gradients = torch.autograd.grad(error, parameters)
        return torch.cat([gradient.flatten() for gradient in gradients])

    first = outcome(1)
    for threads in (2, 3, 5):
        assert torch.equal(first, outcome(threads))


def test_the_sum_of_many_rows_is_the_same_in_any_number(with_threads: WithThreads) -> None:
    """Of a single column, each thread would sum a part."""
    values = torch.randn(50_000, 1, generator=torch.Generator().manual_seed(0))
    found = set()
    for threads in (1, 2, 3, 5):
        with_threads(threads)
        found.add(sum_rows(values).item())
    assert len(found) == 1


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


@pytest.mark.parametrize(("before", "cores", "after"), [(3, 2, 2), (3, 1, 1), (2, 2, 2), (1, 4, 1)])
def test_there_are_no_more_threads_than_cores_and_fewer_stay_fewer(
    with_threads: WithThreads, before: int, cores: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fae.runtime.threads.cores", lambda: cores)
    with_threads(before)
    limit_threads()
    assert torch.get_num_threads() == after


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no taskset on this system")
def test_a_run_that_may_use_one_core_is_tagged_with_one_thread(
    tiny: Tiny, tmp_path: Path, with_threads: WithThreads
) -> None:
    """Whatever ``OMP_NUM_THREADS`` says; tags are made before training begins."""
    with_threads(3)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        result = train(tiny("sweep.rerun=true"), Job("one core", tmp_path, ""))
    finally:
        os.sched_setaffinity(0, allowed)
    archive = Archive(tiny().tracking)
    assert archive.run(result.run_id).tags["fae.threads"] == "1"


def test_where_the_number_matters_a_tag_tells_it(tiny: Tiny, with_threads: WithThreads) -> None:
    """The bits of PyTorch's convolutions depend on it."""
    with_threads(3)
    onednn = "trainer.kernels=onednn"
    assert hardware(tiny("model=convolutional", onednn))["fae.kernels"].endswith(", in 3 threads")
    assert "threads" not in hardware(tiny("model=tied", onednn))["fae.kernels"]
