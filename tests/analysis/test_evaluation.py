"""Errors of a network on images, beside formulas of their own, and the table of them."""

import csv
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import forking
import numpy as np
import pytest
import torch
from conftest import NO_LOCAL, OF_TRAINED, environment
from numpy.typing import NDArray
from torch import Tensor

from fae.analysis import splits
from fae.analysis.error_table import notes, records, terminal
from fae.analysis.evaluation import (
    EVERY,
    ErrorRow,
    by_class,
    differs,
    errors_of,
    evaluate,
    psnr,
    seen_less,
    ssim,
)
from fae.cli.compose import compose
from fae.config import Config
from fae.data.images import Images
from fae.errors import ConfigError, DataError
from fae.models.network import Network
from fae.runs.stored import TrainedRun
from fae.runtime.formatting import format_error
from fae.runtime.intervals import estimate

Command = Callable[..., "tuple[int, str, str]"]


class Darker(Network):
    """Reconstructs images as darker ones."""

    def forward(self, images: Tensor) -> Tensor:
        return images * 0.5


@pytest.fixture
def command(tmp_path: Path, store_uri: str) -> Command:
    """Runs ``fae.evaluate`` in the test's folder: its exit code, and what it says."""

    def run(*arguments: str) -> "tuple[int, str, str]":
        words = [*arguments, f"tracking.experiment={OF_TRAINED}", NO_LOCAL]
        line = [sys.executable, "-m", "fae.evaluate", *words]
        done = forking.run(line, cwd=tmp_path, env=environment(store_uri), timeout=300)
        return done.returncode, done.stdout, done.stderr

    return run


