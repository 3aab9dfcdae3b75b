"""What was trained: told completely, from the stored runs, and varying where it varies."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from conftest import NO_LOCAL
from records import record, stored, summary

from fae.cli.compose import compose
from fae.reports import description
from fae.reports.description import Assumption, in_words
from fae.runs.stored import TrainedRun
from fae.runs.trained import untrained_network
from fae.tracking.archive import UnreadableError


def test_everything_of_the_papers_experiment_is_told() -> None:
    found = summary(*(record(n, seed, 0.04) for n in (64, 128) for seed in (1, 0)))
    assert found.title == "Auto-encoders with 64 and 128 hidden units on Fashion-MNIST"
    assert found.training == {
        "data": [
            "Fashion-MNIST: 50,000 training, 10,000 validation and 10,000 test images of 28 x 28 "
            "pixels"
        ],
        "network": [
            "autoencoder (hidden activation relu, output activation identity, "
            "initialisation uniform)"
        ],
        "layers": ["784-64-784", "784-128-784"],
        "hidden units n": ["64", "128"],
        "parameters": ["640", "1,280"],
        "optimizer": ["sgd (schedule constant, momentum 0, nesterov false, weight decay 0)"],
        "learning rate": ["0.5"],
        "batch size": ["1000"],
        "dropout": ["0.1"],
        "epochs": ["30"],
        "precision": ["32-true"],
        "loss": ["mean squared error over images and pixels"],
        "seeds": ["0, 1"],
    }


def test_what_differs_is_told_with_all_its_values() -> None:
    first, other = record(64, 0, 0.04), record(64, 0, 0.04, optimizer__name="adam", lr=0.001)
    adam = compose(NO_LOCAL, "optimizer=adam")
    vars(other)["config"] = replace(other.config, optimizer=adam.optimizer, lr=adam.lr)
    found = summary(first, other)
    assert found.title.endswith(" on Fashion-MNIST, by lr and optimizer")
    assert found.training["learning rate"] == ["0.5", "0.001"]
    assert [of.partition(" ")[0] for of in found.training["optimizer"]] == ["sgd", "adam"]
    assert "betas [0.9, 0.999], eps 1e-08" in found.training["optimizer"][1]


def test_a_deep_network_has_all_its_layers() -> None:
    deep = compose(NO_LOCAL, "model=deep", "model.widths=[512,256]")
    assert description._layers(untrained_network(deep)) == "784-512-256-64-256-512-784"


def test_early_stopping_is_told_with_the_epochs() -> None:
    (epochs,) = summary(record(64, 0, 0.04, early_stopping=5)).training["epochs"]
    assert epochs == "30, or until 5 have not improved"


def test_many_sizes_are_a_range() -> None:
    found = summary(*(record(n, 0, 0.04) for n in range(1, 11)))
    assert found.title == "Auto-encoders with 1 to 10 hidden units on Fashion-MNIST"


def test_the_origin_names_everything_once() -> None:
    day = 24 * 3600 * 1000
    clean = stored("a", commit="c1", dirty="false", torch="2", data_digest="d", ended=5)
    dirty = replace(stored("b", commit="c1", dirty="true", torch="2", data_digest="d"), ended=day)
    origin = summary(record(64, 0, 0.04, run=clean), record(64, 1, 0.04, run=dirty)).origin
    assert origin["commit"] == ["c1", "c1, with uncommitted changes"]
    assert (origin["PyTorch"], origin["fae"], origin["MLflow"]) == (["2"], ["0.1"], ["3.17"])
    assert origin["machine"] == ["x, 2 threads"]
    assert origin["data digest"] == ["d"]
    assert origin["date (UTC)"] == ["1970-01-01 to 1970-01-02"]


@pytest.mark.parametrize("listed", [{}, {"fae": "<script>"}, {"fae": "1" * 51}, None])
def test_a_version_that_is_none_is_unknown(listed: dict[str, str] | None) -> None:
    run = record(64, 0, 0.04)
    if listed is not None:
        vars(run)["packages"] = listed
    else:
        vars(run).pop("packages")
        vars(run)["archive"] = Missing()
    assert summary(run).origin["fae"] == ["unknown"]


class Missing:
    """A store without the list of packages."""

    def text(self, run: TrainedRun, path: str, largest: int) -> str:
        raise UnreadableError(run, f"{path} is missing")


def test_a_date_of_any_size_is_told() -> None:
    odd = stored("a", started=2**62, ended=2**62)
    assert summary(record(64, 0, 0.04, run=odd)).origin["date (UTC)"]


def test_what_the_paper_leaves_open_is_told_with_the_choice_and_the_reason() -> None:
    found = {a.what: a for a in summary(record(64, 0, 0.04)).assumptions}
    reason = "Test errors come within 2 % of the paper's after 30."
    assert found["number of epochs"] == Assumption("number of epochs", ["30"], reason)
    assert found["activation of the hidden layer"].choices == ["relu"]
    assert found["place of the dropout"].choices == ["on the hidden layer"]
    assert all(assumption.reason for assumption in found.values())


@pytest.mark.parametrize("epochs", [(30, 3), (3, 3)])
def test_a_reason_is_given_for_the_choice_that_it_explains_only(epochs: Sequence[int]) -> None:
    runs = [record(64, 0, 0.04), record(128, 0, 0.04)]
    for run, count in zip(runs, epochs, strict=True):
        vars(run)["config"] = replace(run.config, epochs=count)
    first, *others = summary(*runs).assumptions
    assert (first.choices, first.reason) == ([*dict.fromkeys(map(str, epochs))], "")
    assert all(other.reason for other in others)


@pytest.mark.parametrize("other", ["model=deep model.widths=[512]", "experiment=pca", "lr=0.4"])
def test_the_paper_leaves_open_nothing_of_networks_that_are_not_the_papers(other: str) -> None:
    run, paper = record(64, 0, 0.04, other=1), record(64, 0, 0.04, other=2)
    changed = compose(NO_LOCAL, *other.split())
    vars(run)["config"] = replace(run.config, model=changed.model, lr=changed.lr)
    assert summary(run).assumptions == []
    assert summary(run, paper).assumptions == summary(paper).assumptions
    assert summary(record(64, 0, 0.04, data="synthetic")).assumptions == []


def test_lists_in_words() -> None:
    assert in_words(["a"]) == "a"
    assert in_words(["a", "b"]) == "a and b"
    assert in_words(["a", "b", "c"]) == "a, b and c"
    assert in_words([]) == ""
