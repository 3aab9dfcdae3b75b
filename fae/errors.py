"""The ways a command can end badly, each with its exit code."""

import signal


class FaeError(Exception):
    """Something that the user can mend: the text says what, where and how."""

    exit_code = 1


def cause(error: BaseException) -> str:
    """What happened, for a person: our own errors speak for themselves."""
    if isinstance(error, FaeError) or not str(error):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


class ConfigError(FaeError, ValueError):
    """The configuration is wrong; nothing was computed.

    Args:
        problems: one sentence each, beginning with the key and its value.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__(("\n" if len(self.problems) <= 3 else "; ").join(self.problems))


class DataError(FaeError):
    """The data set is missing or damaged; nothing was computed."""

    exit_code = 2


class StoreError(FaeError):
    """The tracking store cannot be used; nothing was computed."""

    exit_code = 3


class NoStoreError(StoreError):
    """There is no store yet, or it does not know the experiment."""


class UndeliveredError(StoreError):
    """All was computed, but the store lacks something of it."""


class TrainingError(FaeError):
    """A run, or some run of a sweep, failed."""


class CheckpointError(FaeError):
    """A checkpoint is damaged, or not of this run."""


class VerdictError(FaeError):
    """The numbers are there, but not what was asked of them."""


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived.

    Not an ``Exception``, so that nobody mistakes it for a failure, and not a
    ``KeyboardInterrupt``, which Lightning turns into ``sys.exit(1)``.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.exit_code = 128 + signum

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.signum).name}"
