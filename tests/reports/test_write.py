"""A report of real runs: its numbers, its files, and what cannot be reported."""

import csv
import ctypes
import dataclasses
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
from conftest import NO_LOCAL, environment
from matplotlib.figure import Figure
from mlflow import MlflowClient
from torch import Tensor

from fae.analysis import probe
from fae.cli.compose import compose
from fae.config import Config, TrainingConfig
from fae.drawing.chart import Axis, Chart, Plot, Series
from fae.drawing.tables import Columns
from fae.errors import ConfigError, Interrupted, StoreError
from fae.models.dense.network import AutoEncoder
from fae.models.network import Network
from fae.reports import catalogue, selection, table
from fae.reports.catalogue import Content
from fae.reports.config import DataRoot, ReportConfig
from fae.reports.folder import folder_name
from fae.reports.summary import Summary
from fae.reports.write import Report, make_report
from fae.runs.build import build_network
from fae.runs.job import Job, JobGroup
from fae.runs.run import Result, train
from fae.runtime import files
from fae.runtime.intervals import estimate
from fae.tracking.archive import Archive
from fae.tracking.folder import Link
from fae.tracking.store import Store
from fae.tracking.stored_run import StoredRun

SWEEP = "hidden=4,8 seed=0,1,2"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_store: bytes) -> Path:
    """A folder with a store of its own, so that the latest sweep is known: ``swept``."""
    home = tmp_path_factory.mktemp("home")
    (home / "mlflow.db").write_bytes(empty_store)
    _sweep(home)
    return home


@pytest.fixture(scope="module")
def swept(home: Path) -> list[Result]:
    """The runs of the sweep."""
    results: list[Result] = pickle.loads((home / "results").read_bytes())
    return results


def _sweep(home: Path) -> None:
    """Two sizes with three seeds each under one sweep, of which two more runs never began."""
    config = configured(home)
    results = []
    planned = {"fae.planned_runs": "8"}
    with Store(config.tracking).run(
        SWEEP, kind="sweep", folder=home, command="", tags=planned
    ) as parent:
        for hidden in (4, 8):
            for seed in range(3):
                name = f"hidden={hidden} seed={seed}"
                (home / name).mkdir()
                job = Job(name, home / name, "", JobGroup(parent.id, 0, [1]))
                config = configured(home, f"hidden={hidden}", f"seed={seed}")
                results.append(train(config, job))
    (home / "results").write_bytes(pickle.dumps(results))


def configured(home: Path, *overrides: str) -> Config:
    uri = f"tracking.uri='sqlite:///{home}/mlflow.db'"
    return compose(NO_LOCAL, "experiment=smoke", uri, *overrides)


Request = Callable[..., ReportConfig]


@pytest.fixture
def request_of(home: Path, tmp_path: Path) -> Request:
    """The request for the latest sweep's report, with changes."""

    def make(**changes: object) -> ReportConfig:
        request = latest(home, tmp_path / "report")
        return dataclasses.replace(request, **changes)  # type: ignore[arg-type]

    return make


def latest(home: Path, out: Path) -> ReportConfig:
    """The report of the latest sweep."""
    config = configured(home)
    return ReportConfig(
        sweep=(),
        where=None,
        out=out,
        data=DataRoot(root=home),
        tracking=config.tracking,
        report=config.report,
    )


@pytest.fixture(scope="module")
def written(home: Path) -> Report:
    return make_report(latest(home, home / "report"))


def folder_of(report: Report) -> Path:
    """Where it was written, which nothing kept it from."""
    assert report.folder
    assert not report.problems
    return report.folder


def test_the_numbers_are_those_of_the_runs(written: Report, swept: list[Result]) -> None:
    for row, runs in zip(written.summary.rows, (swept[:3], swept[3:]), strict=True):
        assert row.test == estimate([run.metrics["test/mse"] for run in runs])
        assert row.val == pytest.approx(np.mean([run.metrics["val/mse"] for run in runs]))
        assert row.times.median == sorted(run.metrics["time/fit_s"] for run in runs)[1]
        assert [run.id for run in row.runs] == [run.run_id for run in runs]
        assert row.parameters == 2 * 64 * row.hidden + row.hidden + 64
    assert [row.title for row in written.summary.rows] == ["n = 4", "n = 8"]
    assert written.summary.missing == 2
    assert written.summary.excluded == []


