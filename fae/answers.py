"""The command: answer the questions that the paper leaves open, from the runs in the store."""

if __name__ == "__main__":  # before what takes long to import
    from fae.runtime import process

    process.begin()

from collections.abc import Sequence
from pathlib import Path

from fae.cli import command
from fae.cli.compose import compose
from fae.errors import ConfigError
from fae.runtime.console import say

FOLDER = Path("reports")
DATA = "fashion_mnist"
"""The data set of the paper."""


def answers(folders: Sequence[Path], overrides: Sequence[str]) -> None:
    """Answer what can be answered, and say so.

    Args:
        folders: where the page is written, one at most.
        overrides: of every experiment; they say where the store and the data are.

    Raises:
        ConfigError: an override is wrong, the data set is not the paper's, or there are several
            folders.
        DataError: it is not at hand.
        StoreError: there is no store, or it cannot be read.
    """
    if len(folders) > 1:
        named = " ".join(map(str, folders))
        raise ConfigError(f"one folder is enough, not {len(folders)}: {named}")
    folder = folders[0] if folders else FOLDER
    config = compose(*overrides)
    if config.data.name != DATA:
        raise ConfigError(f"data={config.data.name}: the paper's questions are about {DATA}")
    folder.mkdir(parents=True, exist_ok=True)

    from fae.paper.answering import answer, write

    answered = answer(config.tracking, config.data, overrides)
    for found in answered:
        say(f"{found.question} {found.sentences[0]}")
    say(f"answers  {write(answered, folder)}")


def main() -> None:
    """Entry point of ``fae answers`` and ``python -m fae.answers``."""
    command.run(lambda: answers(*command.folders_and_overrides()), name="answers")


if __name__ == "__main__":
    main()
