"""From a command line to a ``Config``, and from what is wrong with it to a sentence."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar, get_args, get_type_hints

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError
from yaml import MarkedYAMLError

from fae.cli.overrides import command_line, key_of
from fae.config import Config, ReportRequest
from fae.errors import ConfigError
from fae.runtime.console import in_one_line
from fae.tracking import address
from fae.tuning.space import SearchConfig, SearchRequest

Schema = TypeVar("Schema")
Read = TypeVar("Read")
OURS = ("fae", "hydra_plugins", "__main__")
THEIRS = ("hydra", "omegaconf", "yaml")
OVERRIDE_BY_OVERRIDE = ("__init__", "_apply_overrides_to_config")
"""Functions of Hydra's that refuse the override that they have come to."""
CAUSED = ("Error merging override", "Unable to configure")
"""Beginnings of errors whose cause says more."""
LONGEST_VALUE = 100
"""Characters of a value that a message repeats."""
OF_ONE_JOB = {"job", "mode", "output_subdir", "overrides", "run", "runtime"}
"""Parts of Hydra's section that are a job's own."""
CONF = str(Path(__file__).resolve().parents[2] / "conf")


def compose(*overrides: str) -> Config:
    """The configuration that a command line with these overrides would get.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from fae.cli.code_guard import known_code_only

    current = GlobalHydra.instance()
    running, current.hydra = current.hydra, None  # that of the job in which this is called
    try:
        with known_code_only(), initialize_config_dir(CONF, version_base="1.3"):
            node = compose("config", list(overrides))
    except Exception as error:
        if not raised_by_hydra(error):
            raise
        raise explain(error) from error
    finally:
        current.hydra = running
    return to_config(node)


def to_config(node: DictConfig) -> Config:
    """The typed, checked configuration of a run, which does not know of a search.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    return _typed(_without("search", node), Config)


def to_request(node: DictConfig, **words: object) -> ReportRequest:
    """What the report command is told, from a composed configuration.

    Args:
        words: values that go past Hydra, key to value.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    return _typed(node, ReportRequest, **words)


def to_search(node: DictConfig) -> SearchConfig:
    """What the search command is told beyond what its runs are, from a composed configuration.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    return _typed(_without("hydra", node), SearchRequest).search


def _without(key: str, node: DictConfig) -> DictConfig:
    node = copy(node)
    OmegaConf.set_struct(node, False)
    OmegaConf.set_readonly(node, False)
    node.pop(key, None)
    return node


def _typed(node: DictConfig, schema: type[Schema], **words: object) -> Schema:
    try:
        values = OmegaConf.to_container(node, resolve=True)
        missing = OmegaConf.missing_keys(node)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(values, dict)
    values |= words
    problems = [f"{key}: is missing" for key in sorted(missing)]
    try:
        typed = TypeAdapter(schema).validate_python(values)
    except ValidationError as error:
        problems += [_printable(_problem(detail, values, schema)) for detail in error.errors()]
    if problems:
        raise ConfigError(*problems)
    return typed


def check(node: DictConfig) -> Config:
    """The configuration of a run that Hydra is about to start.

    Args:
        node: as Hydra composed it, its own section included.

    Raises:
        ConfigError: names every key whose value is wrong.
    """
    if node.hydra.job.chdir:
        raise ConfigError("hydra.job.chdir=true: relative folders would move; leave it out")
    at_once = node.hydra.sweeper.get("max_batch_size")
    if at_once is not None and at_once < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size={at_once}: must be at least 1, or null")
    if node.hydra.launcher.get("n_jobs") == 0:
        raise ConfigError("hydra.launcher.n_jobs=0: must be at least 1, or -1 for all cores")
    if "search" in node:
        to_search(node)
    config = to_config(_without("hydra", node))
    for key in ("run", "sweep"):
        folder = Path(node.hydra[key].dir).absolute()
        if flaw := address.flaw(folder):
            raise ConfigError(_printable(f"hydra.{key}.dir={folder}: {flaw}"))
    return config


def read_all(
    base: DictConfig,
    jobs: Iterable[Sequence[str]],
    loader: ConfigLoader,
    read: Callable[[DictConfig, Sequence[str]], Read],
) -> list[Read]:
    """What is read of each job of a multirun.

    Args:
        base: Hydra's configuration of the multirun.
        jobs: the overrides of each.
        read: of a job's composed configuration and its overrides.

    Raises:
        ConfigError: about all that are wrong.
    """
    found: list[Read] = []
    problems: list[str] = []
    for overrides in jobs:
        try:
            node = loader.load_sweep_config(base, list(overrides))
            _refuse_what_a_job_cannot_set(base, node, overrides)
            found.append(read(node, overrides))
        except ConfigError as error:
            problems += error.problems
        except Exception as error:
            if not raised_by_hydra(error):
                raise
            problems += explain(error).problems
    if problems:
        raise ConfigError(*problems)
    return found


def _refuse_what_a_job_cannot_set(
    base: DictConfig, node: DictConfig, overrides: Sequence[str]
) -> None:
    """Make sure that no job of a multirun asks for what holds for all of it, such as a grid.

    Raises:
        ConfigError: a preset that is one of several does.
    """
    asked = list(base.hydra.overrides.task)
    chosen = [
        override
        for override in overrides
        if override not in asked and key_of(override) in node.hydra.runtime.choices
    ]
    dropped = sorted(_different(_hydra_of_all(base), _hydra_of_all(node)))
    if dropped:
        keys = [key_of(override) for override in chosen]
        others = [override for override in asked if key_of(override) not in keys]
        of_hydra = [o for o in base.hydra.overrides.hydra if o != "hydra.mode=MULTIRUN"]
        name = f"fae.{base.hydra.job.name}"
        raise ConfigError(
            f"{' '.join(chosen)}: its {', '.join(dropped)} cannot hold for one job of several; run "
            f"it by itself: {command_line([*others, *chosen, *of_hydra], '-m', module=name)}"
        )


