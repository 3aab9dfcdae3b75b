"""A command as a process: signals, messages and exit codes.

0 done, 1 a run failed, 2 bad configuration or data, 3 the store cannot be used,
130 SIGINT, 143 SIGTERM.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fae import interrupts, trust
from fae.compose import check, explain, raised_by_hydra
from fae.config import Config
from fae.errors import ConfigError, FaeError, Interrupted


def run(entry: Callable[[], object], schema: type = Config) -> None:
    """Run a Hydra entry point and leave the process with the right exit code.

    With HYDRA_FULL_ERROR=1 in the environment, errors keep their traceback.

    Args:
        schema: of the command's configuration.
    """
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what it would print
    interrupts.handle()
    code: int | None = None
    try:
        trust.refuse_pickle(sys.argv[1:])
        with trust.known_code_only():
            _call(entry)
        code = 0
    except BrokenPipeError:  # whoever read the output, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (Exception, Interrupted) as error:
        if full_error:
            raise
        code = _explain(error, schema)
    finally:
        interrupts.leave(code)
    if code:
        sys.exit(code)


class PastHydraError(BaseException):
    """Carries an error past Hydra, which would warn of it or print overrides before it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _call(entry: Callable[[], object]) -> None:
    try:
        entry()
        return
    except PastHydraError as carrier:
        error = carrier.error
    raise error


class AroundRun(Callback):
    """Refuses a wrong configuration of a single run before Hydra makes its folder, and lets the
    error of one speak for itself.

    A multirun is checked as a whole by ``fae.sweep``.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        try:
            checked = check(config)
            if checked.repeats > 1:
                raise ConfigError(f"repeats={checked.repeats}: cannot be with hydra.mode=RUN")
            if checked.report.fail_unless:
                raise ConfigError(
                    "report.fail_unless: judges a sweep, and this is a single run; "
                    "repeats=5 makes it one"
                )
        except ConfigError as error:
            raise PastHydraError(error) from None

    def on_run_end(self, config: DictConfig, **more: Any) -> None:
        job_return: JobReturn = more["job_return"]
        if job_return.status == JobStatus.FAILED:
            raise PastHydraError(job_return._return_value)


def _explain(error: BaseException, schema: type = Config) -> int:
    """Say what went wrong on standard error; the exit code that it stands for."""
    if isinstance(error, Exception) and raised_by_hydra(error):
        error = explain(error, schema)
    if isinstance(error, OSError) and error.filename is not None:
        error = ConfigError(f"{error.filename}: {error.strerror}")
    if not isinstance(error, FaeError | Interrupted):
        raise error
    print(f"fae: {error}", file=sys.stderr)
    return error.exit_code
