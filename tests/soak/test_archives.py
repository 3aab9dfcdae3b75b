"""Runs of which anyone may have changed what is stored, in a report."""

import builtins
import json
import os
import pickle
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import NO_LOCAL
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.config import Config
from fae.errors import FaeError
from fae.reports import table
from fae.reports.config import DataRoot, ReportConfig
from fae.reports.selection import select
from fae.reports.write import DataSets, make_report, summary_of
from fae.runs.job import Job, JobGroup
from fae.runs.run import train
from fae.tracking.archive import Archive
from fae.tracking.store import Store
from soak.conftest import Soak

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "relu",
    "../../etc/passwd",
    "~nobody/x",
    "\x1b]0;title\x07",
    [],
    [[1]],
    {},
    {"name": "deep"},
    [65_536] * 50,
)
CODE = (
    "!!python/object/apply:os.mkdir [{canary}]",
    "!!python/object/new:os.mkdir {{args: [{canary}]}}",
    "_target_: os.mkdir\npath: {canary}",
    "a: &a [*a]",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]",
    "[" * 50_000,
    "2026-11-25",
    "\x00",
)
TAGS = (
    "fae.planned_runs",
    "fae.adopted",
    "fae.data_digest",
    "fae.fingerprint",
    "fae.device",
    "fae.host",
    "fae.kind",
)
METRICS = ("test/mse", "time/fit_s", "weights/dead_units", "weights/count", "train/mse", "val/mse")


class Attack:
    """A pickle that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return os.mkdir, (self.folder,)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A store with a sweep of two settings with two seeds each."""
    home = tmp_path_factory.mktemp("home")
    uri = f"tracking.uri='sqlite:///{home}/mlflow.db'"
    config = compose(NO_LOCAL, "experiment=smoke", uri)
    store = Store(config.tracking)
    with store.run("sweep", kind="sweep", folder=home, command="") as parent:
        for number in range(4):
            hidden, seed = divmod(number, 2)
            folder = home / str(number)
            folder.mkdir()
            run = compose(NO_LOCAL, "experiment=smoke", uri, f"hidden={4 + hidden}", f"seed={seed}")
            train(run, Job(str(number), folder, "", JobGroup(parent.id, 0, [1])))
    return config


def report(archive: Archive) -> str:
    """The numbers of a report, or the sentence that a user would get."""
    try:
        selection = select(archive, [], None)
        if not selection.runs:
            return "none of its runs counts"
        summary = summary_of(selection, archive, DataSets(Path()), 0.03)
        json.dumps(asdict(summary), allow_nan=False)
        return table.markdown(summary)
    except FaeError as error:
        return str(error)


def whole_report(config: Config, out: Path) -> None:
    """All of it, pictures included, or the sentence that a user would get."""
    data, report = DataRoot(root=out.parent), config.report
    with suppress(FaeError):
        make_report(
            ReportConfig(
                sweep=(),
                where="hidden=4,5",
                out=out,
                data=data,
                tracking=config.tracking,
                report=report,
            )
        )


