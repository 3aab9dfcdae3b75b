"""The command: answer the questions that the paper leaves open, from what the store holds."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

import argparse
from pathlib import Path

from fae.cli import command
from fae.cli.compose import compose
from fae.config import Config, FashionMNISTConfig
from fae.errors import ConfigError
from fae.runtime.console import say

HELP = """Answer the questions that the paper leaves open, from what the store holds.

    python -m fae.answers [FOLDER] [OVERRIDE ...]

writes ``answers.md`` and its figures into the folder, by default reports/. Overrides are those of
the train command that say where the store and the data are. What has not been tried yet is named
with the command that does. Light at import; ``fae.paper.answering`` does the work.
"""
"""Not the docstring, which there is none of under ``python -OO``."""

FOLDER = Path("reports")


def answers(folder: Path, config: Config) -> None:
    """Answer what can be answered, and say so.

    Args:
        folder: where the page is written.
        config: where the store and the data are.

    Raises:
        ConfigError: the data set is not the paper's.
        DataError: it is not at hand.
        StoreError: there is no store, or it cannot be read.
    """
    if not isinstance(config.data, FashionMNISTConfig):
        raise ConfigError(f"data={config.data.name}: the paper's questions are about fashion_mnist")
    folder.mkdir(parents=True, exist_ok=True)

    from fae.paper.answering import answer, write

    answered = answer(config.tracking, config.data)
    for one in answered:
        say(f"{one.question} {one.sentences[0]}")
    say(f"answers  {write(answered, folder)}")


def main() -> None:
    """Entry point of ``python -m fae.answers`` and ``fae-answers``."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fae.answers", description=HELP, formatter_class=plain)
    parser.add_argument("words", nargs="*", metavar="FOLDER | OVERRIDE")
    words = parser.parse_args().words
    overrides = [word for word in words if "=" in word]
    folders = [Path(word) for word in words if "=" not in word] or [FOLDER]
    if len(folders) > 1:
        parser.error(f"one folder is enough, not {len(folders)}: {' '.join(map(str, folders))}")
    command.run(lambda: answers(folders[0], compose(*overrides)))


if __name__ == "__main__":
    main()
