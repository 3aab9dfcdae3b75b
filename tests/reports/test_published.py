"""Published results: where they are shown, and, minutes long, that they are reproduced."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import NO_LOCAL
from pydantic import ValidationError
from records import record, summary

from fae.cli.compose import compose
from fae.reports import published
from fae.reports.published import PAPERS, PublishedResult, papers
from fae.runs.job import Job
from fae.runs.run import train

FILE = PAPERS / "red_autoencoder.yaml"
RED = next(paper for paper in papers(PAPERS) if paper.title == "Red feed-forward auto-encoder")


def test_the_table_is_the_papers() -> None:
    assert [(found.hidden, found.test_mse, found.seconds) for found in RED.results] == [
        (64, 0.0414, 417.2),
        (128, 0.0328, 412.9),
        (256, 0.0274, 416.8),
        (512, 0.0240, 420.3),
    ]


def test_another_paper_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {
        "authors": "A. Author",
        "title": "Handwritten digits",
        "institution": "Somewhere",
        "date": "2024-01-02",
        "note": "Errors of the other paper are made up.",
        "data": "synthetic",
        "settings": {"epochs": 2},
        "results": [{"hidden": 64, "test_mse": 0.05}],
    }
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    (tmp_path / FILE.name).write_bytes(FILE.read_bytes())
    errors = [0.0499, 0.0500, 0.0501]
    monkeypatch.setattr(published, "PAPERS", tmp_path)
    found = summary(
        *(record(64, seed, error, data="synthetic") for seed, error in enumerate(errors))
    )
    (row,) = found.rows
    assert (row.published, row.published_s, row.verdict) == (0.05, None, "reproduced")
    citation = "A. Author: Handwritten digits (Somewhere, 2024)"
    assert found.papers == {citation: "Errors of the other paper are made up."}


def test_a_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    values = {**yaml.safe_load(FILE.read_text()), "journal": "none"}
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ValidationError, match="journal"):
        papers(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "reproduced"),
    [
        ("", True),
        ("hidden=32 seed=1 epochs=99 model.hidden_activation=tanh", True),
        ("optimizer=adam lr=0.5", False),
        ("optimizer.momentum=0.9", False),
        ("optimizer.schedule=cosine", False),
        ("lr=0.4", False),
        ("dropout=0", False),
        ("batch_size=500", False),
        ("data.train=40000 data.val=20000", False),
        ("model=deep model.widths=[256]", False),
        ("trainer.early_stopping=3", False),
    ],
)
def test_what_the_paper_does_not_fix_may_differ(overrides: str, reproduced: bool) -> None:
    assert RED.is_reproduced_by(compose(NO_LOCAL, *overrides.split())) == reproduced


def test_only_the_papers_settings_have_a_verdict() -> None:
    """Errors on the same images are shown beside the paper's in any case."""
    runs = [record(64, seed, error) for seed, error in enumerate([0.0413, 0.0414, 0.0415])]
    (row,) = summary(*runs).rows
    assert (row.published, row.verdict) == (0.0414, "reproduced")
    for run in runs:
        vars(run)["config"] = replace(run.config, lr=0.4)
    (row,) = summary(*runs).rows
    assert (row.published, row.verdict) == (0.0414, None)


@pytest.mark.slow
@pytest.mark.parametrize("published", RED.results, ids=str)
@pytest.mark.usefixtures("fashion_mnist")
def test_the_default_reproduces_the_papers_test_error(
    published: PublishedResult, store_uri: str, tmp_path: Path
) -> None:
    """Within 3 % with the default seed, and training and validation almost identical."""
    config = compose(NO_LOCAL, f"hidden={published.hidden}", f"tracking.uri='{store_uri}'")
    result = train(config, Job("run", tmp_path, ""))
    assert result.metrics["test/mse"] == pytest.approx(published.test_mse, rel=0.03)
    assert result.metrics["val/mse"] == pytest.approx(result.metrics["train/mse"], rel=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("fashion_mnist")
def test_bfloat16_reaches_the_same_error(store_uri: str, tmp_path: Path) -> None:
    """Within 1 % of single precision at n = 64."""

    def error(precision: str) -> float:
        config = compose(NO_LOCAL, f"tracking.uri='{store_uri}'", f"trainer.precision={precision}")
        (tmp_path / precision).mkdir()
        return train(config, Job(precision, tmp_path / precision, "")).metrics["test/mse"]

    assert error("bf16-mixed") == pytest.approx(error("32-true"), rel=0.01)