def test_concurrent_runs_are_found_by_their_times(home: Path, swept: list[Result]) -> None:
    archive = Archive(configured(home).tracking)
    (sweep,) = (sweep for sweep in archive.runs("sweep") if sweep.name == SWEEP)
    runs = archive.runs_of(sweep)
    assert [run.id for run in runs] == [result.run_id for result in swept]
    first, second = runs[:2]
    assert first.ended is not None
    assert second.ended is not None
    during = archive.runs_during(second.started, second.ended)
    assert second.id in [run.id for run in during]
    assert runs[-1].id not in [run.id for run in during]
    assert archive.runs_during(0, first.started - 1) == []


@pytest.mark.long
def test_trials_and_what_still_runs_are_beside_too(
    home: Path, swept: list[Result], request_of: Request
) -> None:
    """Unless its process died; the store may have noted when a resumed one was interrupted."""
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    archive = Archive(configured(home).tracking)
    first, second = (archive.run(result.run_id) for result in swept[:2])
    assert first.ended
    assert second.ended

    def remark() -> str | None:
        (row,) = make_report(request_of(where="hidden=4 seed=0,1")).summary.rows
        return row.times.remark

    def made(kind: str, **tags: str) -> str:
        host = first.tags["fae.host"]
        run = client.create_run(
            archive.experiment_id,
            start_time=first.started - 1000,
            tags={"fae.kind": kind, "fae.host": host, **tags},
        )
        return str(run.info.run_id)

    (home / "dead").mkdir()
    dead = made("run", **{"fae.folder": str(home / "dead")})
    Link(dead, "dead", archive.uri, "fae", "").write(home / "dead")
    trial = made("trial")
    try:
        assert dead in {run.id for run in archive.runs_during(first.started, second.ended)}
        for ended, status, found in (
            (first.started - 1, "FINISHED", None),
            (second.ended, "FINISHED", "overlapped with other runs"),
            (first.started - 1, "RUNNING", "overlapped with other runs"),
        ):
            client.set_terminated(trial, "FINISHED", ended)
            client.update_run(trial, status=status)
            assert remark() == found
    finally:
        for run_id in (trial, dead):
            client.delete_run(run_id)


def test_epochs_are_in_the_order_of_their_steps_whatever_the_clock_said(
    home: Path,
) -> None:
    archive = Archive(configured(home).tracking)
    client = MlflowClient(archive.uri)
    run = client.create_run(archive.experiment_id).info.run_id
    for step, stamp in ((1, 3000), (2, 1000), (3, 2000)):
        for key in ("train/mse", "val/mse"):
            client.log_metric(run, key, 1 / step, stamp, step)
    found = archive.run(run)
    expected = [dict.fromkeys(("train/mse", "val/mse"), 1 / step) for step in (1, 2, 3)]
    assert archive.epochs(found) == expected
    assert found.metrics == expected[-1]


def test_every_file_is_there(written: Report) -> None:
    charts = ("curves", "error_by_size", "time_by_size", "code_spaces")
    pictures = ("reconstructions", "extremes", "hidden_units", "interpolations")
    assert {str(p.relative_to(folder_of(written))) for p in folder_of(written).rglob("*.*")} == {
        "report.html",
        "table.md",
        "table.csv",
        "table.tex",
        "summary.json",
        *(f"figures/{chart}.svg" for chart in charts),
        *(f"figures/{name}.png" for name in pictures),
    }


