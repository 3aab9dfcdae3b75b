"""The page of answers to the paper's open questions; reads the store, trains nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fae.data.config import DataConfig
from fae.drawing import figures
from fae.drawing.tables import Columns, as_markdown
from fae.errors import StoreError
from fae.paper.evidence import Evidence, MissingError
from fae.paper.questions import QUESTIONS, Answer
from fae.tracking.config import TrackingConfig

INTRODUCTION = """# The paper's open questions

`python -m fae.answers docs` generates this page from the store; no number is typed in.
Errors are test errors: means over seeds, the number of seeds in brackets, with 95 % intervals
(Student's t). Settings are compared by pairs of runs with the same seed. A study selects by the
validation error of one seed; the selected configuration is then trained with five other seeds, and
tested.
"""
UNKNOWN = "cannot be determined"


def answer(tracking: TrackingConfig, data: DataConfig, overrides: Sequence[str]) -> list[Answer]:
    """Answer each question, or name the command to run for an answer.

    Args:
        tracking, data, overrides: as for ``Evidence``.

    Raises:
        StoreError: there is no store, or it cannot be read.
        DataError: the data set is not available.
    """
    evidence = Evidence(tracking, data, overrides)
    return [_ask(question, how, evidence) for question, how in QUESTIONS.items()]


def write(answers: Sequence[Answer], folder: Path) -> Path:
    """Write the page and its figures; returns the page's path."""
    pictures = folder / "answers"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [as_markdown(in_short(answers))]
    for answer in answers:
        drawn = []
        for chart in answer.charts:
            svg = figures.as_svg(figures.draw(chart))
            (pictures / f"{chart.name}.svg").write_text(svg, encoding="utf-8")
            drawn.append(f"![{chart.heading}](answers/{chart.name}.svg)\n\n{chart.caption}\n")
        parts += [
            f"## {answer.question}\n",
            f"**{answer.sentences[0]}**\n",
            *(f"{sentence}\n" for sentence in answer.sentences[1:]),
            *(["\n".join(["```bash", *answer.commands, "```\n"])] if answer.commands else []),
            *map(as_markdown, answer.tables),
            *drawn,
        ]
    page = folder / "answers.md"
    page.write_text("\n".join([INTRODUCTION, *parts]), encoding="utf-8")
    return page


def in_short(answers: Sequence[Answer]) -> Columns:
    """Table of all answers, one row per question."""
    return {
        "question": [answer.question for answer in answers],
        "answer": [answer.short for answer in answers],
        "effect": [answer.effect for answer in answers],
    }


def _ask(question: str, how: Callable[[Evidence], Answer], evidence: Evidence) -> Answer:
    """The answer to a question, or why there is none; one failure does not affect the others."""
    try:
        given = how(evidence)
    except MissingError as missing:
        given = Answer(
            [missing.command], ["Not tried yet.", *missing.left_out], short="not tried yet"
        )
    except StoreError as problem:
        given = Answer([], [f"Cannot be determined: {problem}."], short=UNKNOWN)
    except (LookupError, ValueError, ArithmeticError):  # settings are missing or unexpected
        excluded = [sentence for those in evidence.unreadable.values() for sentence in those]
        sentences = ["Cannot be determined from the settings in the store.", *excluded]
        given = Answer([], sentences, short=UNKNOWN)
    excluded = [s for command in given.commands for s in evidence.unreadable.get(command, [])]
    return replace(given, question=question, sentences=[*given.sentences, *excluded])
