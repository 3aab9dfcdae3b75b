"""A command as a process: signals, messages and exit codes.

0 done, 1 a run failed, 2 bad configuration or data, 3 the store cannot be used,
128 + N signal N: 130 SIGINT, 143 SIGTERM.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exception
from typing import Any, ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fae.cli import code_guard, manual, options, reference
from fae.cli.compose import check
from fae.cli.hydra_internals import failure, parsed
from fae.cli.messages import explain, raised_by_hydra
from fae.cli.unknown import known_keys
from fae.config import Config
from fae.errors import ConfigError, FaeError, Interrupted, cause, first_line
from fae.runtime import process, signals, streams
from fae.runtime.console import BAD, errors, printable, say

WRITABLE = "python -m fae.doctor shows which folders are writable"
FULL_ERROR = "HYDRA_FULL_ERROR"
NO_MEMORY = (
    "allocate memory",
    "failed to map segment",  # of a library, at import
    "can't start new thread",
)
"""Parts of messages of errors other than MemoryError that mean the same."""
NO_GPU_MEMORY = "CUDA out of memory"
Prepare = Callable[[Config], object]
"""Checks what the run of a configuration needs, as ``fae.runs.run.prepare``."""


def _prepare_nothing(_: Config) -> None:
    pass


def run(
    entry: Callable[[], object], *schemas: type, name: str = "", prepare: Prepare = _prepare_nothing
) -> None:
    """Run a command and end the process with the right exit code.

    With HYDRA_FULL_ERROR=1 in the environment, errors are shown with their traceback. A process
    that is not the command's own, such as a notebook's, gets its signal handlers, streams, warning
    filters, root logger and environment back.

    Args:
        entry: calls Hydra's entry point, or does without Hydra.
        schemas: of the command's configuration; that of a run is the default.
        name: of the command, which answers --help; without one, the entry sees all arguments.
        prepare: called before Hydra makes the folder of a single run.

    Raises:
        SystemExit: the exit code is not 0.
    """
    full_error = os.environ.get(FULL_ERROR) == "1"
    schemas = SingleRunGuard.schemas = schemas or (Config,)
    SingleRunGuard.prepare = prepare
    is_ours = process.has_begun()
    signals.install(as_guest=not is_ours, may_end=is_ours)
    code: int | None = None
    try:
        with streams.guarded(), _hydra(), code_guard.known_code_only():
            if not (name and _answered(name, sys.argv[1:])):
                if name in reference.COMMANDS:
                    sys.argv[1:] = options.in_order(sys.argv[1:], _settings(*schemas))
                code_guard.refuse_pickle(sys.argv[1:])
                entry()
        code = 0
    except PastHydraError as carrier:
        code = _explain(carrier.error, schemas, full=full_error)
    except (Exception, Interrupted) as error:
        code = _explain(error, schemas, full=full_error)
    finally:
        signals.finish(code)
    if code:
        sys.exit(code)


@contextmanager
def _hydra() -> Iterator[None]:
    """Within the block Hydra raises what it would print, and sets up the root logger.

    After it the environment and the logger are as before.
    """
    before, root = dict(os.environ), logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _answered(name: str, arguments: Sequence[str]) -> bool:
    """Print help or the version, if a command line asks for it."""
    if options.ASKS_FOR_HELP & {*arguments}:
        manual.of(name)
    elif options.ASKS_FOR_VERSION & {*arguments}:
        print(manual.version())
    else:
        return False
    return True


def words() -> list[str]:
    """The arguments of a command that Hydra does not read.

    Raises:
        ConfigError: there is an option.
    """
    return options.words(sys.argv[1:], _settings(Config))


def folders_and_overrides() -> tuple[list[Path], list[str]]:
    """The arguments of such a command that are folders, and those that are overrides.

    Raises:
        ConfigError: there is an option.
    """
    given = words()
    # The folder of a run is named after its overrides.
    overrides = [word for word in given if "=" in word and not Path(word).is_dir()]
    return [Path(word) for word in given if word not in overrides], overrides


def _settings(*schemas: type) -> set[str]:
    return {*known_keys(*schemas), "experiment"}


@contextmanager
def job() -> Iterator[None]:
    """A job's streams and signals, in a process that a launcher may have started."""
    streams.guard()
    with signals.job():
        yield


class PastHydraError(BaseException):
    """Carries an error past Hydra, which would print a warning or the overrides before it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class SingleRunGuard(Callback):
    """Checks the configuration of a single run, and what it needs, before Hydra makes its folder,
    and keeps Hydra from adding to its error.

    A multirun is checked as a whole by ``fae.sweeps.sweep``.

    Attributes:
        schemas, prepare: of the running command; class attributes, as Hydra creates the object.
    """

    schemas: ClassVar[Sequence[type]] = (Config,)
    prepare: ClassVar[Prepare] = _prepare_nothing

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        try:
            checked = check(config, *self.schemas[1:])
            if checked.repeats != 1:
                raise ConfigError(
                    f"repeats={checked.repeats}: cannot be combined with hydra.mode=RUN"
                )
            if config.hydra.sweeper.params:
                raise ConfigError("hydra.mode=RUN: would ignore the preset's grid; leave it out")
            if checked.report.fail_unless:
                raise ConfigError(
                    "report.fail_unless: applies to sweeps only, and this is a single run; "
                    "repeats=5 makes it a sweep"
                )
            type(self).prepare(checked)
        except FaeError as error:
            raise PastHydraError(error) from None

    def on_run_end(self, config: DictConfig, **more: Any) -> None:
        job_return: JobReturn = more["job_return"]
        if job_return.status == JobStatus.FAILED:
            raise PastHydraError(failure(job_return))


def _explain(error: BaseException, schemas: Sequence[type], *, full: bool) -> int:
    """Print what went wrong to standard error, and return its exit code.

    Args:
        full: print the traceback of errors that the user can fix, too.
    """
    known = _known(error, schemas)
    if full or known is None:
        print(printable("".join(format_exception(error))), end="", file=sys.stderr)
    if known is None:
        return 1
    say(f"fae: {known}", errors(), style=BAD)
    return known.exit_code


def _known(error: BaseException, schemas: Sequence[type]) -> FaeError | Interrupted | None:
    """The error as one that the user can fix; None if it is not."""
    if isinstance(error, Exception) and raised_by_hydra(error):
        return explain(error, schemas, parsed(sys.argv[1:]).overrides)
    if isinstance(error, FaeError | Interrupted):
        return error
    if NO_GPU_MEMORY in str(error):
        return FaeError(f"not enough memory of the GPU (see nvidia-smi): {first_line(error)}")
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
        return FaeError(f"not enough memory (see ulimit -v): {cause(error).splitlines()[-1]}")
    if isinstance(error, OSError) and error.filename is not None:
        found = f"{os.path.abspath(error.filename)}: {error.strerror}"
        refused = error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        return ConfigError(f"{found}; {WRITABLE}" if refused else found)
    return None
