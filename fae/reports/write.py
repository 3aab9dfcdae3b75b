"""From stored runs to a folder with a report; reads the store, trains no network."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from fae.data.components import linear_errors, pca_reconstructions
from fae.data.config import DataConfig
from fae.data.images import DataSet
from fae.drawing import figures
from fae.drawing.chart import Chart
from fae.errors import ConfigError, StoreError
from fae.reports import catalogue, folder, table
from fae.reports.catalogue import Content
from fae.reports.config import ReportConfig
from fae.reports.explorations import explorations, stored
from fae.reports.gallery import gallery, pictured
from fae.reports.labels import labels
from fae.reports.outcome import outcome, view_of
from fae.reports.page import page
from fae.reports.selection import Selection, select
from fae.reports.summary import Summary, summarise
from fae.runs.stored import TrainedRun
from fae.runtime.threads import limit_threads
from fae.tracking.address import file_of
from fae.tracking.archive import Archive
from fae.tracking.recovery import crashed_runs
from fae.tracking.stored_run import StoredRun
from fae.tracking.ui import run_page


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        folder: None where it cannot be written.
        summary: its numbers.
        address: in the MLflow UI, of a view of its runs.
        problems: one sentence about each thing that could not be done.
    """

    folder: Path | None
    summary: Summary
    address: str
    problems: Sequence[str] = ()


def make_report(request: ReportConfig) -> Report:
    """Select runs, compute their numbers, draw them, and write all of it.

    Where the runs are those of one sweep, its run in the store gets the same files. That the
    store or the folder can only be read is a problem, not a failure.

    Raises:
        ConfigError: no such runs, or ``out`` is not a report's folder, or cannot be written.
        DataError: the data set is not available.
        StoreError: the store cannot be read, or none of the finished runs in it.
    """
    archive = Archive(request.tracking)
    selection = select(archive, request.sweep, request.where, request.data.root)
    out = (request.out or Path("reports", folder.folder_name(selection.name))).resolve()
    folder.check_replaceable(out)
    _check_counts(selection)
    content = _content(selection, archive, DataSets(request.data.root), request.report.tolerance)
    summary = content.summary
    charts = [chart for make in catalogue.CHARTS if (chart := make(content))]
    pictures = {name: draw(content) for name, draw in catalogue.PICTURES.items()}
    drawn = {name: figure for name, figure in pictures.items() if figure}
    written = _texts(content, charts)
    address = archive.save(view_of(selection))
    try:
        folder.write(out, written, drawn)
    except OSError as error:
        problem = f"{out}: cannot be written ({error.strerror or error})"
        if request.out:
            raise ConfigError(f"out={problem}; name another folder") from error
        return Report(None, summary, address, [f"{problem}; out=FOLDER names another place"])
    problems = stored(content.explorations)
    try:
        if selection.sweep:
            archive.add_report(selection.sweep, out, outcome(selection, summary))
    except StoreError as error:
        problems.append(str(error))
    return Report(out, summary, address, problems)


def _check_counts(selection: Selection) -> None:
    """Check that some run counts."""
    if not selection.runs:
        reasons = "; ".join(sorted({excluded.reason for excluded in selection.excluded}))
        finished = any(excluded.status == "FINISHED" for excluded in selection.excluded)
        kind = StoreError if finished else ConfigError
        raise kind(f"{selection.name}: none of its runs counts ({reasons})")


def _content(selection: Selection, archive: Archive, data: "DataSets", tolerance: float) -> Content:
    config = selection.settings[0].runs[0].config.data
    summary = summary_of(selection, archive, data, tolerance)
    data_set = data.verified(config)
    images = data_set.test()
    chosen = pictured(selection.settings)
    short = labels(chosen)
    galleries = [gallery(setting, short[setting.title], data_set, images) for setting in chosen]
    sizes = [setting.hidden for setting in selection.settings]
    linear = data.linear(config, galleries[0].panel.originals, [min(sizes), max(sizes)])
    linked = [] if file_of(archive.uri) else selection.runs  # a file has no pages of its own
    addresses = {run.id: run_page(archive, run.id) for run in linked}
    pca = data.pca(config, max(sizes))
    inside = explorations(chosen, short, data_set, config, most=max(sizes), cache=data.cache)
    return Content(summary, selection.settings, pca, galleries, linear, addresses, inside)


def _texts(content: Content, charts: Sequence[Chart]) -> dict[str, str]:
    """By their paths in the folder of the report."""
    summary = content.summary
    svgs = {chart.name: figures.as_svg(figures.draw(chart)) for chart in charts}
    return {
        "report.html": page(content, charts, svgs),
        "table.md": table.markdown(summary),
        "table.csv": table.comma_separated(summary),
        "table.tex": table.latex(summary),
        folder.SUMMARY: json.dumps(asdict(summary), indent=2, allow_nan=False) + "\n",
        **{f"{folder.FIGURES}/{name}.svg": svg for name, svg in svgs.items()},
    }


class DataSets:
    """The data sets that runs were trained on, each read once.

    Args:
        root: folder of those that have files; None: the default folder.

    Raises:
        DataError: by each method: the images are not available.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.cache = user_cache_path("fae")
        self.verified = cache(self._verified)
        self.pca = cache(self._pca)
        self.test_images = cache(self._test_images)

    def _verified(self, config: DataConfig) -> DataSet:
        """The data set of a configuration, with its files checked."""
        data_set = config.with_root(self._root).build()
        data_set.verify()
        return data_set

    def _pca(self, config: DataConfig, components: int) -> NDArray[np.float64]:
        """Test errors of PCA by the number of components, up to at least ``components``."""
        return linear_errors(self.verified(config), config, components, self.cache)

    def _test_images(self, config: DataConfig) -> int:
        """Number of test images."""
        return len(self.verified(config).test())

    def linear(
        self, config: DataConfig, images: NDArray[np.float32], counts: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """Images (images, pixels) as PCA reconstructs them, by the number of components."""
        most = len(self.pca(config, max(counts))) - 1
        possible = sorted({min(n, most) for n in counts})
        data_set = self.verified(config)
        return pca_reconstructions(data_set, config, images, possible, self.cache)


def summary_of(selection: Selection, archive: Archive, data: DataSets, tolerance: float) -> Summary:
    """The numbers of selected runs.

    Args:
        archive: has the runs.
        tolerance: of the verdict, a share.

    Raises:
        DataError: the data set is not available.
        StoreError: an artifact cannot be read.
    """
    limit_threads()
    most = max(setting.hidden for setting in selection.settings)
    return summarise(
        selection,
        tolerance=tolerance,
        concurrent_runs=_concurrent_runs(archive, selection.runs),
        pca=lambda config: data.pca(config, most),
        test_images=data.test_images,
    )


def _concurrent_runs(archive: Archive, runs: Sequence[TrainedRun]) -> list[StoredRun]:
    """All runs that may have overlapped with some runs, they themselves included.

    A run whose crash nobody has noticed counts where it began, as it is not known when that was.
    """
    concurrent = archive.runs_during(
        min(run.started for run in runs), max(run.ended or run.started for run in runs)
    )
    crashed = {run.id for run in crashed_runs(archive)}
    return [replace(run, ended=run.started) if run.id in crashed else run for run in concurrent]
