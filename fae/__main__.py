"""The command ``fae``, also ``python -m fae``: its subcommands, and completion with the tab key.

Each subcommand is a module of its own, ``python -m fae.train`` and so on. The process is prepared
before one is imported, so that a signal during the import ends it quietly.
"""

import sys
from difflib import get_close_matches
from importlib import import_module

from fae.runtime import process


def main() -> None:
    """Entry point of ``fae``."""
    process.begin()
    from fae.cli import completion, manual
    from fae.cli.commands import COMMANDS
    from fae.runtime.console import say

    name, *arguments = sys.argv[1:] or ["--help"]
    sys.argv = ["fae", *arguments]  # as Hydra's completion reads it
    if name in COMMANDS:
        import_module(f"fae.{name}").main()
    elif name == "completion":
        completion.install(arguments)
    elif name in completion.QUERY:
        completion.answer(arguments)
    elif name in ("--help", "-h", "help"):
        manual.overview()
    elif name == "--version":
        say(manual.version())
    else:
        _refuse(name)


def _refuse(name: str) -> None:
    """Name the command that is probably meant, and end with 2."""
    from fae.cli.commands import COMMANDS
    from fae.runtime.console import in_one_line

    near = get_close_matches(name, [*COMMANDS, "completion"], n=1)
    if "=" in name or name == "-m":
        hint = f"no command; did you mean fae train {name} ...?"
    elif near:
        hint = f"no such command; did you mean {near[0]}?"
    else:
        hint = f"no such command; choose from {', '.join(COMMANDS)}; fae --help says what they do"
    sys.stderr.write(f"fae: {in_one_line(name)}: {hint}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
