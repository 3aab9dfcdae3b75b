"""The console scripts, each named ``fae-`` and its command.

They prepare the process before they import the command, as ``python -m`` does, so that a signal
during the import ends it quietly.
"""

from functools import partial
from importlib import import_module

from fae.runtime import process


def _run(command: str) -> None:
    process.begin()
    import_module(f"fae.{command}").main()


answers = partial(_run, "answers")
doctor = partial(_run, "doctor")
report = partial(_run, "report")
search = partial(_run, "search")
sync = partial(_run, "sync")
train = partial(_run, "train")