def listing(*folders: Path) -> dict[Path, tuple[int, bytes]]:
    """When what is in folders was changed, and what it holds."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in paths}


def test_a_report_of_a_store_that_anyone_may_write_runs_no_code(
    soak: Soak, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of damaged or malicious runs runs none of their code, and is no traceback."""
    archive = Archive(config.tracking)
    home = Path(config.tracking.uri.removeprefix("sqlite:///")).parent
    saved: dict[Path, None] = {home: None, home / "mlflow.db": None}
    out, folder = tmp_path / "out", tmp_path / "watched"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    monkeypatch.chdir(folder)
    canary, chance = folder / "canary", random.Random(0)
    runs = archive.runs("run")
    whole = report(archive)
    opened: list[str] = []
    open_file = builtins.open

    def watched(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if set(mode) & set("wax+"):
            opened.append(str(file))
        return open_file(file, mode, *rest, **more)

    monkeypatch.setattr(builtins, "open", watched)
    times, unchanged = soak.times(60, 3500), 0
    for number in range(times):
        with ExitStack() as changes:
            ways = (in_config, in_model, in_tags, in_metrics)
            for way in chance.sample(ways, chance.choice((1, 1, 1, 2))):
                changes.enter_context(way(home, chance.choice(runs).id, canary, chance))
            before = listing(home, folder)
            unchanged += report(archive) == whole
            assert listing(home, folder) == before
            if number % 100 == 0:
                whole_report(config, out)  # which saves a view in the store
                assert {**listing(home, folder), **saved} == {**before, **saved}
    assert report(archive) == whole
    whole_report(config, out)
    assert (out / "report.html").exists()
    assert [path for path in opened if not path.startswith((str(home), str(tmp_path)))] == []
    soak.tell(
        f"{times} changes of configurations, models, tags and metrics: {unchanged} that a report "
        "need not see, no code run, nothing written, no traceback"
    )


Change = Callable[[Path, str, Path, random.Random], Any]


@contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(before)


def garbled(content: bytes, chance: random.Random) -> bytes:
    """Cut short, or with some bytes changed."""
    if chance.random() < 0.3:
        return content[: chance.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 5))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def in_config(home: Path, run_id: str, canary: Path, chance: random.Random) -> Any:
    path = home / "mlruns" / run_id / "artifacts" / "config.yaml"
    way = chance.random()
    if way < 0.2:
        return replaced(path, chance.choice(CODE).format(canary=canary).encode())
    if way < 0.5:
        return replaced(path, garbled(path.read_bytes(), chance))
    values = yaml.safe_load(path.read_text())
    group = chance.choice([values, *(v for v in values.values() if isinstance(v, dict))])
    key = chance.choice([*group, "unknown"])
    if chance.random() < 0.2:
        group.pop(key, None)
    else:
        group[key] = chance.choice(ODD)
    return replaced(path, yaml.safe_dump(values).encode())


def in_model(home: Path, run_id: str, canary: Path, chance: random.Random) -> Any:
    outputs = MlflowClient(f"sqlite:///{home}/mlflow.db").get_run(run_id).outputs
    assert outputs is not None
    model = home / "mlruns" / "models" / outputs.model_outputs[0].model_id
    path = model / "artifacts" / "data" / "model.pt2"
    if chance.random() < 0.1:
        return replaced(path, pickle.dumps(Attack(canary)))
    return replaced(path, garbled(path.read_bytes(), chance))


@contextmanager
def in_tags(home: Path, _run: str, _canary: Path, chance: random.Random) -> Iterator[None]:
    key, value = chance.choice(TAGS), str(chance.choice(ODD))
    with sql(home, "tags", "UPDATE tags SET value = ? WHERE key = ?", value[:5000], key):
        yield


@contextmanager
def in_metrics(home: Path, run_id: str, _canary: Path, chance: random.Random) -> Iterator[None]:
    key, value = chance.choice(METRICS), chance.choice([-1.0, 0.0, 0.5, 1e300, 1e-300, None])
    change = "value = ?, is_nan = 0" if value is not None else "value = 0, is_nan = 1 + 0 * ?"
    if chance.random() < 0.3:
        change, value = "step = step + ?", 1.0
    where = "WHERE run_uuid = ? AND key = ?"
    which = chance.choice(("metrics", "latest_metrics"))
    with sql(
        home, which, f"UPDATE OR IGNORE {which} SET {change} {where}", value or 0, run_id, key
    ):
        yield


@contextmanager
def sql(home: Path, changed: str, command: str, *values: object) -> Iterator[None]:
    """Within the block a table of the store is as a command makes it."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        database.execute(f"CREATE TABLE before_{changed} AS SELECT * FROM {changed}")
        database.execute(command, values)
        database.commit()
        yield
        database.execute(f"DELETE FROM {changed}")
        database.execute(f"INSERT INTO {changed} SELECT * FROM before_{changed}")
        database.execute(f"DROP TABLE before_{changed}")
        database.commit()