def test_the_probes_accuracy_is_a_metric_of_the_run_that_the_next_report_reads(
    written: Report,
    swept: list[Result],
    home: Path,
    request_of: Request,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each setting's first seed, once; and on the page, which is the same again.

    Of the other seeds it is computed by reports that leave the first ones out, if at all.
    """
    archive = Archive(configured(home).tracking)
    probed = {run.id: run.metrics.get(probe.CODES) for run in archive.runs("run")}
    found = [probed[result.run_id] for result in swept]
    assert found[0] is not None
    assert found[3] is not None
    text = (folder_of(written) / "report.html").read_text()
    assert all(f"{100 * first:.1f}\N{NO-BREAK SPACE}% (" in text for first in (found[0], found[3]))
    monkeypatch.setattr(probe, "fit", None)
    assert (folder_of(make_report(request_of())) / "report.html").read_text() == text


@pytest.mark.long
def test_a_network_whose_codes_are_no_numbers_is_left_out_of_what_is_inside(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = AutoEncoder.encode

    def hostile(network: AutoEncoder, images: Tensor) -> Tensor:
        codes = encode(network, images)
        return codes * float("nan") if codes.shape[1] == broken else codes

    monkeypatch.setattr(AutoEncoder, "encode", hostile)
    monkeypatch.setattr(
        AutoEncoder, "forward", lambda self, images: self.decode(encode(self, images))
    )
    broken = 4
    page = (folder_of(make_report(request_of())) / "report.html").read_text()
    assert "between" in page
    shown = page.partition("Accuracy of a linear classifier</caption>")[2].partition("</table>")[0]
    assert "n = 8" in shown
    assert "n = 4" not in shown
    folder = folder_of(make_report(request_of(where="hidden=4")))
    assert 'id="between"' not in (folder / "report.html").read_text()
    assert not (folder / "figures" / "code_spaces.svg").exists()


def test_a_new_chart_is_one_line(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on the page, with its heading and caption, and among the files."""

    def seeds(content: Content) -> Chart:
        errors = content.summary.rows[0].errors
        plot = Plot("", [Series("", list(errors), list(errors.values()), "points")])
        axes = Axis("seed"), Axis("error")
        return Chart("seeds_1", "Error by seed", *axes, [plot], caption="One each.")

    monkeypatch.setattr(catalogue, "CHARTS", [*catalogue.CHARTS, seeds])
    folder = folder_of(make_report(request_of(where="hidden=4")))
    page = (folder / "report.html").read_text()
    assert '<h2 id="seeds_1">Error by seed</h2>' in page
    assert "One each." in page
    drawn = {path.name for path in (folder / "figures").glob("seeds_1*")}
    assert drawn == {"seeds_1.svg"}
    monkeypatch.undo()
    make_report(request_of(where="hidden=4"))  # takes the place of that one
    assert not list((folder / "figures").glob("seeds_1*"))


def test_a_new_part_of_the_table_is_one_line(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extra(summary: Summary) -> Columns:
        return {"setting": [row.title for row in summary.rows], "new": ["cell"]}

    monkeypatch.setattr(table, "TABLES", [*table.TABLES, extra])
    folder = folder_of(make_report(request_of(where="hidden=4")))
    assert "<caption>Extra</caption>" in (folder / "report.html").read_text()
    assert "| setting | new |\n" in (folder / "table.md").read_text()
    assert "& cell \\\\\n" in (folder / "table.tex").read_text()


def test_each_model_is_read_once_and_no_network_is_built_to_be_counted(
    request_of: Request, swept: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    built: list[int] = []
    model = Archive.model

    def read_model(archive: Archive, run: StoredRun, largest: int) -> bytes:
        read.append(run.id)
        return model(archive, run, largest)

    def build(config: TrainingConfig) -> Network:
        built.append(config.hidden)
        return build_network(config)

    monkeypatch.setattr(Archive, "model", read_model)
    monkeypatch.setattr("fae.runs.trained.build_network", build)
    make_report(request_of())
    assert sorted(read) == sorted(result.run_id for result in swept)
    assert sorted(built) == [4] * 4 + [8] * 4  # one of each for the layers that the page tells


def test_a_network_that_was_released_is_read_again(
    request_of: Request, written: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "KEPT_PARAMETERS", 0)
    again = make_report(request_of())
    assert contents(folder_of(again)) == contents(folder_of(written))


def test_the_summary_has_every_number_of_the_table(written: Report) -> None:
    stored = json.loads((folder_of(written) / "summary.json").read_text())
    assert stored == json.loads(json.dumps(dataclasses.asdict(written.summary)))
    with (folder_of(written) / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, number in zip(rows, stored["rows"], strict=True):
        assert float(row["test_mse"]) == number["test"]["mean"]
        assert float(row["pca_test_mse"]) == number["pca"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.*")}


def test_twice_gives_the_same_bytes(written: Report, request_of: Request) -> None:
    again = make_report(request_of())
    assert contents(folder_of(again)) == contents(folder_of(written))


def test_the_sweeps_run_has_the_same_files(request_of: Request, home: Path) -> None:
    folder = folder_of(make_report(request_of()))
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("fae")
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`fae.kind` = 'sweep'")
    kept = Path(client.download_artifacts(parent.info.run_id, "report"))
    assert contents(kept) == contents(folder)
    assert parent.data.tags["mlflow.note.content"] == (folder / "table.md").read_text()
    assert parent.info.status == "FINISHED"


def test_runs_can_be_chosen_by_parameters(
    swept: list[Result], request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_report(request_of(where="hidden=8 seed=1,2", out=None))
    assert made.folder == tmp_path / "reports" / "hidden=8_seed=1,2"
    (row,) = made.summary.rows
    assert [run.id for run in row.runs] == [run.run_id for run in swept[4:]]
    assert made.summary.missing == 0


def test_a_folder_that_is_no_report_is_left_alone(request_of: Request, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.txt").write_text("years of work")
    (tmp_path / "report" / "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"is not a report or holds more, as thesis.txt"):
        make_report(request_of())
    assert (tmp_path / "report" / "thesis.txt").read_text() == "years of work"


def test_a_folder_of_somebodys_figures_is_no_report(request_of: Request, tmp_path: Path) -> None:
    figure = tmp_path / "report" / "figures" / "experiment-2.png"
    figure.parent.mkdir(parents=True)
    figure.write_text("years of work")
    with pytest.raises(ConfigError, match="is not a report or holds more;"):
        make_report(request_of())
    assert figure.read_text() == "years of work"


def test_an_older_report_is_replaced_as_a_whole(request_of: Request, tmp_path: Path) -> None:
    (tmp_path / "report" / "figures").mkdir(parents=True)
    for name in ("summary.json", "figures/of_yesterday.png", "figures/2_Dec-2023.svg"):
        (tmp_path / "report" / name).write_text("old")
    make_report(request_of(where="hidden=4 seed=0"))
    assert not (tmp_path / "report" / "figures" / "of_yesterday.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("error", [MemoryError(), Interrupted(15)], ids=["error", "signal"])
def test_or_not_at_all(
    request_of: Request,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text("old")

    savefig = Figure.savefig

    def fails(figure: Figure, file: Any, **how: Any) -> None:
        if isinstance(file, Path):
            raise error
        savefig(figure, file, **how)

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(type(error)):
        make_report(request_of(where="hidden=4 seed=0"))
    assert (tmp_path / "report" / "summary.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def being_written(home: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """A command that replaces a report, and has written a part of the new one."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text("old")
    arguments = [sys.executable, "-m", "fae.report", f"sweep={SWEEP}", NO_LOCAL]
    running = forking.Popen(
        [*arguments, f"out={tmp_path}/report"],
        cwd=home,
        env=environment(f"sqlite:///{home}/mlflow.db"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob(".report-*/new/table.md")):
        assert running.poll() is None
        time.sleep(0.001)
    return running


@pytest.mark.long
def test_an_interrupt_while_it_is_written_leaves_the_old_one_and_nothing_else(
    home: Path, tmp_path: Path
) -> None:
    running = being_written(home, tmp_path)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (130, "fae: interrupted by SIGINT\n")
    assert (tmp_path / "report" / "summary.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.long
def test_what_a_kill_leaves_is_removed_by_the_next_report_and_nothing_else(
    home: Path, tmp_path: Path, request_of: Request
) -> None:
    running = being_written(home, tmp_path)
    running.kill()
    running.communicate(timeout=60)
    assert (tmp_path / "report" / "summary.json").read_text() == "old"
    (abandoned,) = tmp_path.glob(".report-*")
    others = [tmp_path / f".report-{name}" for name in ("in-use", "mine", "empty")]
    for other in others:
        (other / "new").mkdir(parents=True)
    (others[1] / "new" / "thesis.txt").touch()
    (others[2] / "new").rmdir()
    with files.locked(others[0]):
        make_report(request_of(where="hidden=4 seed=0"))
    assert not abandoned.exists()
    assert {*tmp_path.iterdir()} == {tmp_path / "report", *others}


def test_its_files_are_on_the_disk_before_they_take_the_place_of_others(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report").mkdir()
    synced: set[int] = set()
    before: set[int] = set()
    sync, exchange = os.fsync, files.exchange

    def recorded(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        sync(file)

    def exchanged(first: Path, second: Path) -> None:
        before.update(synced)
        exchange(first, second)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(files, "exchange", exchanged)
    make_report(request_of(where="hidden=4 seed=0"))
    report = tmp_path / "report"
    assert {path.stat().st_ino for path in (report, *report.rglob("*"))} <= before
    assert tmp_path.stat().st_ino in synced


def test_of_a_folder_that_is_no_report_no_more_is_listed_than_tells_that(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report" / Path(*"abcdefgh")).mkdir(parents=True)
    listed: list[str] = []
    scandir = os.scandir

    def recorded(path: Any = ".") -> Any:
        listed.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", recorded)
    with pytest.raises(ConfigError, match="is not a report or holds more, as a;"):
        make_report(request_of())
    assert len([path for path in listed if path.startswith(str(tmp_path))]) <= 2


@pytest.mark.parametrize("name", ["\u5b66" * 120, "x\U0001f600y\u5b66" * 99, "h=4 /../" * 99])
def test_a_folders_name_is_one_that_a_file_system_takes(name: str, tmp_path: Path) -> None:
    folder = tmp_path / folder_name(name)
    folder.mkdir()
    assert folder.parent == tmp_path
    assert len(os.fsencode(folder.name)) <= 150


@pytest.fixture(params=["gone", "damaged"])
def spoil(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], None]]:
    """Takes a file away or empties it, and puts it back after the test."""
    kept: dict[Path, bytes] = {}

    def take(path: Path) -> None:
        kept[path] = path.read_bytes()
        path.unlink() if request.param == "gone" else path.write_bytes(b"")

    yield take
    for path, content in kept.items():
        path.write_bytes(content)


def logged_model(home: Path, run_id: str) -> str:
    outputs = MlflowClient(f"sqlite:///{home}/mlflow.db").get_run(run_id).outputs
    assert outputs is not None
    return str(outputs.model_outputs[0].model_id)


@pytest.mark.parametrize("what", ["config.yaml", "its model"])
def test_a_run_whose_artifacts_are_gone_or_damaged_is_not_counted(
    swept: list[Result],
    request_of: Request,
    home: Path,
    spoil: Callable[[Path], None],
    what: str,
) -> None:
    run_id = swept[3].run_id
    if what == "config.yaml":
        spoil(home / "mlruns" / run_id / "artifacts" / what)
    else:
        model = home / "mlruns" / "models" / logged_model(home, run_id)
        spoil(model / "artifacts" / "data" / "model.pt2")
    made = make_report(request_of())
    assert [[run.seed for run in row.runs] for row in made.summary.rows] == [[0, 1, 2], [1, 2]]
    (excluded,) = made.summary.excluded
    assert (excluded.id, excluded.status) == (run_id, "FINISHED")
    assert excluded.reason.startswith(f"{what} cannot be read (")
    assert made.summary.incomplete


def test_nothing_in_a_store_is_unpickled(
    swept: list[Result], request_of: Request, home: Path, tmp_path: Path
) -> None:
    model = home / "mlruns" / "models" / logged_model(home, swept[0].run_id)
    path = model / "artifacts" / "data" / "model.pt2"
    whole = path.read_bytes()
    attack = pickle.dumps(Attack(tmp_path / "attacked"))
    with zipfile.ZipFile(io.BytesIO(whole)) as found, zipfile.ZipFile(path, "w") as changed:
        for name in found.namelist():
            content = attack if name.endswith("sample_inputs/model.pt") else found.read(name)
            changed.writestr(name, content)
    try:
        made = make_report(request_of())
    finally:
        path.write_bytes(whole)
    assert made.summary.excluded == []
    assert not (tmp_path / "attacked").exists()


class Attack:
    """A pickle that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return os.mkdir, (self.folder,)


@pytest.mark.long
def test_a_sweep_whose_run_takes_no_files_still_has_its_report(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(MlflowClient, "log_artifacts", fails)
    made = make_report(request_of())
    (problem,) = made.problems
    assert re.search(r"the report is in .*, and cannot .* \(no space left\)", problem)
    assert (tmp_path / "report" / "report.html").exists()


def without_rights() -> None:
    """Let permissions bind the process that begins, also where it is the superuser's."""
    drop, override_permissions = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE of Linux
    ctypes.CDLL(None).prctl(drop, override_permissions)


@pytest.fixture
def read_only(home: Path) -> Iterator[Path]:
    """The store without permission to write."""
    paths = [home, *home.rglob("*")]
    before = {path: path.stat().st_mode for path in paths}
    for path, mode in before.items():
        path.chmod(mode & ~0o222)
    yield home
    for path, mode in before.items():
        path.chmod(mode)


@pytest.mark.long
@pytest.mark.parametrize(
    ("out", "code", "message"),
    [
        ("reports/elsewhere", 0, "cannot be added to the run of the sweep"),
        (None, 0, r"cannot be written \(Permission denied\); out=FOLDER names another place"),
        ("home", 2, r"cannot be written \(Permission denied\); name another folder"),
    ],
)
def test_a_store_that_can_only_be_read_has_its_report_and_a_warning(
    read_only: Path, tmp_path: Path, out: str | None, code: int, message: str
) -> None:
    asked = {"home": [f"out={read_only}/own"], None: []}.get(out, [f"out={tmp_path}/{out}"])
    done = command(read_only, f"sweep={SWEEP}", *asked, preexec_fn=without_rights)
    assert done.returncode == code, done.stderr
    assert re.search(message, done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) <= 1
    if code == 0:
        assert "n = 8" in done.stdout
    assert (tmp_path / "reports/elsewhere/report.html").exists() == (out == "reports/elsewhere")


def test_a_run_on_other_images_than_are_at_hand_does_not_count(
    swept: list[Result], request_of: Request, home: Path
) -> None:
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    (run,) = (client.get_run(swept[0].run_id),)
    client.set_tag(run.info.run_id, "fae.data_digest", "another")
    try:
        made = make_report(request_of(where="hidden=4"))
        with pytest.raises(StoreError, match=r"none of its runs counts \(its images \(digest 'an"):
            make_report(request_of(where="hidden=4 seed=0"))
    finally:
        client.set_tag(run.info.run_id, "fae.data_digest", run.data.tags["fae.data_digest"])
    assert [run.id for run in made.summary.rows[0].runs] == [run.run_id for run in swept[1:3]]
    assert [run.id for run in made.summary.excluded] == [swept[0].run_id]


def test_runs_of_other_projects_in_the_store_are_none_of_ours(
    swept: list[Result], request_of: Request, home: Path
) -> None:
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("fae")
    assert experiment is not None
    theirs = client.create_run(experiment.experiment_id, run_name="theirs").info.run_id
    client.log_param(theirs, "hidden", "4")
    made = make_report(request_of(where="hidden=4"))
    assert [run.id for run in made.summary.rows[0].runs] == [run.run_id for run in swept[:3]]
    assert made.summary.excluded == []


def test_a_sweep_of_which_nothing_finished_has_no_report(
    home: Path, request_of: Request, tmp_path: Path
) -> None:
    tracking = dataclasses.replace(configured(home).tracking, experiment="of its own")
    store = Store(tracking)
    with store.run("begun", kind="sweep", folder=tmp_path, command="") as parent:
        pass
    with (
        pytest.raises(KeyboardInterrupt),
        store.run("stopped", kind="run", folder=tmp_path, command="", parent=parent.id),
    ):
        raise KeyboardInterrupt
    with pytest.raises(ConfigError, match=r"begun: none of its runs counts \(interrupted\)"):
        make_report(request_of(sweep=("begun",), tracking=tracking))


def command(
    folder: Path, *arguments: str, preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-m", "fae.report", *arguments, NO_LOCAL]
    variables = environment(f"sqlite:///{folder}/mlflow.db")
    if preexec_fn is None:
        return forking.run(given, cwd=folder, env=variables, timeout=120)
    return subprocess.run(
        given,
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=preexec_fn,
    )


def test_the_command_shows_the_table_and_where_the_report_is(home: Path, tmp_path: Path) -> None:
    done = command(home, f"sweep={SWEEP}", f"out={tmp_path}/a folder", "report.tolerance=0.05")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:6] for line in lines if line.startswith(" n = ")] == [" n = 4", " n = 8"] * 2
    assert any(line.startswith("Does the training time grow with n? ") for line in lines)
    assert "not in the store, never started or deleted: 2 planned runs" in lines
    assert lines[-3:-1] == [f"report   {tmp_path}/a folder/report.html", "start    mlflow ui"]
    assert lines[-1].startswith("open     http://127.0.0.1:5000/#/experiments/1/runs?")
    assert "&viewStateShareKey=fae-" in lines[-1]
    assert json.loads((tmp_path / "a folder" / "summary.json").read_text())["tolerance"] == 0.05


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "mlflow.db: there is no such store"),
        (["tracking.uri=sqlite:///empty"], 3, "empty: an empty database"),
        (["tracking.uri=sqlite:///notes"], 3, "notes: not a database that can be read"),
        (["swep=x"], 2, "swep: no such key; did you mean sweep?"),
        (["report.tolerance=2"], 2, "report.tolerance=2: must be less than 1"),
        (["where="], 2, "where=: must"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "notes").write_text("not a database, and long enough to be looked at" * 10)
    before = contents(tmp_path)
    done = command(tmp_path, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 2
