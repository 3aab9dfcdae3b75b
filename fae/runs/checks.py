"""Checks of what runs need: the libraries, the data, the store, the folders, the machine.

Light at import, so that a library that is missing is named before anything imports it.
"""

import shlex
import shutil
import socket
import sqlite3
import statistics
import timeit
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile

from packaging.requirements import Requirement

from fae.cli.compose import compose
from fae.config import Config
from fae.errors import ConfigError, DataError, FaeError
from fae.runtime.console import BAD, UNCLEAR, in_one_line, say
from fae.runtime.installation import PACKAGE
from fae.tracking.address import file_of
from fae.tracking.ui import PORT

LITTLE_SPACE = 2e9
"""Bytes; a sweep of the paper takes some 100 MB."""
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
        required = [Requirement(line) for line in requires("fae") or []]
    except PackageNotFoundError:
        state = f"{PACKAGE} is used without being installed: not checked"
        yield Finding("libraries", state, note=True)
        return
    wrong = []
    for library in required:
        if library.marker is None or library.marker.evaluate({"extra": ""}):
            found = next((found.version for found in distributions(name=library.name)), "none")
            if found == "none" or not library.specifier.contains(found, prereleases=True):
                wrong.append(f"{library} is required, {found} is installed")
    remedy = "pip install --constraint constraints.txt --editable ." if wrong else ""
    yield Finding("libraries", "; ".join(wrong) or "as required", remedy)


def data(config: Config) -> Iterator[Finding]:
    """The images that are present, checked; none are downloaded."""
    try:
        data_set = config.data.build()
        missing = data_set.missing()
        if not missing:
            data_set.verify()
    except (ConfigError, DataError) as problem:
        yield Finding("data", str(problem), SEE_MESSAGE)
        return
    if not missing:
        place = f" in {data_set.folder}" if data_set.folder else ""
        is_own = data_set.origin == str(data_set.folder)  # not published by anybody
        state = f"digest {data_set.digest}" if is_own else "content as published"
        yield Finding("data", f"{config.data.name}{place}, {state}")
    elif refusal := _refusal(data_set.folder or Path()):
        other = "set data.root to a folder that has them, unset FAE_DATA, or use experiment=digits"
        yield Finding("data", f"{missing}, and is not writable ({refusal})", other)
    else:
        yield Finding("data", f"{missing}; the first run downloads them", note=True)


def store(config: Config, sync: str) -> Iterator[Finding]:
    """The store: reachable, readable, writable, not damaged."""
    from fae.tracking.archive import Archive
    from fae.tracking.recovery import crashed_runs

    uri = config.tracking.uri
    try:
        archive = Archive.if_there(config.tracking)
    except FaeError as problem:
        yield Finding("store", str(problem), SEE_MESSAGE)
        return
    if archive is None:
        yield Finding("store", f"{uri}: none yet; the first run creates it")
        return
    path = file_of(uri)
    if path is None:
        yield Finding("store", f"{uri} answers")
    else:
        flaw = _flaw("store", uri, path, written=True)
        yield flaw or Finding("store", f"{uri} is writable and not damaged")
    if archive.move:
        yield Finding("store", f"{archive.move}, but {uri} has the old paths", sync)
    try:
        dead = [f"{run.name} ({run.id[:8]})" for run in crashed_runs(archive)]
    except FaeError as problem:
        yield Finding("runs", str(problem), SEE_MESSAGE)
        return
    if dead:
        remedy = f"{sync}, or repeat their command, which resumes them"
        yield Finding("runs", f"RUNNING, but crashed: {', '.join(dead)}", remedy)
    else:
        yield Finding("runs", "none has crashed")


def studies(config: Config) -> Iterator[Finding]:
    """Optuna's database in its default place: not damaged."""
    file = file_of(config.tracking.uri)
    path = file.with_name("optuna.db") if file else Path.cwd() / "optuna.db"
    if path.is_file():
        advice = f"move {path} away, and searches start again, or save what is left: "
        flaw = _flaw("studies", path, path, advice=advice)
        yield flaw or Finding("studies", f"{path}: not damaged")


