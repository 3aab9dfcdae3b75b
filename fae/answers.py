"""The command: answer the questions that the paper leaves open, from the runs in the store.

Light at import; ``fae.paper.answering`` does the work.
"""

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

HELP = """Answer the questions that the paper leaves open, from the runs in the store.

    python -m fae.answers [FOLDER] [OVERRIDE ...]

writes answers.md and its figures to the folder, by default reports/. Overrides are those of the
train command that say where the store and the data are. Questions whose runs are missing are named
with the command that makes those.
"""
"""Not the docstring, as ``python -OO`` removes it."""

FOLDER = Path("reports")


def answers(folder: Path, config: Config) -> None:
    """Answer the questions, print the answers, and write a page.

    Args:
        folder: for the page.
        config: names the store and the data.

    Raises:
        ConfigError: the data set is not the paper's.
        DataError: it is not available.
        StoreError: there is no store, or it cannot be read.
    """
    if not isinstance(config.data, FashionMNISTConfig):
        raise ConfigError(f"data={config.data.name}: the paper's questions are about fashion_mnist")
    folder.mkdir(parents=True, exist_ok=True)

    from fae.paper.answering import answer, write

    answered = answer(config.tracking, config.data)
    for found in answered:
        say(f"{found.question} {found.sentences[0]}")
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
        parser.error(f"one folder at most, not {len(folders)}: {' '.join(map(str, folders))}")
    command.run(lambda: answers(folders[0], compose(*overrides)))


if __name__ == "__main__":
    main()
