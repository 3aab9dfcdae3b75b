"""From a command line to a ``Config``, and from what is wrong with it to a sentence."""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError
from yaml import MarkedYAMLError

from fae.config import Config, ReportRequest
from fae.errors import ConfigError

Schema = TypeVar("Schema")
GROUPS = ("data", "model", "optimizer", "trainer", "tracking", "report", "sweep", "experiment")
CONF = str(Path(__file__).resolve().parents[1] / "conf")


def compose(*overrides: str) -> Config:
    """The configuration that a command line with these overrides would get.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    from hydra import compose, initialize_config_dir

    try:
        with initialize_config_dir(CONF, version_base="1.3"):
            node = compose("config", list(overrides))
    except Exception as error:
        if not raised_by_hydra(error):
            raise
        raise explain(error) from error
    return to_config(node)


def to_config(node: DictConfig) -> Config:
    """The typed, checked configuration of a composed one.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    return _typed(node, Config)


def to_request(node: DictConfig, **words: object) -> ReportRequest:
    """What the report command is told, from a composed configuration.

    Args:
        words: values that go past Hydra, key to value.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    return _typed(node, ReportRequest, **words)


def _typed(node: DictConfig, schema: type[Schema], **words: object) -> Schema:
    try:
        values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(values, dict)
    values |= words
    try:
        return TypeAdapter(schema).validate_python(values)
    except ValidationError as error:
        problems = (_problem(detail, values, schema) for detail in error.errors())
        raise ConfigError(*problems) from None


def check(node: DictConfig) -> Config:
    """The configuration of a run that Hydra is about to start.

    Args:
        node: as Hydra composed it, its own section included.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    if node.hydra.job.chdir:
        raise ConfigError("hydra.job.chdir=true: relative folders would move; leave it out")
    job = copy(node)
    OmegaConf.set_struct(job, False)
    OmegaConf.set_readonly(job, False)
    del job["hydra"]
    return to_config(job)


def raised_by_hydra(error: Exception) -> bool:
    """Whether Hydra, OmegaConf or YAML refused something, rather than code of ours failed."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    module = frames.tb_frame.f_globals.get("__name__", "") if frames else ""
    return module.split(".")[0] in {"hydra", "omegaconf", "yaml"}


def explain(error: Exception, schema: type = Config) -> ConfigError:
    """What Hydra or OmegaConf refused, in one line that names the remedy.

    Args:
        schema: of the command's configuration.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        given = f"{group}={choice}" if group else choice
        return ConfigError(f"{given}: unknown{_choices(choice, error.options or [])}")
    text = str(error)
    if match := re.match(r"Could not override '(.+?)'", text):
        return ConfigError(_unknown(match[1], schema))
    if match := re.match(r"Ambiguous value for argument '(.+?)'", text):
        return ConfigError(f"{match[1]}: several values make a sweep, which needs the option -m")
    if isinstance(error, OverrideParseException):
        return ConfigError(f"{error.override}: not of the form key=value")
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        where = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
        return ConfigError(f"{where}: not valid YAML ({error.problem})")
    if text.startswith("Config group override must be"):
        return ConfigError(f"{' and '.join(GROUPS)}: need the name of a choice each")
    key = getattr(error, "full_key", None)
    return ConfigError((f"{key}: " if key else "") + _first_line(text))


def known_keys(schema: type = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, dotted."""
    for name, hint in get_type_hints(schema).items():
        yield prefix + name
        for option in (hint, *get_args(hint)):
            if is_dataclass(option) and isinstance(option, type):
                yield from known_keys(option, f"{prefix}{name}.")


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _problem(detail: Mapping[str, Any], values: Mapping[Any, Any], schema: type) -> str:
    """A sentence about one finding of pydantic's."""
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    *parents, last = detail["loc"]
    node: Any = values
    path = []
    for part in parents:
        if isinstance(node, dict) and part in node:  # not the tag of a union
            path.append(str(part))
            node = node[part]
    key = ".".join([*path, str(last)])
    if detail["type"] == "unexpected_keyword_argument":
        return _unknown(key, schema)
    if detail["type"] in {"missing", "missing_argument"}:
        return f"{key}: is missing"
    if detail["type"] == "union_tag_invalid":
        return f"{key}.name: is not a setting; choose by {key}=NAME"
    said = re.sub(r"^(Input|String) should", "must", detail["msg"])
    return f"{key}={_as_typed(detail['input'])}: {said}"


def _as_typed(value: object) -> str:
    """A value as a person writes it on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _unknown(key: str, schema: type) -> str:
    known = set(known_keys(schema))
    group, _, setting = key.partition(".")
    if key in known:
        return f"{key}: not a setting of the {group} that was chosen"
    if setting in known:
        return f"{key}: no such key; did you mean {setting}?"
    near = get_close_matches(key, ["experiment", *known], n=1)
    return f"{key}: no such key" + (
        f"; did you mean {near[0]}?" if near else "; --help lists them all"
    )


def _choices(wrong: str, options: Iterable[str]) -> str:
    options = sorted(options)
    near = get_close_matches(wrong, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    return f"{hint} choose from {', '.join(options)}" if options else ""
