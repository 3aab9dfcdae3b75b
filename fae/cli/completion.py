"""Completion with the tab key: of subcommands and choices here, of all else by Hydra.

Hydra's code for a shell calls ``fae -sc query=SHELL`` with the line so far in the environment.
Hydra knows programs without subcommands, so it is shown the line without them. Nor does it
complete options in the folders of a group, such as ``experiment=best/64``, which are added.
"""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module

from fae.cli import manual, reference
from fae.cli.commands import COMMANDS

QUERY = ("-sc", "--shell-completion")
LINE = "COMP_LINE"
"""Environment variable that holds the line so far."""
SHELLS = {
    "bash": ("bash", ""),
    "zsh": ("bash", "autoload -Uz compinit bashcompinit && compinit && bashcompinit"),
    "fish": ("fish", ""),
}
"""Of each shell the one whose code of Hydra's it runs, and what it needs before that."""


def install(arguments: Sequence[str]) -> None:
    """Print the code by which a shell completes ``fae``.

    Raises:
        SystemExit: no shell was named that Hydra knows.
    """
    if "--help" in arguments or "-h" in arguments:
        manual.of("completion")
        return
    shell = arguments[0] if arguments else ""
    if shell not in SHELLS or len(arguments) > 1:
        sys.stderr.write(f"fae: completion: needs one of {', '.join(SHELLS)}\n")
        sys.exit(2)
    code, before = SHELLS[shell]
    sys.stdout.write(f"{before}\n")
    _ask_hydra("train", f"install={code}")


def answer(arguments: Sequence[str]) -> None:
    """Print what may follow the line so far; nothing if it is wrong already."""
    _, *words = os.environ.get(LINE, "").split()
    in_first = len(words) < 2 and not os.environ.get(LINE, "").endswith(" ")
    if not words or in_first:
        given = words[0] if words else ""
        names = [*COMMANDS, "completion", "--help", "--version"]
        _offer(name for name in names if name.startswith(given))
    elif words[0] in COMMANDS:
        command = words[0] if words[0] in reference.COMMANDS else "train"  # whose settings it takes
        begun = "" if os.environ[LINE].endswith(" ") else words[-1]
        if choices := _choices(command, begun):
            _offer(choices)
            return
        os.environ[LINE] = os.environ[LINE].replace(f" {words[0]}", "", 1)
        said = io.StringIO()
        with redirect_stderr(io.StringIO()), redirect_stdout(said):
            _ask_hydra(command, *arguments)
        _offer([*said.getvalue().split(), *_in_folders(command, begun)])
    elif words[0] == "completion":
        _offer(SHELLS)


def _choices(command: str, word: str) -> list[str]:
    """The values that a setting may have, where a word begins one; Hydra offers the default."""
    name, equals, begun = word.partition("=")
    choices = [c for key in reference.keys(command) if key.name == name for c in key.choices]
    return [f"{name}={c}" for c in dict.fromkeys(choices) if equals and c.startswith(begun)]


def _in_folders(command: str, word: str) -> list[str]:
    """The options in folders of a group, where a word begins one."""
    named = [f"{group.name}={o.name}" for group in reference.groups(command) for o in group.options]
    return [name for name in named if "=" in word and "/" in name and name.startswith(word)]


def _offer(words: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{word}\n" for word in words))


def _ask_hydra(command: str, *arguments: str) -> None:
    sys.argv = ["fae", QUERY[0], *arguments]
    import_module(f"fae.{command}").main()
