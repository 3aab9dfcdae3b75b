"""Checks of what runs need: the libraries, the data, the store, the folders, the machine."""

import shlex
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile

from packaging.requirements import Requirement

from fae.cli.compose import compose
from fae.config import Config
from fae.errors import DataError, FaeError
from fae.runtime.console import in_one_line, say
from fae.tracking.address import file_of
from fae.tracking.archive import Archive
from fae.tracking.recovery import crashed_runs, has_unsent
from fae.tracking.sync import default_folders, runs_in

LITTLE_SPACE = 2e9
"""Bytes; a sweep of the paper takes some 100 MB."""
UI_PORT = 5000
"""Where ``mlflow ui`` listens."""
SEE_MESSAGE = "see the message"


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        what: was checked.
        state: its state.
        remedy: how to fix it; empty if it is not a problem.
        note: worth knowing, though not a problem.
    """

    what: str
    state: str
    remedy: str = ""
    note: bool = False

    def __str__(self) -> str:
        fix = f"\n         fix: {self.remedy}" if self.remedy else ""
        kind = "problem" if self.remedy else "note" if self.note else "ok"
        return f"{kind:8} {self.what}: {self.state}{fix}"


def versions() -> Iterator[Finding]:
    """The versions of the libraries, as required by the project."""
    try:
        wanted = requires("fae") or []
    except PackageNotFoundError:
        state = f"{Path(__file__).parent} is used without being installed: not checked"
        yield Finding("libraries", state, note=True)
        return
    wrong = []
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = ""
        if not found or not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement} is required, {found or 'none'} is installed")
    remedy = "pip install --constraint constraints.txt --editable ." if wrong else ""
    yield Finding("libraries", "; ".join(wrong) or "as required", remedy)


def data(config: Config) -> Iterator[Finding]:
    """The images that are present, checked; none are downloaded."""
    data_set = config.data.build()
    try:
        missing = data_set.missing()
        if not missing:
            data_set.verify()
    except DataError as problem:
        yield Finding("data", str(problem), SEE_MESSAGE)
        return
    if not missing:
        place = f" in {data_set.folder}" if data_set.folder else ""
        yield Finding("data", f"{config.data.name}{place}, content as published")
    elif refusal := _refusal(data_set.folder or Path()):
        other = "set data.root to a folder that has them, unset FAE_DATA, or use experiment=digits"
        yield Finding("data", f"{missing}, and is not writable ({refusal})", other)
    else:
        yield Finding("data", f"{missing}; the first run downloads them", note=True)


def store(config: Config, sync: str) -> Iterator[Finding]:
    """The store: reachable, readable, writable, not damaged."""
    uri = config.tracking.uri
    try:
        archive = Archive.if_there(config.tracking)
    except FaeError as problem:
        yield Finding("store", str(problem), SEE_MESSAGE)
        return
    if archive is None:
        yield Finding("store", f"{uri}: none yet; the first run creates it")
        return
    yield _whole(uri)
    if archive.move:
        yield Finding("store", f"{archive.move}, but {uri} has the old paths", sync)
    try:
        dead = crashed_runs(archive)
    except FaeError as problem:
        yield Finding("runs", str(problem), SEE_MESSAGE)
        return
    names = ", ".join(f"{run.name} ({run.id[:8]})" for run in dead)
    yield Finding(
        "runs",
        f"RUNNING, but crashed: {names}" if dead else "none has crashed",
        f"{sync}, or repeat their command, which resumes them" if dead else "",
    )


def _whole(uri: str) -> Finding:
    path = file_of(uri)
    if path is None:
        return Finding("store", f"{uri} answers")
    try:
        with closing(sqlite3.connect(path, timeout=3)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            # Only a change writes the journal beside the database; it is rolled back.
            database.execute("UPDATE alembic_version SET version_num = version_num || ' '")
            database.rollback()
    except sqlite3.Error as problem:
        remedy = f"make {path} and its folder writable, or end the process that locks it"
        return Finding("store", f"{uri}: cannot be written ({problem})", remedy)
    if found != "ok":
        return Finding(
            "store",
            f"{uri}: damaged ({found})",
            f"sqlite3 {shlex.quote(str(path))} .recover > new.sql",
        )
    return Finding("store", f"{uri} is writable and not damaged")


def studies(config: Config) -> Iterator[Finding]:
    """Optuna's database in its default place: not damaged."""
    file = file_of(config.tracking.uri)
    path = file.with_name("optuna.db") if file else Path.cwd() / "optuna.db"
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=3)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as problem:
        remedy = f"make {path} readable, or end the process that locks it"
        yield Finding("studies", f"{path}: cannot be read ({problem})", remedy)
        return
    except sqlite3.DatabaseError as problem:
        found = str(problem)
    remedy = (
        f"move {path} away, and searches start again, or save what is left: "
        f"sqlite3 {shlex.quote(str(path))} .recover > new.sql"
    )
    state = "not damaged" if found == "ok" else f"damaged ({in_one_line(found)})"
    yield Finding("studies", f"{path}: {state}", "" if found == "ok" else remedy)


