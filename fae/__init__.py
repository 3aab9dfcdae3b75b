"""Train and compare feed-forward auto-encoders on Fashion-MNIST."""

import atexit
import re
import sys

if sys.platform == "win32":
    sys.stderr.write("fae: does not run on Windows itself; run it under WSL, https://aka.ms/wsl\n")
    sys.exit(2)


def is_a_command() -> bool:
    """Whether this process is ``python -m fae.train`` or ``fae-train``, or one like them."""
    program = "".join(sys.orig_argv[-len(sys.argv) :][:1])
    return re.fullmatch(r"(-m)?fae\.\w+|(.*/)?fae-\w+", program) is not None


if is_a_command():  # before it imports anything: from here on, it ends in an orderly way
    from fae.runtime import home, signals, streams

    streams.guard()
    signals.handle()
    atexit.register(signals.end)
    home.ensure()
