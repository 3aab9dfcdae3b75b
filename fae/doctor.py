"""The command: look at everything that a user can stumble over, and name what mends it."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import shlex
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile

from packaging.requirements import Requirement

from fae.cli import command
from fae.cli.compose import compose
from fae.config import Config, FashionMNISTConfig
from fae.errors import DataError, FaeError
from fae.runtime.console import in_one_line, say
from fae.sync import FOLDERS, runs_in
from fae.tracking.address import file_of

HELP = """Look at everything that you can stumble over, and name what mends it.

    python -m fae.doctor [OVERRIDE ...]

The overrides are those of the train command: tracking.uri=..., data.root=...
Exit code 1 where something is to be mended."""
LITTLE_SPACE = 2e9
"""Bytes; a sweep of the paper takes some 100 MB."""
UI_PORT = 5000
"""Where ``mlflow ui`` listens."""


@dataclass(frozen=True)
class Finding:
    """Something that was looked at.

    Attributes:
        what: was looked at.
        state: it is in.
        remedy: what to do about it; nothing where all is well.
        note: worth knowing, though nothing is wrong.
    """

    what: str
    state: str
    remedy: str = ""
    note: bool = False

    def __str__(self) -> str:
        mend = f"\n         mend it by: {self.remedy}" if self.remedy else ""
        kind = "problem" if self.remedy else "note" if self.note else "ok"
        return f"{kind:8} {self.what}: {self.state}{mend}"


def versions() -> Iterator[Finding]:
    """The libraries, against what the project asks for."""
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
            wrong.append(f"{requirement} is wanted, {found or 'none'} is installed")
    remedy = "pip install --constraint constraints.txt --editable ." if wrong else ""
    yield Finding("libraries", "; ".join(wrong) or "as the project asks for", remedy)


def data(config: Config) -> Iterator[Finding]:
    """The images that are there, checked; none are downloaded."""
    from fae.data.dataset import build_source
    from fae.data.fashion_mnist import files

    if not isinstance(config.data, FashionMNISTConfig):
        try:
            build_source(config.data).verify()
        except DataError as problem:
            yield Finding("data", str(problem), "what this says")
        else:
            yield Finding("data", f"{config.data.name}, nothing to download")
        return
    folder = files.folder(config.data.root)
    other = "a data.root that holds them, no FAE_DATA at all, or experiment=digits"
    try:
        absent = files.missing(folder)
    except OSError as problem:
        yield Finding("data", f"{folder} cannot be read ({problem.strerror})", other)
        return
    damaged = []
    for name in [name for name in files.FILES if name not in absent]:
        try:
            files.check(folder, name)
        except DataError as problem:
            damaged.append(Finding("data", str(problem), "what this says"))
    missing = f"{folder} lacks {len(absent)} of {len(files.FILES)} files"
    if damaged:
        yield from damaged
    elif not absent:
        yield Finding("data", f"{config.data.name} in {folder}, content as published")
    elif refusal := _refusal(folder):
        yield Finding("data", f"{missing}, and takes none ({refusal})", other)
    else:
        yield Finding("data", f"{missing}; the first run downloads them", note=True)


def store(config: Config, sync: str) -> Iterator[Finding]:
    """The store: that it can be reached, read and written, and that it is whole."""
    from fae.tracking.archive import Archive
    from fae.tracking.recovery import unfinished_and_dead

    uri = config.tracking.uri
    try:
        archive = Archive.if_there(config.tracking)
    except FaeError as problem:
        yield Finding("store", str(problem), "what this says")
        return
    if archive is None:
        yield Finding("store", f"{uri}: none yet; the first run makes it")
        return
    yield _whole(uri)
    if archive.move:
        yield Finding("store", f"{archive.move}, which {uri} does not say", sync)
    try:
        dead = unfinished_and_dead(archive)
    except FaeError as problem:
        yield Finding("runs", str(problem), "what this says")
        return
    names = ", ".join(f"{run.name} ({run.id[:8]})" for run in dead)
    yield Finding(
        "runs",
        f"RUNNING, though nobody is at them: {names}" if dead else "none ended without a word",
        f"{sync}, or the same command again, which carries them on" if dead else "",
    )


def _whole(uri: str) -> Finding:
    path = file_of(uri)
    if path is None:
        return Finding("store", f"{uri} answers")
    try:
        with closing(sqlite3.connect(path, timeout=3)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            # Only a change makes the journal, which needs its folder; it is taken back.
            database.execute("UPDATE alembic_version SET version_num = version_num || ' '")
            database.rollback()
    except sqlite3.Error as problem:
        remedy = f"making {path} and its folder writable, or ending what holds it"
        return Finding("store", f"{uri}: cannot be written ({problem})", remedy)
    if found != "ok":
        return Finding(
            "store",
            f"{uri}: damaged ({found})",
            f"sqlite3 {shlex.quote(str(path))} .recover > new.sql",
        )
    return Finding("store", f"{uri} can be written and is whole")


def studies(config: Config) -> Iterator[Finding]:
    """Optuna's database where searches keep it by default: that it is whole."""
    file = file_of(config.tracking.uri)
    path = file.with_name("optuna.db") if file else Path.cwd() / "optuna.db"
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=3)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as problem:
        remedy = f"making {path} readable, or ending what holds it"
        yield Finding("studies", f"{path}: cannot be read ({problem})", remedy)
        return
    except sqlite3.DatabaseError as problem:
        found = str(problem)
    remedy = (
        f"moving {path} away; a search then begins anew, or saving what is left: "
        f"sqlite3 {shlex.quote(str(path))} .recover > new.sql"
    )
    state = "whole" if found == "ok" else f"damaged ({in_one_line(found)})"
    yield Finding("studies", f"{path}: {state}", "" if found == "ok" else remedy)


