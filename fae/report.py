"""The command: write the report of a sweep, or of runs that match conditions, from the store.

Light at import, so that --help answers at once; ``fae.reports.write`` does the work.
"""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import sys

import hydra
from omegaconf import DictConfig

from fae.cli import command, options
from fae.cli.compose import CONF, read
from fae.reports.config import ReportConfig
from fae.reports.present import report

SCHEMAS = (ReportConfig,)


def main() -> None:
    """Entry point of ``fae report`` and ``python -m fae.report``."""
    command.run(lambda: _run(sys.argv[1:]), *SCHEMAS, name="report")


def _run(arguments: list[str]) -> None:
    """Compose the configuration, and write the report.

    ``sweep``, ``where`` and ``out`` bypass Hydra, so that names and conditions may contain commas,
    brackets and spaces, which have a meaning in its grammar.
    """
    words: dict[str, list[str]] = {key: [] for key in options.VERBATIM}
    sys.argv[1:] = [a for a in arguments if a.partition("=")[0] not in words]
    for key, equals, value in (argument.partition("=") for argument in arguments):
        if equals and key in words:
            words[key].append(value)
    given: dict[str, object] = {"sweep": words["sweep"]}
    if words["where"]:
        given["where"] = " ".join(words["where"])
    if words["out"]:
        given["out"] = words["out"][-1]

    @hydra.main(version_base="1.3", config_path=CONF, config_name="report")
    def make(node: DictConfig) -> None:
        nodes.append(node)

    nodes: list[DictConfig] = []
    make()
    for node in nodes:  # outside of Hydra, which would add to the message of an error
        report(read(node, ReportConfig, **given))


if __name__ == "__main__":
    main()
