"""What the doctor finds, and that its remedies work."""

import dataclasses
import errno
import functools
import os
import shlex
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, environment
from dying import begun, died

from fae.cli.compose import compose
from fae.config import Config
from fae.data.digits.images import Digits
from fae.data.fashion_mnist.files import files as fashion_mnist_files
from fae.data.fashion_mnist.images import FashionMNIST
from fae.models import kernels
from fae.runs import checks
from fae.runs.checks import Finding
from fae.runtime import processor
from fae.tracking.store import Store

SYNC = "python -m fae.sync"


def configured(folder: Path, *overrides: str) -> Config:
    return compose(NO_LOCAL, f"tracking.uri='sqlite:///{folder}/mlflow.db'", *overrides)


def problems(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.remedy]


def command(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forking.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment(f"sqlite:///{folder}/mlflow.db"),
        timeout=120,
    )


@pytest.mark.long
def test_what_the_doctor_names_mends_it(tmp_path: Path, empty_store: bytes) -> None:
    """A run that was killed before all it said was stored, in a store of its own."""
    (tmp_path / "outputs").mkdir()
    overrides = NO_LOCAL, "data=synthetic", f"tracking.uri='sqlite:///{tmp_path}/other.db'"
    (tmp_path / "other.db").write_bytes(empty_store)
    run_id = died(tmp_path / "outputs" / "dies", compose(*overrides).tracking)
    sick = command(tmp_path, "fae.doctor", *overrides)
    assert sick.returncode == 1
    assert f"RUNNING, but crashed: dies ({run_id[:8]})" in sick.stdout
    assert "not completely uploaded: outputs/dies" in sick.stdout
    first, second = [r for r in sick.stdout.split("fix: ") if r.startswith(SYNC)]
    remedy = shlex.split(second.partition("\n")[0])
    assert shlex.split(first.partition(", or repeat their command")[0]) == remedy
    assert remedy == ["python", "-m", "fae.sync", *overrides]
    assert sick.stderr.startswith("fae: 2 of ")
    mended = command(tmp_path, *remedy[2:])
    assert mended.returncode == 0, mended.stderr
    assert "outputs/dies: entries uploaded: 1" in mended.stdout
    assert f"dies ({run_id[:8]}): crashed, now closed" in mended.stdout
    well = command(tmp_path, "fae.doctor", *overrides)
    assert well.returncode == 0, well.stdout
    assert "nothing to upload" in command(tmp_path, "fae.sync").stdout


@pytest.mark.usefixtures("own_store")
def test_a_run_that_goes_on_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    config = configured(tmp_path)
    Store(config.tracking)
    with begun(tmp_path / "outputs" / "stays", config.tracking) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert problems([*checks.journals(SYNC), *checks.store(config, SYNC)]) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = command(tmp_path, "fae.sync", "nowhere")
    assert (done.returncode, done.stderr) == (2, "fae: nowhere: no such folder\n")


