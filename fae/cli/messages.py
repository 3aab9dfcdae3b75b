"""What Hydra, OmegaConf, pydantic and YAML refuse, as a sentence with key, value and remedy."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from traceback import walk_tb
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from pydantic import ValidationError
from yaml import MarkedYAMLError

from fae.cli.overrides import written
from fae.cli.unknown import unknown
from fae.config import Config
from fae.errors import ConfigError, without_password
from fae.runtime.console import in_one_line

OUR_PACKAGES = ("fae", "hydra_plugins", "__main__")
LIBRARIES = ("hydra", "omegaconf", "yaml")
MERGING = "Error merging override "
UNINFORMATIVE = (MERGING, "Unable to configure")
"""Beginnings of errors whose cause is more specific."""
TOO_SHORT = " after validation, not 0"
MAX_SHOWN = 100
"""Characters of a value that a message shows."""


def raised_by_hydra(error: Exception) -> bool:
    """Whether Hydra, OmegaConf or YAML refused something, rather than our own code failed.

    An error of another library counts for its caller, except an OSError, which is about a file.
    """
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames]
    if not isinstance(error, OSError):
        packages = [package for package in packages if package in {*OUR_PACKAGES, *LIBRARIES}]
    return bool(packages) and packages[-1] in LIBRARIES


def explain(
    error: Exception, schemas: Sequence[type] = (Config,), overrides: Sequence[str] = ()
) -> ConfigError:
    """What Hydra or OmegaConf refused, in one line that names the remedy.

    Args:
        schemas: of the command's configuration.
        overrides: named where the error itself names none of them.
    """
    sentence = _sentence(error, schemas)
    if overrides and is_anonymous(error, overrides):
        sentence = f"{' '.join(overrides)}: {sentence}"
    return ConfigError(printable_line(sentence))


def is_anonymous(error: Exception, overrides: Sequence[str]) -> bool:
    """Whether an error of Hydra names neither an override nor a file."""
    if isinstance(error, MissingConfigException | OverrideParseException | MarkedYAMLError):
        return False
    sentence = _sentence(error)
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    return not any(_names(sentence, key) or sentence.startswith(f"{key}.") for key in keys)


def _sentence(error: Exception, schemas: Sequence[type] = (Config,)) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        if not group:
            return f"--config-name={choice}: there is no such file; leave it out"
        return f"{group}={choice}: unknown{_choices(choice, error.options or [])}"
    if isinstance(error, MissingConfigException):
        return f"--config-path: {' '.join(str(error).splitlines())}"
    if isinstance(error, OverrideParseException):
        return f"{error.override or repr('')}: not of the form key=value"
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        where = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
        return f"{where}: not valid YAML ({error.problem})"
    text = str(error)
    if match := re.match(r"Could not override '(.+?)'", text):
        return unknown(getattr(error.__cause__, "full_key", None) or match[1], schemas)
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'", text):
        return f"{match[1]}: several values make a sweep, which needs the option -m"
    if match := re.match(r"Could not append to config. An item is already at '(.+?)'", text):
        return f"+{match[1]}: there is this key already; leave out the plus"
    if match := re.match(r"Multiple values for (\S+?)\. .*override \S+: (\S+)'", text):
        group, choice = match.groups()
        return (
            f"+{group}={choice}: leave out the plus (in a file write override /{group}: {choice})"
        )
    if match := re.match(r"Additional config directory '(.+)' not found", text):
        return f"--config-dir={match[1]}: there is no such folder"
    if text.startswith("Config group override must be"):
        return "needs the name of a choice"
    is_reason = bool(text) and not text.startswith(UNINFORMATIVE)
    cause = error if is_reason else error.__cause__ or error
    reason = _first_line(str(cause)) or type(cause).__name__
    key = text.removeprefix(MERGING) if text.startswith(MERGING) else None
    key = key or getattr(cause, "full_key", None)
    return reason if not key or _names(reason, key) else f"{key}: {reason}"


def _names(text: str, key: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(key)}(?!\w|\.\w)", text) is not None


def _first_line(text: str) -> str:
    """The first line, and the next one if the first ends with a colon."""
    first, _, rest = text.partition("\n")
    return f"{first} {_first_line(rest)}" if first.endswith(":") and rest else first


def explain_values(
    error: ValidationError, values: Mapping[str, Any], schema: type
) -> Iterator[str]:
    """A sentence about each value that a schema refuses.

    Args:
        values: all that the schema was given.
    """
    for detail in error.errors():
        yield printable_line(_refusal(detail, values, schema))


def _refusal(detail: Mapping[str, Any], values: Mapping[str, Any], schema: type) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    *parents, last = detail["loc"]
    node: Any = values
    path = []
    for part in parents:
        if isinstance(node, dict) and part in node:  # not the tag of a union
            path.append(str(part))
            node = node[part]
    is_tag = path and isinstance(last, str) and not isinstance(node, dict)
    key = ".".join(path if is_tag else [*path, str(last)])
    if detail["type"] == "unexpected_keyword_argument":
        return unknown(key, [schema])
    if detail["type"] in {"missing", "missing_argument"} or detail["input"] == "???":
        return f"{key}: is missing"
    if detail["type"] == "unknown_variant":
        return f"{key}.name={detail['ctx']['name']}: {detail['msg']}"
    rule = re.sub(r"^(Input|String|Tuple) should", "must", detail["msg"])
    return f"{key}={as_typed(detail['input'])}: {rule.removesuffix(TOO_SHORT)}{_hint(key, detail)}"


def _hint(key: str, detail: Mapping[str, Any]) -> str:
    """How a value of the wrong type is written."""
    value = detail["input"]
    if isinstance(value, list) and detail["type"] not in {"too_short", "too_long"}:
        values = ",".join(map(written, value))
        if len(value) == 1:
            return f"; write {key}={values}"
        return f"; write -m {key}={values} for a run with each" if values else ""
    if detail["type"] == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {key}={value:.0f}"
    return ""


def as_typed(value: object) -> str:
    """A value as written on a command line, shortened if long."""
    text = written(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def printable_line(text: str) -> str:
    """A text in one printable line, with passwords masked."""
    return without_password(in_one_line(text))


def _choices(wrong: str, options: Iterable[str]) -> str:
    options = sorted(options)
    near = get_close_matches(wrong, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    return f"{hint} choose from {', '.join(options)}" if options else ""
