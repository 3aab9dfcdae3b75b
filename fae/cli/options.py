"""The options of a command line, checked before Hydra reads it, whose own message would be long."""

import argparse
import io
import os
import re
import shlex
import tempfile
from collections.abc import Collection, Iterable, Sequence
from contextlib import redirect_stderr
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from fae.cli.hydra_internals import parser
from fae.errors import ConfigError, without_password
from fae.runtime import paths
from fae.runtime.console import in_one_line

ASKS_FOR_HELP = {"-h", "--help"}
ASKS_FOR_VERSION = {"--version"}
VERBATIM = ("sweep", "where", "out")
"""Settings of a report whose values may be anything, such as ``hidden=64``."""


def in_order(arguments: Sequence[str], settings: Collection[str]) -> list[str]:
    """The options of a command line, and after them its settings, which Hydra does not mix.

    Args:
        settings: the keys and groups that a user may mistake for options.

    Raises:
        ConfigError: there is no such option, or it is used wrongly.
    """
    refuse_dashes(arguments, settings)
    known = parser()
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            found, unknown = known.parse_known_intermixed_args(arguments)
    except SystemExit:
        reason = said.getvalue().rpartition("error: ")[2].strip()
        raise ConfigError(f"{reason.removeprefix('argument ')}; see --help") from None
    if unknown:
        near = get_close_matches(unknown[0], re.findall(r"--[a-z-]+", known.format_usage()), n=1)
        hint = f"did you mean {near[0]}?" if near else "see --help"
        raise ConfigError(f"{unknown[0]}: no such option; {hint}")
    alone = {"-m": found.multirun, "--cfg": found.cfg, "--info": found.info, "--run": found.run}
    given = [option for option, value in alone.items() if value]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: only one of them at a time")
    options = list(arguments)
    for override in found.overrides:
        options.remove(override)
    return [*options, *found.overrides]


def names_and_overrides(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """The words of a command line that name something, and those that are overrides.

    A file may have an equals sign in its name: what begins with a key is an override, unless there
    is such a file.
    """
    names: list[str] = []
    overrides: list[str] = []
    for word in words:
        is_override = re.match(r"[~+]{0,2}[\w.@/-]*\w=", word) and not os.path.lexists(word)
        (overrides if is_override else names).append(word)
    return names, overrides


def new_folder(given: str | None, kind: str) -> Path:
    """The folder of ``--out``, in which a command is to write: it is not there, or is empty.

    Args:
        given: the user's choice; None: one with the date and the time, in a folder of the kind.
        kind: of the results, in a word.

    Raises:
        ConfigError: there is something, or it cannot be written.
    """
    if given is None:
        given = f"{kind}/{datetime.now():%Y-%m-%d_%H-%M-%S}"
    named = f"--out {in_one_line(given)}".strip()
    folder = _writable(named, given)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"{named}: is there already; name another folder, or remove it")
    return folder


def new_file(given: str, option: str = "") -> Path:
    """A file in which a command is to write: it is not there, but its folder is.

    Args:
        given: the user's choice.
        option: by which it is given.

    Raises:
        ConfigError: the file is there, or cannot be written.
    """
    named = f"{option} {in_one_line(given)}".strip()
    path = _writable(named, given)
    if os.path.lexists(path):
        raise ConfigError(f"{named}: is there already; name another file, or delete it")
    if not path.parent.is_dir():
        raise ConfigError(f"{named}: there is no folder {in_one_line(str(path.parent))}")
    return path


def _writable(named: str, given: str) -> Path:
    """A path, absolute, beside which something can be written.

    Raises:
        ConfigError: it cannot; begins with ``named``.
    """
    path = paths.absolute(Path(given))
    flaw = paths.flaw(path) if given else "is empty"
    if flaw:
        raise ConfigError(f"{named or repr(given)}: {flaw}")
    nearest = next(folder for folder in path.parents if folder.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=nearest, prefix=".fae-"):
            return path
    except OSError as error:
        raise ConfigError(
            f"{named}: cannot be written ({error.strerror or error}); name another place"
        ) from error


class Parser(argparse.ArgumentParser):
    """Of a command with options of its own. Help is left to ``fae.cli.manual``.

    Raises:
        ConfigError: by its methods, where the arguments are wrong.
    """

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.removeprefix('argument ')}; see --help")


def refuse_dashes(arguments: Sequence[str], settings: Collection[str]) -> None:
    """Check that no setting is written as an option.

    Raises:
        ConfigError: one is; names how it is written.
    """
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        match = re.match(r"--?([\w.-]+?)(=.*)?$", argument)
        key = match[1].replace("-", "_") if match else ""
        if match and key in settings:
            is_setting = "=" in following and key not in VERBATIM
            is_value = following and not following.startswith("-") and not is_setting
            written = key + (match[2] or f"={following if is_value else '...'}")
            given, remedy = without_password(argument), shlex.quote(without_password(written))
            raise ConfigError(f"{given}: settings have no dashes; write {remedy}")


def words(arguments: Sequence[str], settings: Collection[str]) -> list[str]:
    """The arguments of a command that has no options except those that all have.

    Raises:
        ConfigError: there is an option.
    """
    refuse_dashes(arguments, settings)
    for argument in arguments:
        if argument.startswith("-"):
            raise ConfigError(f"{argument}: no such option; see --help")
    return list(arguments)
