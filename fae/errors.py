"""The ways in which a command can fail, each with its exit code."""

import re
import signal

LONGEST_LINE = 500
SECRET = "pass|pwd|secret|token|credential|signature|odbc_connect"
"""Parts of the names of an address's options that are secret, or may hold a secret."""


class FaeError(Exception):
    """Something that the user can fix: the message says what, where and how."""

    exit_code = 1


def cause(error: BaseException) -> str:
    """A human-readable description of an error, without the type if it is one of ours."""
    if isinstance(error, FaeError) or not str(error):
        return str(error) or type(error).__name__
    return without_password(f"{type(error).__name__}: {error}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if there is none.

    Passwords are masked, as in all that libraries and servers say, and a long line is shortened.
    """
    lines = str(error).strip().splitlines()
    told = [line for line in lines if not line.startswith("(raised as a result of")]  # SQLAlchemy's
    return without_password(told[0])[:LONGEST_LINE] if told else type(error).__name__


def without_password(text: str) -> str:
    """A text with the passwords in its addresses masked, and with the user names of web servers,
    which may be tokens."""
    text = re.sub(r"(\w:/*[^:/\s]*):(?!\d+[/?#]).*@", r"\1:***@", text)
    text = re.sub(  # digits before a slash, no port: postgresql://me:123/x@host
        r"((?<!http)(?<!https)://[^:/\s]*):\d+[/?#][^\s=]*@", r"\1:***@", text, flags=re.IGNORECASE
    )
    text = re.sub(r"(://[^:/\s]*):(?!\d|\*)[^@/\s]+", r"\1:***", text)  # no host
    text = re.sub(r"((?:^|[=/\s])[^:=/@\s]+):(?![/*]|\d+[/?#])[^@:\s]+@", r"\1:***@", text)
    text = re.sub(r"(https?:/*)[^:/?#\s]*@", r"\1***@", text, flags=re.IGNORECASE)
    options = (
        rf"([?&;][^?&;=]*(?:{SECRET})\w*=)[^&\s]*[^&\s:]"  # the colon may belong to the message
    )
    return re.sub(options, r"\1***", text, flags=re.IGNORECASE)


class ConfigError(FaeError, ValueError):
    """The configuration is wrong; nothing was computed.

    Args:
        problems: one sentence each, which begins with the key and its value.
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
    """There is no store yet, or it does not have the experiment."""


class UndeliveredError(StoreError):
    """Everything was computed, but not all of it is in the store."""


class TrainingError(FaeError):
    """A run, or at least one run of a sweep, failed."""


class RunningElsewhereError(TrainingError):
    """Another process computes the run.

    Args:
        run_id: its id in the store.
    """

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class CheckpointError(FaeError):
    """A checkpoint is damaged, or belongs to another run."""


class ReproductionError(FaeError):
    """A run that was trained again differs from the stored one."""


class VerdictError(FaeError):
    """The results are not what ``report.fail_unless`` requires."""


class Interrupted(SystemExit):
    """A signal arrived that ends a process.

    Not an ``Exception``, so that it is not handled as a failure, and not a
    ``KeyboardInterrupt``, which Lightning turns into ``sys.exit(1)``. Where nobody catches it, as
    in a launcher's process, Python ends with its exit code and prints no traceback.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.code = self.exit_code = 128 + signum

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.signum).name}"
