"""From stored runs to a folder with a report; reads the store, trains nothing."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from platformdirs import user_cache_path

from fae.config import DataConfig, FashionMNISTConfig, ReportRequest
from fae.data.baseline import pca_errors
from fae.data.dataset import Images, Source, build_source
from fae.drawing import chart as charts, figures
from fae.drawing.chart import Chart
from fae.drawing.pictures import Gallery, extremes
from fae.errors import ConfigError, StoreError
from fae.reports import table
from fae.reports.page import page
from fae.reports.selection import Record, Selection, select
from fae.reports.summary import Summary, summarise
from fae.runs.result import Panel
from fae.runs.trained import parameters, trained_network
from fae.runtime import files
from fae.runtime.signals import held, released
from fae.tracking.archive import Archive, StoredRun
from fae.training.metrics import mse_per_image

PICTURED = 6
"""Settings whose networks are pictured; of more, those with the lowest validation error."""

LONGEST_NOTE = 8000
"""Characters that MLflow keeps of a run's description."""

CONTENTS = re.compile(
    r"report\.html|summary\.json|table\.(md|csv|tex)|figures(/[a-z_]+\.(png|svg))?"
)
"""A folder that holds nothing else may be replaced by a report."""


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        folder: where it lies; None where it cannot be written.
        summary: its numbers.
        compare: address in the MLflow UI that compares its runs.
        problems: a sentence about each thing that could not be done.
    """

    folder: Path | None
    summary: Summary
    compare: str
    problems: Sequence[str] = ()


def make_report(request: ReportRequest) -> Report:
    """Select runs, work out their numbers, draw them, and write all of it.

    Where the runs are those of one sweep, its run in the store gets the same files. A store or a
    folder that can only be read is no failure.

    Raises:
        ConfigError: no such runs, or ``out`` is somebody else's folder, or cannot be written.
        DataError: the data set is not at hand.
        StoreError: the store cannot be read, or none of the finished runs in it.
    """
    archive = Archive(request.tracking)
    selection = select(archive, request.sweep, request.where)
    folder = (request.out or Path("reports", _folder_name(selection.name))).resolve()
    _check_replaceable(folder)
    if not selection.records:
        reasons = "; ".join(sorted({apart.reason for apart in selection.apart}))
        finished = any(apart.run.status == "FINISHED" for apart in selection.apart)
        kind = StoreError if finished else ConfigError
        raise kind(f"{selection.name}: none of its runs counts ({reasons})")
    data = DataSets(request.data.root)
    summary = summary_of(selection, archive, data, request.report.tolerance)
    drawn = [
        charts.of_records(selection.settings()),
        charts.errors_by_size(summary, data.pca(selection.records[0])),
        charts.times_by_size(summary),
    ]
    galleries = [
        _gallery(archive, data, title, records[0])
        for title, records in _pictured(selection).items()
    ]
    texts = {
        "report.html": page(summary, drawn, galleries),
        "table.md": table.markdown(summary),
        "table.csv": table.comma_separated(summary),
        "table.tex": table.latex(summary),
        "summary.json": json.dumps(asdict(summary), indent=2, allow_nan=False) + "\n",
    }
    compare = archive.address([record.run for record in selection.records])
    try:
        _write(folder, texts, _figures(drawn, galleries))
    except OSError as error:
        problem = f"{folder}: cannot be written ({error.strerror or error})"
        if request.out:
            raise ConfigError(f"out={problem}; name another folder") from error
        return Report(None, summary, compare, [f"{problem}; out=FOLDER names another place"])
    try:
        if selection.sweep:
            archive.add_report(selection.sweep, folder, _note(summary))
    except StoreError as error:
        return Report(folder, summary, compare, [str(error)])
    return Report(folder, summary, compare)


def _note(summary: Summary) -> str:
    """What the page of the sweep's run shows."""
    note = table.markdown(summary)
    if len(note) > LONGEST_NOTE:
        return f"The table of {len(summary.rows)} settings is among the artifacts, in report/."
    return note


