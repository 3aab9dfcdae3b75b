"""Studies: trials by several processes, cut short and gone on with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from fae.address import of_file
from fae.errors import ConfigError
from fae.space import SearchConfig
from fae.study import Study

SPACE = {"lr": {"low": 1e-3, "high": 10, "log": True}, "batch_size": {"low": 1, "high": 9}}
Make = Callable[..., Study]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def make(fingerprint: str = "1f", epochs: int = 9, address: str = "", **settings: Any) -> Study:
        default = {
            "space": SPACE,
            "trials": 6,
            "timeout": None,
            "sampler": "tpe",
            "pruner": "successive_halving",
            "repeats": 2,
            "name": None,
            "storage": None,
        }
        return Study(
            "study",
            TypeAdapter(SearchConfig).validate_python({**default, **settings}),
            storage=address or of_file(tmp_path / "optuna.db"),
            whole=frozenset({"batch_size"}),
            fingerprint=fingerprint,
            epochs=epochs,
        )

    return make


def error(values: dict[str, Any]) -> float:
    return float(abs(values["lr"] - 1) + values["batch_size"])


def work(study: Study, folder: Path, most: int = 100) -> list[dict[str, Any]]:
    """Run trials as long as there are any; their values."""
    tried = []
    for _ in range(most):
        with study.claim(folder) as claimed:
            if claimed is None:
                break
            trial, _ = claimed
            tried.append(trial.params)
            study.tell(trial, error(trial.params))
    return tried


def test_there_are_as_many_trials_as_were_asked_for(study: Make, tmp_path: Path) -> None:
    tried = work(study(), tmp_path)
    assert len(tried) == 6
    assert all(1e-3 <= t["lr"] <= 10 and t["batch_size"] in range(1, 10) for t in tried)
    assert work(study(), tmp_path) == []
    later = work(study(trials=8), tmp_path)
    assert len(later) == 2
    best = study().best
    assert best is not None
    assert best.error == min(map(error, [*tried, *later]))


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_a_study_that_was_cut_short_draws_the_same_values(
    study: Make, tmp_path: Path, sampler: str
) -> None:
    whole = work(study(sampler=sampler, trials=12), tmp_path)
    (tmp_path / "optuna.db").unlink()
    parts = [work(study(sampler=sampler, trials=12), tmp_path, most=5) for _ in range(3)]
    assert [values for part in parts for values in part] == whole
    assert len({tuple(values.items()) for values in whole}) == 12


def test_a_grid_is_tried_once(study: Make, tmp_path: Path) -> None:
    space = {"lr": [0.1, 1.0], "batch_size": [1, 2, 3]}
    tried = work(study(sampler="grid", space=space), tmp_path)
    assert sorted((t["lr"], t["batch_size"]) for t in tried) == [
        (lr, size) for lr in (0.1, 1.0) for size in (1, 2, 3)
    ]


def test_a_trial_whose_process_died_is_gone_on_with(study: Make, tmp_path: Path) -> None:
    """With its values and in its folder; a process that dies lets its lock go."""
    with study().claim(tmp_path / "first") as claimed:
        assert claimed is not None
        values, home = claimed[0].params, claimed[1]
    with study().claim(tmp_path / "second") as again:
        assert again is not None
        assert (again[0].number, again[0].params, again[1]) == (0, values, home)


def test_a_trial_that_another_process_is_at_is_left_alone(study: Make, tmp_path: Path) -> None:
    one, other = study(trials=2), study(trials=2)
    with one.claim(tmp_path) as first, other.claim(tmp_path) as second:
        assert first is not None
        assert second is not None
        assert (first[0].number, second[0].number) == (0, 1)
        with study(trials=2).claim(tmp_path) as third:
            assert third is None
        assert [one.number for one in other.under_way_elsewhere] == [0, 1]
        for ours, claimed in ((one, first), (other, second)):
            ours.tell(claimed[0], 1.0)
    assert other.under_way_elsewhere == []


def test_a_trial_of_which_a_process_died_at_once_is_gone_on_with(
    study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it could say where it is; on another machine it may be about to."""
    study()._study.ask()
    assert [one.number for one in study().under_way_elsewhere] == [0]
    monkeypatch.setattr("fae.study.BEGINNING_S", 0.0)
    assert study().under_way_elsewhere == []
    with study().claim(tmp_path) as claimed:
        assert claimed is not None
        assert claimed[0].number == 0


def test_hopeless_trials_are_given_up_at_a_third_of_the_epochs(study: Make, tmp_path: Path) -> None:
    """Of nine: after three, unless among the best third of those that came so far."""
    ours = study()
    for errors in (1.0, 2.0, 0.5):
        with ours.claim(tmp_path) as claimed:
            assert claimed is not None
            trial = claimed[0]
            given_up = [ours.is_hopeless(trial, epoch, errors) for epoch in range(1, 4)]
            assert given_up == [False, False, errors == 2.0]
            if given_up[-1]:
                ours.give_up(trial)
            else:
                ours.tell(trial, errors)
    assert [one.pruned for one in ours.tried] == [False, True, False]
    assert ours.epochs_saved == pytest.approx(6 / 27)
    assert ours.best is not None
    assert ours.best.error == 0.5


def test_failed_trials_count_but_are_not_the_best(study: Make, tmp_path: Path) -> None:
    ours = study(trials=2)
    assert ours.first_failure == ""
    with ours.claim(tmp_path) as first:
        assert first is not None
        ours.fail(first[0], "it diverged")
    with ours.claim(tmp_path) as second:
        assert second is not None
        ours.tell(second[0], 3.0)
    assert ours.first_failure == "it diverged"
    assert work(ours, tmp_path) == []
    assert ours.best is not None
    assert ours.best.number == 1


def test_another_study_of_the_same_name_is_refused(study: Make) -> None:
    study()
    with pytest.raises(ConfigError, match=r"^search\.name=study: .*another space \(lr: 0\.001 to"):
        study(space={"lr": [1, 2]})
    with pytest.raises(ConfigError, match="another configuration, data or code"):
        study(fingerprint="2e")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path, study: Make) -> None:
    (tmp_path / "optuna.db").write_text("not a database" * 50)
    with pytest.raises(ConfigError, match=r"^search\.storage=sqlite:.*cannot be opened \("):
        study()


def test_a_study_lies_in_a_file_of_any_name(study: Make, tmp_path: Path) -> None:
    odd = tmp_path / "{what} 100% #1 ü"
    odd.mkdir()
    assert len(work(study(address=of_file(odd / "optuna.db"), trials=1), tmp_path)) == 1
    assert [file.name for file in odd.iterdir()] == ["optuna.db"]


def test_what_matters_is_the_more_important(study: Make, tmp_path: Path) -> None:
    ours = study(trials=30, sampler="random", pruner="none")
    assert ours.importances() == {}
    while True:
        with ours.claim(tmp_path) as claimed:
            if claimed is None:
                break
            ours.tell(claimed[0], claimed[0].params["batch_size"])
    found = ours.importances()
    assert list(found) == ["batch_size", "lr"]
    assert found["batch_size"] > 0.8