def journals(sync: str) -> Iterator[Finding]:
    """Runs of which the store lacks something, and that nobody is at."""
    from fae.tracking.recovery import is_left

    here = [Path(name) for name in FOLDERS if Path(name).is_dir()]
    left = []
    for folder in runs_in(here):
        try:
            if is_left(folder):
                left.append(str(folder))
        except (FaeError, OSError) as problem:
            remedy = f"moving {folder} away; the command of its run then begins it anew"
            yield Finding("journals", str(problem), remedy)
    yield Finding(
        "journals",
        f"not all is in the store of {', '.join(left)}" if left else "all that was said is stored",
        sync if left else "",
    )


def folders(config: Config) -> Iterator[Finding]:
    """Where runs write: that they can."""
    made = [Path.cwd() / name for name in FOLDERS if Path(name).is_dir()]
    for place in [*_places(config), *made]:
        refusal = _refusal(place)
        yield Finding(
            "folders",
            f"{place} cannot be written ({refusal})" if refusal else f"{place} can be written",
            f"making {place} writable, or naming another, by cd or tracking.uri" if refusal else "",
        )


def _places(config: Config) -> list[Path]:
    """The working folder, and where a store of the SQLite kind is or will be made."""
    places = [Path.cwd()]
    if file := file_of(config.tracking.uri):
        places.append(_there(file.parent))
    return [*dict.fromkeys(places)]


def _there(folder: Path) -> Path:
    """A folder, or the nearest above it that there is, where it would be made."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _refusal(folder: Path) -> str:
    """Why a folder does not take a file; nothing if it does."""
    try:
        NamedTemporaryFile(dir=_there(folder)).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def disk(config: Config) -> Iterator[Finding]:
    """Free space where runs write."""
    for place in _places(config):
        free = shutil.disk_usage(place).free
        remedy = f"making room on the disk of {place}" if free < LITTLE_SPACE else ""
        yield Finding("disk", f"{free / 1e9:.1f} GB are free in {place}", remedy)


def ui() -> Iterator[Finding]:
    """What a bare ``mlflow ui`` needs: its port, and no store of an older kind in its way."""
    with closing(socket.socket()) as probe:
        taken = probe.connect_ex(("127.0.0.1", UI_PORT)) == 0
    by = f"by mlflow ui already, or choose another: mlflow ui --port {UI_PORT + 1}"
    state = f"port {UI_PORT} is {f'taken: {by}' if taken else 'free'}"
    yield Finding("mlflow ui", state, note=taken)
    if any(Path("mlruns").glob("*/meta.yaml")):
        state = "mlruns/ holds a store of files, which mlflow ui shows in place of mlflow.db"
        yield Finding("mlflow ui", state, "mlflow ui --backend-store-uri sqlite:///mlflow.db")


def gpu(config: Config) -> Iterator[Finding]:
    """A GPU that is there and not used, or cannot be."""
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        unused = config.trainer.accelerator == "cpu"
        state = f"{name}, {'not used' if unused else 'used'}"
        yield Finding("GPU", state, "trainer.accelerator=gpu" if unused else "")
    elif shutil.which("nvidia-smi"):
        state = "there is one, but PyTorch cannot use it"
        yield Finding("GPU", state, "installing a PyTorch that suits its driver, see nvidia-smi")
    else:
        yield Finding("GPU", "none")


def examine(*overrides: str) -> None:
    """Print what there is to find about the configuration that these overrides make.

    Raises:
        FaeError: something is to be mended.
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
        raise FaeError(f"{problems} of {len(findings)} findings are to be mended")


def main() -> None:
    """Entry point of ``python -m fae.doctor`` and ``fae-doctor``."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        say(HELP)
        return
    command.run(lambda: examine(*sys.argv[1:]))


if __name__ == "__main__":
    main()