def test_a_damaged_study_is_named(tmp_path: Path) -> None:
    config, file = configured(tmp_path), tmp_path / "optuna.db"
    assert [*checks.studies(config)] == []
    with closing(sqlite3.connect(file)) as database:
        database.executescript(
            "CREATE TABLE trials (id); CREATE TABLE params (id); INSERT INTO params VALUES (1);"
        )
    assert [*checks.studies(config)] == [Finding("studies", f"{file}: not damaged")]
    content = file.read_bytes()
    size = len(content) // 3
    pages = b"damaged." * (size // 8)
    for damaged in (content[:size] + pages + content[2 * size :], content[:size], pages):
        file.write_bytes(damaged)
        (found,) = problems(checks.studies(config))
        assert found.state.startswith(f"{file}: damaged (")
        assert found.remedy == (
            f"move {file} away, and searches start again, or save what is left: "
            f"sqlite3 {file} .recover > new.sql"
        )


def test_a_library_that_is_missing_or_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(checks.versions()) == []
    wanted = ["torch>=99", "no-such-thing>=1", "numpy>=1"]
    monkeypatch.setattr(checks, "requires", lambda _: wanted)
    (found,) = problems(checks.versions())
    assert found.state.startswith("torch>=99 is required, 2.")
    assert found.state.endswith("; no-such-thing>=1 is required, none is installed")


def test_libraries_are_checked_before_they_are_imported() -> None:
    code = (
        "import sys, fae.runs.checks\n"
        "print({'filelock', 'mlflow', 'numpy', 'tenacity', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("flags", [[], ["-OO"]])
def test_its_help_is_there_without_docstrings(flags: list[str]) -> None:
    command = [sys.executable, *flags, "-m", "fae.doctor", "--help"]
    ended = subprocess.run(command, env=environment("unused"), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "usage: fae doctor [KEY=VALUE ...]" in ended.stdout


def test_without_being_installed_libraries_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where only PYTHONPATH leads to it."""

    def of_nothing(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(checks, "requires", of_nothing)
    (found,) = checks.versions()
    assert str(found).startswith("note     libraries: ")
    assert found.state.endswith("is used without being installed: not checked")


def test_damaged_images_are_named(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    (found,) = problems(checks.data(configured(tmp_path, f"data.root={tmp_path}")))
    assert found.state.startswith(f"{raw}/t10k-labels-idx1-ubyte.gz: not the official file")


def test_good_images_are_no_problem_and_their_place_is_told(
    fashion_mnist: FashionMNIST, tmp_path: Path
) -> None:
    root = fashion_mnist.folder.parents[1]
    (found,) = checks.data(configured(tmp_path, f"data.root='{root}'"))
    where = f"{root}/FashionMNIST/raw"
    assert str(found) == f"ok       data: fashion_mnist in {where}, content as published"


def test_images_of_a_package_are_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, "data=digits")
    (found,) = checks.data(config)
    assert str(found) == "ok       data: digits, content as published"
    monkeypatch.setattr(Digits, "digest", "another")
    (found,) = problems(checks.data(config))
    assert "are not those that fae expects" in found.state


def test_images_are_left_to_the_first_run_to_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist_files, "fetch", lambda _: pytest.fail("downloads"))
    config = configured(tmp_path, f"data.root={tmp_path}/data")
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    (found,) = checks.data(config)
    assert str(found) == f"note     data: {raw} lacks 4 of 4 files; the first run downloads them"
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").write_text("no folder")
    (found,) = problems(checks.data(config))
    assert found.state == f"{raw} lacks 4 of 4 files, and is not writable (Not a directory)"


def test_a_store_that_is_no_database_is_named(tmp_path: Path) -> None:
    assert problems(checks.store(configured(tmp_path), SYNC)) == []
    (tmp_path / "mlflow.db").write_text("not a database" * 100)
    (found,) = problems(checks.store(configured(tmp_path), SYNC))
    assert "not a database that can be read" in found.state


@pytest.mark.usefixtures("own_store")
def test_a_store_that_takes_no_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may write anywhere, the database is opened for reading only."""
    config = configured(tmp_path)
    Store(config.tracking)
    assert problems(checks.store(config, SYNC)) == []
    database = f"{(tmp_path / 'mlflow.db').as_uri()}?mode=ro"
    for_reading = functools.partial(sqlite3.connect, database, uri=True)
    monkeypatch.setattr(sqlite3, "connect", lambda *_, timeout, **__: for_reading(timeout=timeout))
    (found,) = problems(checks.store(config, SYNC))
    assert found.state.endswith("cannot be written (attempt to write a readonly database)")


def test_folders_that_cannot_be_written_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may write anywhere, a file system that is read-only is simulated."""
    work, far = tmp_path / "work", tmp_path / "far"
    for folder in (work / "outputs", far):
        folder.mkdir(parents=True)
    monkeypatch.chdir(work)
    config = configured(far / "is made")
    assert [finding.state for finding in checks.folders(config)] == [
        f"{place} is writable" for place in (work, far, work / "outputs")
    ]
    assert not list(far.iterdir())

    def refuse(dir: Path) -> None:  # noqa: A002 the name is tempfile's
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir / "tmp"))

    monkeypatch.setattr(checks, "NamedTemporaryFile", refuse)
    found = problems(checks.folders(config))
    assert found[0].state == f"{work} is not writable (Read-only file system)"
    assert found[1].remedy == f"make {far} writable, or choose another by cd or tracking.uri"
    assert len(found) == 3


def test_little_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(checks.disk(configured(tmp_path))) == []
    monkeypatch.setattr(checks, "LITTLE_SPACE", float("inf"))
    assert f"make room on the disk of {tmp_path}" in [
        finding.remedy for finding in problems(checks.disk(configured(tmp_path)))
    ]


@pytest.mark.parametrize(
    ("bfloat16", "told"),
    [
        (True, "2.5 times as fast in bfloat16 (trainer.precision=bf16-mixed)"),
        (False, "no bfloat16 instructions, so trainer.precision=bf16-mixed is slower"),
    ],
)
def test_what_the_processor_is_good_for_is_told(
    bfloat16: bool,
    told: str,
    with_threads: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speeds = {"float32": 100.4, "bfloat16": 251.0}
    if not bfloat16:
        del speeds["bfloat16"]  # not measured, as that would take long
    monkeypatch.setattr(checks, "_gigaflops", speeds.__getitem__)
    monkeypatch.setattr(processor, "name", lambda: "New One")
    monkeypatch.setattr(processor, "instructions", lambda: "AVX512")
    monkeypatch.setattr(processor, "has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(processor, "cores", lambda: 3)
    with_threads(1)
    with kernels.using("onednn"):
        (found,) = checks.speed()
    assert str(found) == (
        "ok       processor: New One (AVX512, oneDNN): products at 100 GFLOP/s on 1 of 3 cores; "
        f"{told}"
    )


def test_the_speed_of_products_is_by_the_median_of_what_they_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three, one of which waited for another process."""
    monkeypatch.setattr("timeit.repeat", lambda *_, **__: [0.02, 0.5, 0.01])
    assert checks._gigaflops("float32") == pytest.approx(2 * 1000 * 784 * 256 / 0.02 / 1e9)


def test_a_gpu_that_is_not_used_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100")
    config = configured(tmp_path)
    (found,) = checks.gpu(config)
    assert str(found) == ("note     GPU: NVIDIA H100, not used; trainer.accelerator=gpu uses it")
    trainer = dataclasses.replace(config.trainer, accelerator="gpu")
    (found,) = checks.gpu(dataclasses.replace(config, trainer=trainer))
    assert str(found) == "ok       GPU: NVIDIA H100, used"


def test_a_port_that_is_taken_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        monkeypatch.setattr(checks, "PORT", port := taken.getsockname()[1])
        (found,) = checks.ui()
    assert str(found) == (
        f"note     mlflow ui: port {port} is taken: by mlflow ui already, or choose another: "
        f"mlflow ui --port {port + 1}"
    )


def test_what_keeps_the_ui_from_its_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("")
    (files,) = problems(checks.ui())
    assert files.remedy == "mlflow ui --backend-store-uri sqlite:///mlflow.db"
