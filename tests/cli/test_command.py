"""Errors as messages and exit codes."""

import errno
import sys
from pathlib import Path

import forking
import pytest
import torch
from conftest import NO_LOCAL, environment

from fae.cli.command import WRITABLE, _explain
from fae.config import Config
from fae.errors import ConfigError, FaeError, Interrupted

EVIL = "\x1b]0;title\x07\x1b[2J"
SHOWN = r"\x1b]0;title\x07\x1b[2J"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigError(EVIL), 2, f"fae: {SHOWN}\n"),
        (FaeError("one\ntwo"), 1, "fae: one\ntwo\n"),
        (Interrupted(15), 143, "fae: interrupted by SIGTERM\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "f"),
            2,
            f"fae: {Path('f').absolute()}: Permission denied; {WRITABLE}\n",
        ),
        (MemoryError(), 1, "fae: not enough memory (see ulimit -v): MemoryError\n"),
        (
            ImportError("Wrong build.\nlibtorch.so: failed to map segment from shared object"),
            1,
            "fae: not enough memory (see ulimit -v): "
            "libtorch.so: failed to map segment from shared object\n",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee\nthis"),
            1,
            "fae: not enough memory of the GPU (see nvidia-smi): "
            "CUDA out of memory. Tried to allocate 2.00 GiB.\n",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_user_can_mend_is_told_without_a_traceback(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _explain(error, [Config], full=False) == code
    assert capsys.readouterr().err == told
    assert _explain(error, [Config], full=True) == code
    full = capsys.readouterr().err
    assert full.endswith(told)
    assert len(full) > len(told)


def test_another_error_is_told_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert _explain(RuntimeError(EVIL), [Config], full=False) == 1
    assert capsys.readouterr().err == f"RuntimeError: {SHOWN}\n"


def told(module: str, *arguments: str, full_error: str = "0") -> tuple[int, str]:
    """The exit code of a command, and its standard error."""
    ended = forking.run(
        [sys.executable, "-m", f"fae.{module}", *arguments, NO_LOCAL],
        env={**environment("sqlite:///unused.db"), "HYDRA_FULL_ERROR": full_error},
        timeout=60,
    )
    return ended.returncode, ended.stderr


def test_a_full_error_has_the_same_exit_code() -> None:
    code, plain = told("train", "hidden=x")
    assert (code, plain) == (2, "fae: hidden=x: must be a valid integer\n")
    code, full = told("train", "hidden=x", full_error="1")
    assert code == 2
    assert full.startswith("Traceback")
    assert full.endswith(plain)


@pytest.mark.parametrize("module", ["train", "search"])
def test_presets_that_sweep_are_not_swept(module: str) -> None:
    """Their grids would be dropped; named are the commands that keep them."""
    problems = [
        f"experiment={preset}: its hydra.sweeper.params cannot apply to one job of several; run it "
        f"alone: python -m fae.{module} -m epochs=3 {NO_LOCAL} experiment={preset}"
        for preset in ("dropout", "lr")
    ]
    code, errors = told(module, "-m", "experiment=dropout,lr,smoke", "epochs=3")
    assert (code, errors) == (2, "fae: " + "\n".join(problems) + "\n")


def test_a_grid_is_not_dropped_by_a_single_run() -> None:
    code, errors = told("train", "experiment=paper", "hydra.mode=RUN")
    assert code == 2
    assert errors == "fae: hydra.mode=RUN: would ignore the preset's grid; leave it out\n"
