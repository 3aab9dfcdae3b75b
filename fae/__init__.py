"""Train and compare feed-forward auto-encoders on Fashion-MNIST."""

import sys

if sys.platform == "win32":  # nothing below can be imported there
    sys.stderr.write("fae: does not run on Windows itself; run it under WSL, https://aka.ms/wsl\n")
    sys.exit(2)
