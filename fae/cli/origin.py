"""Where a setting stands: the file and line of a value that no override gave."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from omegaconf import DictConfig

from fae.cli.overrides import parse
from fae.runtime.console import in_one_line

NULL = "tag:yaml.org,2002:null"


def located(problem: str, node: DictConfig) -> str:
    """A problem, preceded by the file and line that it comes from, if it is in a user's file.

    Args:
        problem: begins with the key.
        node: the composed configuration, with Hydra's own section.
    """
    match = re.match(r"[^=:]+(?=[=:])", problem)
    if match is None or _is_overridden(match[0], node):
        return problem
    for file, group in _files(node):
        if line := _line(file, group, match[0]):
            return f"{file}, line {line}: {problem}"
    return problem


def _is_overridden(key: str, node: DictConfig) -> bool:
    """Whether an override gives a key, or all of a group rather than one of its options."""
    choices = node.hydra.runtime.choices
    given = map(parse, node.hydra.overrides.task)
    keys = [o.key_or_group for o in given if o.value() != choices.get(o.key_or_group)]
    return any(f"{key}.".startswith(f"{other}.") for other in keys)


def _files(node: DictConfig) -> Iterator[tuple[Path, str]]:
    """The files of the chosen options, each with its group; those that win come first."""
    sources = [s.path for s in node.hydra.runtime.config_sources if s.schema == "file"]
    for group, option in node.hydra.runtime.choices.items():  # in this order by Hydra
        files = [Path(source, group, f"{option}.yaml") for source in sources]
        yield from ((file, group) for file in files if file.is_file())


def _line(file: Path, group: str, key: str) -> int | None:
    """The line of a file in which a key is set, to another value than null."""
    text = file.read_text("utf-8")
    path = key.split(".")
    if not re.match(r"\s*#\s*@package\s+_global_", text):
        if path[0] != group:
            return None
        path = path[1:]
    found, line = yaml.compose(text, yaml.SafeLoader), None
    for part in path:
        if isinstance(found, yaml.MappingNode):
            pairs = {in_one_line(name.value): (name, value) for name, value in found.value}
            if part not in pairs:
                return None
            name, found = pairs[part]
            line = name.start_mark.line + 1
    return None if isinstance(found, yaml.ScalarNode) and found.tag == NULL else line