def _flaw(
    what: str, name: object, path: Path, *, written: bool = False, advice: str = ""
) -> Finding | None:
    """What is wrong with an SQLite database, if anything.

    Args:
        written: whether a change must be possible; it is rolled back, but only a change writes the
            journal beside the database.
        advice: precedes the remedy for a damaged one.
    """
    try:
        with closing(sqlite3.connect(path, timeout=3)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if written:
                database.execute("BEGIN IMMEDIATE")
                database.execute("PRAGMA user_version = 1")
                database.rollback()
    except sqlite3.OperationalError as problem:
        state = f"{name}: cannot be {'written' if written else 'read'} ({problem})"
        able = "and its folder writable" if written else "readable"
        return Finding(what, state, f"make {path} {able}, or end the process that locks it")
    except sqlite3.DatabaseError as problem:
        found = str(problem)
    if found == "ok":
        return None
    remedy = f"{advice}sqlite3 {shlex.quote(str(path))} .recover > new.sql"
    return Finding(what, f"{name}: damaged ({in_one_line(found)})", remedy)


def journals(sync: str) -> Iterator[Finding]:
    """Runs that are not completely uploaded, and have no process any more."""
    from fae.tracking.recovery import has_unsent
    from fae.tracking.sync import default_folders, runs_in

    left = []
    for folder in runs_in(default_folders()):
        try:
            if has_unsent(folder):
                left.append(str(folder))
        except (FaeError, OSError) as problem:
            remedy = f"move {folder} away, and the command of its run starts again"
            yield Finding("journals", str(problem), remedy)
    if left:
        yield Finding("journals", f"not completely uploaded: {', '.join(left)}", sync)
    else:
        yield Finding("journals", "completely uploaded")


def folders(config: Config) -> Iterator[Finding]:
    """The folders that runs write to: writable."""
    from fae.tracking.sync import default_folders

    for place in [*_places(config), *map(Path.absolute, default_folders())]:
        if refusal := _refusal(place):
            remedy = f"make {place} writable, or choose another by cd or tracking.uri"
            yield Finding("folders", f"{place} is not writable ({refusal})", remedy)
        else:
            yield Finding("folders", f"{place} is writable")


def _places(config: Config) -> list[Path]:
    """The working folder, and that of an SQLite store, which may not exist yet."""
    file = file_of(config.tracking.uri)
    return [*dict.fromkeys([Path.cwd(), _there(file.parent) if file else Path.cwd()])]


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
        taken = probe.connect_ex(("127.0.0.1", PORT)) == 0
    by = f"by mlflow ui already, or choose another: mlflow ui --port {PORT + 1}"
    state = f"port {PORT} is {f'taken: {by}' if taken else 'free'}"
    yield Finding("mlflow ui", state, note=taken)
    if any(Path("mlruns").glob("*/meta.yaml")):
        state = "mlruns/ is a file store, which mlflow ui shows instead of mlflow.db"
        yield Finding("mlflow ui", state, "mlflow ui --backend-store-uri sqlite:///mlflow.db")


def speed() -> Iterator[Finding]:
    """What the processor has, how fast it multiplies, and whether bfloat16 is faster."""
    import torch

    from fae.models import kernels
    from fae.runtime import processor
    from fae.runtime.threads import limit_threads

    limit_threads()
    single = _gigaflops("float32")
    if processor.has_bfloat16():
        share = _gigaflops("bfloat16") / single
        in_bfloat16 = f"{share:.1f} times as fast in bfloat16 (trainer.precision=bf16-mixed)"
    else:
        in_bfloat16 = "no bfloat16 instructions, so trainer.precision=bf16-mixed is slower"
    yield Finding(
        "processor",
        f"{processor.name()} ({kernels.describe()}): products at {single:.0f} GFLOP/s on "
        f"{torch.get_num_threads()} of {processor.cores()} cores; {in_bfloat16}",
    )


def _gigaflops(dtype: str) -> float:
    """Speed of the product of an encoder with 256 units, by the median of 50."""
    import torch

    from fae.models.layers.linear import product

    images, weight = (torch.rand(rows, 784).to(getattr(torch, dtype)) for rows in (1000, 256))
    taken = timeit.repeat(lambda: product(images, weight), number=1, repeat=50)
    return 2e-9 * 1000 * 784 * 256 / statistics.median(taken)


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
    checks = [
        versions(),
        data(config),
        store(config, sync),
        studies(config),
        journals(sync),
        folders(config),
        disk(config),
        ui(),
        speed(),
        gpu(config),
    ]
    problems = []
    for finding in chain(*checks):
        say(str(finding), style=BAD if finding.remedy else UNCLEAR if finding.note else "")
        problems.append(bool(finding.remedy))
    if any(problems):
        raise FaeError(f"{sum(problems)} of {len(problems)} checks found problems")
