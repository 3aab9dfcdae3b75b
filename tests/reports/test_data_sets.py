"""Every data set, from training to a report: grey or colour, whatever its size and its classes."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import published
import pytest
from conftest import NO_LOCAL
from mlflow import MlflowClient
from numpy.typing import NDArray
from PIL import Image

from fae.cli.compose import compose
from fae.data import incremental_pca
from fae.data.catalogue import DATA_SETS
from fae.data.cifar10.files import ARCHIVE
from fae.data.cifar10.files import files as cifar10_files
from fae.data.fashion_mnist.files import files as fashion_mnist_files
from fae.data.mnist.files import files as mnist_files
from fae.data.published import PublishedFiles
from fae.reports.config import DataRoot, ReportConfig
from fae.reports.table import INCREMENTAL
from fae.reports.write import make_report
from fae.runs.job import Job
from fae.runs.run import train

SPLIT = ("data.train=15", "data.val=5", "batch_size=5")


@dataclasses.dataclass(frozen=True)
class Case:
    """A data set with few images.

    Attributes:
        overrides: that choose it.
        described: how a report describes its images.
        files, contents: if its files are published ones.
        make: writes images of one's own into a folder, and returns the ``data.root``.
    """

    overrides: tuple[str, ...]
    described: str
    files: PublishedFiles | None = None
    contents: Callable[[], Mapping[str, bytes]] = dict
    make: Callable[[Path], Path] | None = None

    @property
    def in_colour(self) -> bool:
        return self.described.endswith("in colour")


def of_mnist() -> Mapping[str, bytes]:
    return published.mnist(20, 10)


def of_cifar10() -> Mapping[str, bytes]:
    return {ARCHIVE: published.small_cifar10(4, 10)}


def a_folder(place: Path) -> Path:
    (place / "photos").mkdir()
    for number, pixels in enumerate(_pixels()):
        Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
    return place / "photos"


def an_archive(place: Path) -> Path:
    np.savez(place / "mine.npz", images=_pixels())
    return place / "mine.npz"


def _pixels() -> NDArray[np.uint8]:
    """Images in colour, (images, height, width, channels)."""
    return np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), np.uint8)


OWN = "32 training, 4 validation and 4 test images of 8 x 8 pixels in colour"
SIZES = "15 training, 5 validation and 10 test images of "
CASES = {
    "digits": Case(("batch_size=100",), "297 test images of 8 x 8 pixels"),
    "synthetic": Case(("data.side=5",), "500 test images of 5 x 5 pixels"),
    "fashion_mnist": Case(SPLIT, f"{SIZES}28 x 28 pixels", fashion_mnist_files, of_mnist),
    "mnist": Case(SPLIT, f"{SIZES}28 x 28 pixels", mnist_files, of_mnist),
    "cifar10": Case(SPLIT, f"{SIZES}32 x 32 pixels in colour", cifar10_files, of_cifar10),
    "cifar10 in grey": Case(
        (*SPLIT, "data.grey=true"), f"{SIZES}32 x 32 pixels", cifar10_files, of_cifar10
    ),
    "folder": Case(("data.side=8", "data.colour=true", "batch_size=5"), OWN, make=a_folder),
    "npz": Case(("batch_size=5",), OWN, make=an_archive),
}


def test_every_data_set_is_tried() -> None:
    assert {name.partition(" ")[0] for name in CASES} == {*DATA_SETS.own}


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("name", CASES)
def test_a_network_is_trained_and_reported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PCA of colours as of many pixels."""
    case, uri = CASES[name], f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(incremental_pca, "EXACT", 2000)
    chosen = [f"data={name.partition(' ')[0]}", *case.overrides]
    if case.files:
        published.offered(case.files, case.contents(), 20, monkeypatch)
        published.write(case.files.folder(tmp_path), case.contents())
        chosen.append(f"data.root={tmp_path}")
    root = case.make(tmp_path) if case.make else tmp_path
    if case.make:
        chosen.append(f"data.root={root}")
    where = f"tracking.uri='{uri}'"
    config = compose(NO_LOCAL, "experiment=smoke", where, "hidden=4", "epochs=1", *chosen)
    (tmp_path / "run").mkdir()
    result = train(config, Job("hidden=4", tmp_path / "run", ""))
    report = make_report(
        ReportConfig(
            sweep=(),
            where="hidden=4",
            out=tmp_path / "report",
            data=DataRoot(root=root),
            tracking=config.tracking,
            report=config.report,
        )
    )
    assert not report.problems
    page = (tmp_path / "report/report.html").read_text()
    assert case.described in page
    assert (INCREMENTAL in page) == (name == "cifar10")
    assert ("over the three colours" in page) == case.in_colour
    figures = {"reconstructions.png", "extremes.png", "hidden_units.png"}
    assert figures <= {*os.listdir(tmp_path / "report/figures")}
    stored = MlflowClient(uri).list_artifacts(result.run_id, "figures")
    assert "figures/reconstructions.png" in {artifact.path for artifact in stored}
    drawn = np.asarray(Image.open(tmp_path / "report/figures/reconstructions.png").convert("RGB"))
    assert (drawn == drawn[..., :1]).all() != case.in_colour