def journals(sync: str) -> Iterator[Finding]:
    """Runs that are not completely uploaded, and have no process any more."""
    left = []
    for folder in runs_in(default_folders()):
        try:
            if has_unsent(folder):
                left.append(str(folder))
        except (FaeError, OSError) as problem:
            remedy = f"move {folder} away, and the command of its run starts again"
            yield Finding("journals", str(problem), remedy)
    yield Finding(
        "journals",
        f"not completely uploaded: {', '.join(left)}" if left else "completely uploaded",
        sync if left else "",
    )


def folders(config: Config) -> Iterator[Finding]:
    """The folders that runs write to: writable."""
    for place in [*_places(config), *map(Path.absolute, default_folders())]:
        refusal = _refusal(place)
        yield Finding(
            "folders",
            f"{place} is not writable ({refusal})" if refusal else f"{place} is writable",
            f"make {place} writable, or choose another by cd or tracking.uri" if refusal else "",
        )


def _places(config: Config) -> list[Path]:
    """The working folder, and that of an SQLite store, which may not exist yet."""
    places = [Path.cwd()]
    if file := file_of(config.tracking.uri):
        places.append(_there(file.parent))
    return [*dict.fromkeys(places)]


def _there(folder: Path) -> Path:
    """A folder, or the nearest existing one above it."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _refusal(folder: Path) -> str:
    """Why a file cannot be created in a folder; empty if it can."""
    try:
        NamedTemporaryFile(dir=_there(folder)).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def disk(config: Config) -> Iterator[Finding]:
    """Free disk space for runs."""
    for place in _places(config):
        free = shutil.disk_usage(place).free
        remedy = f"make room on the disk of {place}" if free < LITTLE_SPACE else ""
        yield Finding("disk", f"{free / 1e9:.1f} GB are free in {place}", remedy)


def ui() -> Iterator[Finding]:
    """What ``mlflow ui`` needs: its port, and no file store that it would show instead."""
    with closing(socket.socket()) as probe:
        taken = probe.connect_ex(("127.0.0.1", UI_PORT)) == 0
    by = f"by mlflow ui already, or choose another: mlflow ui --port {UI_PORT + 1}"
    state = f"port {UI_PORT} is {f'taken: {by}' if taken else 'free'}"
    yield Finding("mlflow ui", state, note=taken)
    if any(Path("mlruns").glob("*/meta.yaml")):
        state = "mlruns/ is a file store, which mlflow ui shows instead of mlflow.db"
        yield Finding("mlflow ui", state, "mlflow ui --backend-store-uri sqlite:///mlflow.db")


def gpu(config: Config) -> Iterator[Finding]:
    """A GPU that is not used, or that PyTorch cannot use."""
    import torch

    if torch.cuda.is_available():
        unused = config.trainer.accelerator == "cpu"
        use = "not used; trainer.accelerator=gpu uses it" if unused else "used"
        yield Finding("GPU", f"{torch.cuda.get_device_name()}, {use}", note=unused)
    elif shutil.which("nvidia-smi"):
        state = "present, but PyTorch cannot use it"
        yield Finding("GPU", state, "install a PyTorch that supports its driver; see nvidia-smi")
    else:
        yield Finding("GPU", "none")


def examine(*overrides: str) -> None:
    """Print the results of all checks, for the configuration of these overrides.

    Raises:
        FaeError: there are problems.
    """
    config = compose(*overrides)
    sync = shlex.join(["python", "-m", "fae.sync", *overrides])
    findings = []
    for finding in chain(
        versions(),
        data(config),
        store(config, sync),
        studies(config),
        journals(sync),
        folders(config),
        disk(config),
        ui(),
        gpu(config),
    ):
        say(str(finding))
        findings.append(finding)
    problems = sum(bool(finding.remedy) for finding in findings)
    if problems:
        raise FaeError(f"{problems} of {len(findings)} checks found problems")