def _hydra_of_all(node: DictConfig) -> dict[str, object]:
    """What Hydra's section sets for a whole multirun, as written."""
    written = OmegaConf.to_container(node.hydra, resolve=False)
    assert isinstance(written, dict)
    return {str(name): value for name, value in written.items() if name not in OF_ONE_JOB}


def _different(ours: object, theirs: object, key: str = "hydra") -> Iterator[str]:
    """The dotted keys, three parts at most, whose values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and key.count(".") < 2:
        for name in {**ours, **theirs}:
            yield from _different(ours.get(name), theirs.get(name), f"{key}.{name}")
    elif ours != theirs:
        yield key


def raised_by_hydra(error: Exception) -> bool:
    """Whether Hydra, OmegaConf or YAML refused something, rather than code of ours failed.

    What a library raises counts for its caller, but for OSErrors: those tell of a file.
    """
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames]
    if not isinstance(error, OSError):
        packages = [package for package in packages if package in {*OURS, *THEIRS}]
    return bool(packages) and packages[-1] in THEIRS


def explain(error: Exception, schema: type = Config) -> ConfigError:
    """What Hydra or OmegaConf refused, in one line that names the remedy.

    Args:
        schema: of the command's configuration.
    """
    return ConfigError(_printable(_explanation(error, schema)))


def _explanation(error: Exception, schema: type) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        asked = f"{group}={choice}" if group else choice
        return f"{asked}: unknown{_choices(choice, error.options or [])}"
    if isinstance(error, OverrideParseException):
        return f"{error.override or repr('')}: not of the form key=value"
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        where = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
        return f"{where}: not valid YAML ({error.problem})"
    text = str(error)
    if match := re.match(r"Could not override '(.+?)'", text):
        return _unknown(getattr(error.__cause__, "full_key", None) or match[1], schema)
    if match := re.match(r"Ambiguous value for argument '(.+?)'", text):
        return f"{match[1]}: several values make a sweep, which needs the option -m"
    if isinstance(error, MissingConfigException):
        return f"--config-path: {' '.join(text.splitlines())}"
    given, others = _at_fault(error)
    if text.startswith("Config group override must be"):
        return f"{given}: needs the name of a choice"
    cause: BaseException = error
    if error.__cause__ and (not text or text.startswith(CAUSED)):
        cause = error.__cause__
    said = _first_line(str(cause)) or type(cause).__name__
    key = given or getattr(cause, "full_key", None)
    if not key and not any(_named(one.strip("+~").partition("=")[0], said) for one in others):
        key = " ".join(others)
    return said if not key or _named(key, said) else f"{key}: {said}"


def _named(key: str, text: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(key)}(?!\w|\.\w)", text) is not None


def _at_fault(error: Exception) -> tuple[str | None, list[str]]:
    """The override that Hydra had come to, if it went through them; and all of them."""
    given, overrides = None, []
    for frame, _ in walk_tb(error.__traceback__):
        one, several = frame.f_locals.get("override"), frame.f_locals.get("overrides")
        if isinstance(one, Override) and frame.f_code.co_name in OVERRIDE_BY_OVERRIDE:
            given = one.input_line
        if several and isinstance(several, list) and all(isinstance(o, str) for o in several):
            overrides = [o for o in several if not o.startswith("hydra.mode=")]  # Hydra's own
    return given, overrides


def known_keys(schema: type = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, dotted."""
    for name, hint in get_type_hints(schema).items():
        yield prefix + name
        for option in (hint, *get_args(hint)):
            if is_dataclass(option) and isinstance(option, type):
                yield from known_keys(option, f"{prefix}{name}.")


def _first_line(text: str) -> str:
    """The first line, and the next where a colon leads to it."""
    first, _, rest = text.partition("\n")
    return f"{first} {_first_line(rest)}" if first.endswith(":") and rest else first


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
    if detail["type"] in {"missing", "missing_argument"} or detail["input"] == "???":
        return f"{key}: is missing"
    if detail["type"] == "union_tag_invalid":
        return f"{key}.name: is not a setting; choose by {key}=NAME"
    said = re.sub(r"^(Input|String) should", "must", detail["msg"])
    return f"{key}={_as_typed(detail['input'])}: {said}"


def _as_typed(value: object) -> str:
    """A value as a person writes it on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def _printable(text: str) -> str:
    """A text in one line, without what is not printable and without passwords."""
    return address.without_password(in_one_line(text))


def _unknown(key: str, schema: type) -> str:
    known = set(known_keys(schema))
    group, _, setting = key.partition(".")
    if key in known:
        return f"{key}: not a setting of the {group} that was chosen"
    if setting in known:
        return f"{key}: no such key; did you mean {setting}?"
    if key == "experiment":
        return "experiment: a preset's file must begin with the line # @package _global_"
    near = get_close_matches(key, ["experiment", *known], n=1)
    return f"{key}: no such key" + (
        f"; did you mean {near[0]}?" if near else "; --help lists them all"
    )


def _choices(wrong: str, options: Iterable[str]) -> str:
    options = sorted(options)
    near = get_close_matches(wrong, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    return f"{hint} choose from {', '.join(options)}" if options else ""