def ssim_by_definition(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Equation 13 of Wang et al. (2004) at each place where the window lies in the image."""
    line = np.exp(-np.square(np.arange(-5, 6) / 1.5) / 2)
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    found = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (image[top : top + 11, left : left + 11] for image in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
            found.append(likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [11, 20])
def test_ssim_is_the_published_one(channels: int, side: int) -> None:
    chance = np.random.default_rng(0)
    originals = chance.random((3, channels, side, side))
    outputs = originals + chance.normal(0, 0.2, originals.shape)
    outputs[1] = originals[1]
    found = ssim(torch.from_numpy(outputs).float(), torch.from_numpy(originals).float())
    for image, value in enumerate(found.tolist()):
        pairs = zip(outputs[image], originals[image], strict=True)
        wanted = np.mean([ssim_by_definition(a, b) for a, b in pairs])
        assert value == pytest.approx(wanted, abs=1e-5)
    assert found[1].item() == pytest.approx(1, abs=1e-6)


def test_psnr_follows_from_the_mse_of_each_image() -> None:
    originals = torch.zeros(3, 4)
    outputs = torch.tensor([[0.1] * 4, [0.2, 0, 0, 0], [0.0] * 4])
    found = psnr(outputs, originals).tolist()
    assert found[:2] == pytest.approx([20.0, -10 * math.log10(0.01)], abs=1e-4)
    assert found[2] == math.inf


@pytest.mark.parametrize(("side", "names"), [(10, ["mse", "psnr"]), (11, ["mse", "psnr", "ssim"])])
def test_each_image_has_its_errors(side: int, names: list[str]) -> None:
    levels = torch.tensor([51, 102, 204], dtype=torch.uint8)
    images = Images(levels[:, None].repeat(1, side**2), torch.zeros(3, dtype=torch.int64))
    errors = errors_of(Darker(), images)
    assert list(errors) == names
    assert errors["mse"].tolist() == pytest.approx([0.01, 0.04, 0.16], rel=1e-5)
    assert errors["psnr"].tolist() == pytest.approx([20, 13.9794, 7.9588], rel=1e-5)


def test_images_are_counted_together_and_by_class() -> None:
    errors = {"mse": np.array([0.1, 0.2, 0.3, 0.6])}
    labels = torch.tensor([2, 0, 2, 2])
    rows = [*by_class("val", errors, labels, ["cat", "dog", "tree"], fitted=False)]
    assert rows == [
        ErrorRow("val", EVERY, 4, {"mse": estimate([0.1, 0.2, 0.3, 0.6])}),
        ErrorRow("val", "cat", 1, {"mse": estimate([0.2])}),
        ErrorRow("val", "tree", 3, {"mse": estimate([0.1, 0.3, 0.6])}),
    ]
    rows = [*by_class("val", errors, labels, ["cat", "dog", EVERY], fitted=False)]
    assert [row.shows for row in rows] == [EVERY, "cat", "class all"]
    (alone,) = by_class("test", errors, torch.zeros(4, dtype=torch.int64), ["image"], fitted=False)
    assert alone.shows == EVERY


def test_a_mean_that_is_infinite_has_no_interval() -> None:
    errors = {"psnr": np.array([np.inf, 20.0, 30.0])}
    (row,) = by_class("val", errors, torch.zeros(3, dtype=torch.int64), ["image"], fitted=False)
    assert (row.means["psnr"].mean, row.means["psnr"].low) == (np.inf, None)


def test_images_that_were_trained_on_have_no_interval() -> None:
    errors = {"mse": np.array([0.1, 0.2])}
    rows = [*by_class("train", errors, torch.tensor([0, 1]), ["a", "b"], fitted=True)]
    assert [row.means["mse"].half for row in rows] == [None] * 3
    assert rows[0].means["mse"].mean == pytest.approx(0.15)


def test_the_errors_on_the_own_images_are_those_that_the_run_stored(trained: TrainedRun) -> None:
    source = splits.own(trained, None)
    rows = evaluate(trained.network, source, ["train", "val", "test"])
    (last,) = trained.epochs
    stored = {**last, "test/mse": trained.test_mse}
    for split in ("train", "val", "test"):
        (row,) = (row for row in rows if (row.split, row.shows) == (split, EVERY))
        mean = row.means["mse"].mean
        assert mean == pytest.approx(stored[f"{split}/mse"], rel=1e-6)
        assert format_error(mean) == format_error(stored[f"{split}/mse"])
        assert (row.means["mse"].half is None) == (split == "train")
        classes = [r for r in rows if r.split == split and r.shows != EVERY]
        assert sum(r.n for r in classes) == row.n
        assert sum(r.n * r.means["mse"].mean for r in classes) / row.n == pytest.approx(mean)
    assert differs(trained, rows) == ""


def test_that_a_run_saw_a_part_of_the_images_is_told_beside_all_of_them(
    trained: TrainedRun,
) -> None:
    limited = replace(trained)
    trainer = replace(trained.config.trainer, limit_batches=3)
    vars(limited)["config"] = replace(trained.config, trainer=trainer)
    rows = {split: [ErrorRow(split, EVERY, 1, {})] for split in ("train", "val", "test")}
    assert seen_less(limited, rows["train"]).startswith("the run was trained and validated on 3 ba")
    assert seen_less(limited, [*rows["test"], *rows["val"]]) != ""
    assert seen_less(limited, rows["test"]) == ""
    assert seen_less(trained, rows["train"]) == ""


def test_an_error_that_the_run_did_not_store_is_told(trained: TrainedRun) -> None:
    other = TrainedRun(**{**vars(trained), "metrics": {"test/mse": 0.5}})
    found = differs(other, [ErrorRow("test", EVERY, 2, {"mse": estimate([0.1, 0.2])})])
    assert found == (
        "the run stored test/mse 0.5000, measured with precision 32-true on all batches of its "
        "test images"
    )


def test_own_images_must_be_those_of_the_run(trained: TrainedRun) -> None:
    other = TrainedRun(**{**vars(trained), "tags": {"fae.data_digest": "0123"}})
    with pytest.raises(DataError, match=r"are not those of the run \(digest '0123'\)"):
        splits.own(other, None)


def test_the_own_images_by_name_are_split_as_the_run_did(trained: TrainedRun) -> None:
    """Another split would have images that the network was trained on among its others."""
    digits: Config = compose(NO_LOCAL, "data=digits", "batch_size=1")
    tags = {"fae.data_digest": digits.data.build().digest}
    run = TrainedRun(**{**vars(trained), "tags": tags})
    vars(run)["config"] = digits
    source = splits.other(run, replace(digits.data, split_seed=7))
    assert (source.is_own, source.config) == (True, digits.data)


def test_images_of_another_size_are_refused(trained: TrainedRun, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((30, 9, 9, 3), np.uint8))
    own: Config = compose(NO_LOCAL, "data=npz", f"data.root='{tmp_path}/a.npz'", "batch_size=1")
    side = math.isqrt(trained.config.data.pixels)
    problem = f"its images have 9 x 9 pixels in colour; the network takes {side} x {side} pixels"
    with pytest.raises(ConfigError, match=problem):
        splits.other(trained, own.data)


def test_the_table_has_as_many_digits_as_the_intervals_have_sense() -> None:
    errors = {"mse": [0.01, 0.03], "psnr": [20.0, 15.0], "ssim": [0.5, 0.7]}
    rows = [
        ErrorRow("test", EVERY, 2, {name: estimate(values) for name, values in errors.items()}),
        ErrorRow("test", "cat", 1, {name: estimate(values[:1]) for name, values in errors.items()}),
    ]
    assert terminal(rows) == {
        "images": ["test", "  cat"],
        "n": ["2", "1"],
        "MSE": ["0.0200 ± 0.1271", "0.0100"],
        "PSNR, dB": ["17.50 ± 31.77", "20.00"],
        "SSIM": ["0.6000 ± 1.2706", "0.5000"],
    }
    first, second = records(rows)
    assert list(first)[:6] == ["images", "class", "n", "mse", "mse_low", "mse_high"]
    assert first["mse_high"] == pytest.approx(0.02 + 0.1270620)
    assert (second["class"], second["mse"], second["mse_low"]) == ("cat", 0.01, None)
    assert [note.partition(":")[0] for note in notes(rows)[:3]] == ["MSE", "PSNR", "SSIM"]


def test_the_command_prints_and_writes_the_table(
    command: Command, trained: TrainedRun, tmp_path: Path
) -> None:
    code, said, told = command("latest", "val", "test", "--out", "errors.csv")
    assert (code, told) == (0, "")
    lines = said.splitlines()
    assert lines[0] == f"network  {trained.name} ({trained.id[:8]})"
    (test,) = (line for line in lines if line.startswith(" test "))
    assert test.split()[2] == format_error(trained.test_mse)
    assert lines[-1] == f"table    {tmp_path}/errors.csv"
    with (tmp_path / "errors.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert {row["images"] for row in rows} == {"val", "test"}
    (row,) = (r for r in rows if (r["images"], r["class"]) == ("test", EVERY))
    assert float(row["mse"]) == pytest.approx(trained.test_mse, rel=1e-6)


def test_a_few_images_of_ones_own_are_another_data_set(
    command: Command, trained: TrainedRun, tmp_path: Path
) -> None:
    side = math.isqrt(trained.config.data.pixels)
    np.savez(tmp_path / "mine.npz", images=np.full((6, side, side), 99, np.uint8))
    code, said, told = command(trained.id, "train", "data=npz", "data.root=mine.npz")
    assert (code, told) == (0, "")
    (row,) = (line for line in said.splitlines() if line.startswith(" train "))
    assert row.split()[1] == "4"
    assert "±" in row  # it was not trained on these


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["latest", "tset"], "tset: no such images; choose from train, val, test"),
        (["zz"], "RUN=zz: no runs have ids that begin so"),
        (["latest", "--out", "nowhere/a.csv"], "--out nowhere/a.csv: there is no folder "),
        (["latest", "--out", ""], "--out: is empty"),
        (["latest", "--out", "/proc/a.csv"], "--out /proc/a.csv: cannot be written ("),
        (["latest", "--out", "."], "--out .: is there already; name another file, or delete it"),
        (["latest", "lr=0.5"], "lr=0.5: a stored run has its own settings; only data,"),
        (["latest", "data=mnits"], "data=mnits: unknown; did you mean mnist?"),
        (["latest", "--split", "val"], "unrecognized arguments: --split"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], problem: str, command: Command, trained: TrainedRun
) -> None:
    assert trained
    code, said, told = command(*arguments)
    assert (code, said) == (2, "")
    assert told.startswith(f"fae: {problem}")
    assert len(told.splitlines()) == 1