class DataSets:
    """The images that records were trained on, read once each.

    Raises:
        DataError: they are not at hand.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cache = user_cache_path("fae")
        self._source = cache(self._verified)
        self._errors = cache(self._pca)
        self._images = cache(self._test)

    def pca(self, record: Record) -> NDArray[np.float64]:
        """Test errors of PCA by the number of components, (1 + components,)."""
        return self._errors(self._config(record))

    def test(self, record: Record) -> tuple[Source, Images]:
        """Where the images are from, and the test images, pixels in [0, 1]."""
        return self._images(self._config(record))

    def _config(self, record: Record) -> DataConfig:
        config = record.config.data
        if isinstance(config, FashionMNISTConfig):
            config = replace(config, root=self._root)
        return config

    def _verified(self, config: DataConfig) -> Source:
        source = build_source(config)
        source.verify()
        return source

    def _pca(self, config: DataConfig) -> NDArray[np.float64]:
        return pca_errors(self._source(config), config, self._cache)

    def _test(self, config: DataConfig) -> tuple[Source, Images]:
        source = self._source(config)
        return source, source.test().as_floats()


def summary_of(selection: Selection, archive: Archive, data: DataSets, tolerance: float) -> Summary:
    """The numbers of selected runs.

    Args:
        archive: has the runs.
        tolerance: of the verdict, a share.

    Raises:
        DataError: the data set is not at hand.
        StoreError: an artifact cannot be read.
    """
    return summarise(
        selection,
        tolerance=tolerance,
        beside=_beside(archive, selection),
        pca=data.pca,
        parameters=lambda record: parameters(record.config),
    )


def _beside(archive: Archive, selection: Selection) -> list[StoredRun]:
    """The runs that may have been going on beside those of the selection."""
    runs = [record.run for record in selection.records]
    return archive.runs_during(
        min(run.started for run in runs), max(run.ended or run.started for run in runs)
    )


def _pictured(selection: Selection) -> dict[str, list[Record]]:
    """Settings on the first one's data; of too many, those with the lowest validation error."""
    settings = selection.settings()
    data = next(iter(settings.values()))[0].config.data
    alike = {title: runs for title, runs in settings.items() if runs[0].config.data == data}
    best = sorted(alike, key=lambda title: alike[title][0].tested["val/mse"])[:PICTURED]
    return {title: runs for title, runs in alike.items() if title in best}


@torch.inference_mode()
def _gallery(archive: Archive, data: DataSets, title: str, record: Record) -> Gallery:
    source, images = data.test(record)
    network = trained_network(archive, record.run, record.config)
    outputs = network(images.pixels)
    errors = mse_per_image(outputs, images.pixels)
    shows = [source.classes[label] for label in images.labels.tolist()]
    firsts = images.first_of_each_class()
    first, weights = next(iter(network.state_dict().items()))
    longest = weights.norm(dim=1).argsort(descending=True, stable=True)
    dead = record.run.metrics.get("hidden/dead") if first == "encoder.weight" else None
    return Gallery(
        title,
        record.seed,
        Panel(
            images.pixels[firsts].numpy(),
            outputs[firsts].numpy(),
            errors[firsts].numpy(),
            [shows[i] for i in firsts.tolist()],
        ),
        extremes(images.pixels.numpy(), outputs.numpy(), errors.numpy(), shows),
        weights[longest].numpy(),
        None if dead is None else int(dead),
    )


def _figures(drawn: Sequence[Chart], galleries: Sequence[Gallery]) -> dict[str, Figure]:
    panels = {gallery.title: gallery.panel for gallery in galleries}
    return {
        **{chart.name: figures.draw(chart) for chart in drawn},
        "curves_logarithmic": figures.draw(replace(drawn[0], log_y=True)),
        "reconstructions": figures.reconstructions(panels),
        "extremes": figures.extremes(galleries),
        "hidden_units": figures.hidden_units(galleries),
    }


def _folder_name(name: str) -> str:
    """A name as one that every file system takes, in at most 150 bytes."""
    kept = re.sub(r"[^\w.,=+-]+", "_", name).strip("._")
    return kept.encode()[:150].decode(errors="ignore") or "report"


def _check_replaceable(folder: Path) -> None:
    other = _first_other(folder)
    if other or (folder.exists() and not folder.is_dir()):
        shown = f", as {other}" if other else ""
        raise ConfigError(
            f"out={folder}: would be replaced, and is not a report or holds more{shown}; "
            "name another folder"
        )


def _first_other(folder: Path) -> str | None:
    """Something in a folder that is no part of a report; the rest is not listed."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return next((name for name in names if not CONTENTS.fullmatch(name)), None)


def _write(folder: Path, texts: Mapping[str, str], drawn: Mapping[str, Figure]) -> None:
    """Write all files beside the folder, and put them in its place together.

    Raises:
        OSError: they cannot be written; the folder is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    with (
        held(),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".report-") as scratch,
        files.locked(Path(scratch)),
    ):
        fresh = Path(scratch, "new")
        with released():
            _write_files(fresh, texts, drawn)
            files.sync_tree(fresh, Path(scratch))
        if folder.exists():
            files.exchange(fresh, folder)
        else:
            os.replace(fresh, folder)
        files.sync(folder.parent)


def _remove_abandoned(parent: Path) -> None:
    """Remove what processes have left that were killed while they wrote a report."""
    for scratch in parent.glob(".report-*"):
        fresh = scratch / "new"  # made under the lock
        with suppress(OSError):
            if [*scratch.iterdir()] == [fresh] and not _first_other(fresh):
                with files.locked(scratch):
                    shutil.rmtree(scratch)


def _write_files(folder: Path, texts: Mapping[str, str], drawn: Mapping[str, Figure]) -> None:
    (folder / "figures").mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    with matplotlib.rc_context({"svg.hashsalt": "fae"}):  # the same bytes each time
        for name, figure in drawn.items():
            figure.savefig(folder / "figures" / f"{name}.png", dpi=130)
            figure.set_layout_engine("none")  # it is laid out by now, which takes long
            figure.savefig(folder / "figures" / f"{name}.svg", metadata={"Date": None})
