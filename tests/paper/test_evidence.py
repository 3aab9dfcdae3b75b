"""Evidence is chosen by what determines a result; a store that was filled without training."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.data.fashion_mnist.config import FashionMNISTConfig
from fae.errors import TrainingError
from fae.paper import answering, questions
from fae.paper.evidence import Evidence, MissingError
from fae.runs.build import build_network
from fae.runs.task import Task
from fae.runtime.intervals import estimate
from fae.sweeps.sweep import planned
from fae.tracking.config import TrackingConfig
from fae.tracking.store import Store
from fae.tuning.conclusion import fresh_runs
from fae.tuning.results import RESULT_FILE, SearchResult
from fae.tuning.space import Dimension, Range
from fae.tuning.study import FinishedTrial

SEARCHED: tuple[Dimension, ...] = (Range(key="lr", low=1e-3, high=30, log=True),)
Error = Callable[[Task], float]


class Filled:
    """A store of a test's own, in the database of all tests.

    Attributes:
        place: where the artifacts lie.
    """

    def __init__(self, uri: str, experiment: str, folder: Path) -> None:
        self.tracking = TrackingConfig(
            uri=uri, experiment=experiment, silence_s=600, checkpoint_s=60, system_metrics=False
        )
        self.place = Path(uri.removeprefix("sqlite:///")).parent / "mlruns"
        self._store = Store(self.tracking)
        self._folders: Iterator[Path] = (folder / str(i) for i in itertools.count())

    def run(
        self, task: Task, error: float, *, parent: str | None = None, whole: bool = True
    ) -> str:
        """A finished run of two epochs; its id.

        Args:
            whole: whether its network is stored, too, as a report needs it.
        """
        config = task.config
        tags = {
            "fae.fingerprint": task.fingerprint,
            "fae.data_digest": config.data.build().digest,
        }
        with self._store.run(
            task.name,
            kind="run",
            folder=self._folder(),
            command="",
            parent=parent,
            parameters=config.parameters(),
            tags=tags,
        ) as run:
            run.log_text(yaml.safe_dump(config.plain()), "config.yaml")
            for epoch in (1, 2):
                run.log_metrics({"train/mse": error, "val/mse": 2 * error}, step=epoch)
            if whole:
                example = np.zeros((2, config.data.pixels), np.float32)
                run.log_model(build_network(config).eval(), example, step=2)
            run.log_metrics({"test/mse": error, "time/fit_s": 1.0}, step=2)
        return run.id

    def sweep(self, name: str, error: Error, *overrides: str, whole: bool = True) -> None:
        """A finished sweep, whatever it is called."""
        tasks = planned([NO_LOCAL, *overrides])
        tags = {"fae.planned_runs": str(len(tasks))}
        with self._store.run(
            name, kind="sweep", folder=self._folder(), command="", tags=tags
        ) as parent:
            for task in tasks:
                self.run(task, error(task), parent=parent.id, whole=whole)

    def study(
        self, name: str, hidden: int, runs: list[str], space: tuple[Dimension, ...], trials: int
    ) -> str:
        """A finished study whose best learning rate is 2; its id."""
        best = FinishedTrial(0, {"lr": 2.0}, 0.02, False)
        tried = [best, *(FinishedTrial(i, {"lr": 1.0}, 0.03, False) for i in range(1, trials))]
        found = SearchResult(name, hidden, space, best, tried, estimate([0.02]), runs, 0.0, {})
        with self._store.run(name, kind="study", folder=self._folder(), command="") as run:
            run.log_text(found.json(), RESULT_FILE)
        return run.id

    def fail(self, task: Task) -> None:
        """A run that failed."""
        tags = {"fae.fingerprint": task.fingerprint}
        with (
            pytest.raises(TrainingError),
            self._store.run(task.name, kind="run", folder=self._folder(), command="", tags=tags),
        ):
            raise TrainingError("val/mse=nan")

    def evidence(self, *overrides: str) -> Evidence:
        data = compose(NO_LOCAL).data
        assert isinstance(data, FashionMNISTConfig)
        return Evidence(self.tracking, data, [NO_LOCAL, *overrides])

    def _folder(self) -> Path:
        folder = next(self._folders)
        folder.mkdir()
        return folder


@pytest.fixture
def filled(store_uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return Filled(store_uri, f"evidence of {request.node.name}", tmp_path)


def by_seed(error: float) -> Error:
    return lambda task: error + task.config.hidden / 1000 + task.config.seed / 10_000


def errors(evidence: Evidence, experiment: str) -> dict[int, dict[int, float]]:
    """Test errors by n and seed; one setting each n."""
    return {setting.hidden: dict(setting.errors) for setting in evidence.settings(experiment)}


@pytest.mark.parametrize(
    ("asked", "decoy"),
    [
        ("hidden=4,8 repeats=2", "optimizer=adam hidden=4,8 repeats=2"),
        ("hidden=4,8 repeats=2", "lr=1,2 hidden=4,8 repeats=2"),
        ("hidden=4 repeats=2 experiment=smoke", "epochs=1 hidden=4 repeats=2 experiment=smoke"),
    ],
)
def test_a_sweep_of_other_settings_is_not_taken_though_its_name_ends_as_asked(
    filled: Filled, asked: str, decoy: str
) -> None:
    filled.sweep(decoy, by_seed(0.5), *decoy.split(), whole=False)
    evidence = filled.evidence()
    with pytest.raises(MissingError) as missing:
        evidence.settings(asked)
    assert missing.value.command == f"python -m fae.train -m {asked} {NO_LOCAL}"


@pytest.mark.long
def test_the_requested_runs_are_taken_from_whichever_sweeps_have_them(
    filled: Filled,
) -> None:
    """One has another name and some more, and one of the runs was run by itself."""
    filled.sweep("mine", by_seed(0.02), "hidden=4", "lr=0.5,1", "repeats=2")
    first, second = planned([NO_LOCAL, "hidden=8", "repeats=2"])
    filled.sweep("another", by_seed(0.02), "hidden=8")
    filled.run(second, 0.03)
    filled.sweep(
        "hidden=4,8 repeats=2", by_seed(0.5), "hidden=4,8", "repeats=2", "epochs=1", whole=False
    )
    assert errors(filled.evidence(), "hidden=4,8 repeats=2") == {
        4: {0: 0.02 + 4 / 1000, 1: 0.02 + 4 / 1000 + 1 / 10_000},
        8: {0: by_seed(0.02)(first), 1: 0.03},
    }


def test_more_than_was_requested_is_left_out(filled: Filled) -> None:
    """Of two sizes the preset has one, and of two seeds one was asked for."""
    given = "experiment=depth hidden=4,64 repeats=2 model.widths=[6]"
    filled.sweep("hidden=4,64 experiment=depth", by_seed(0.02), *given.split())
    found = errors(filled.evidence("repeats=1", "model.widths=[6]"), "experiment=depth")
    assert {n: list(of_seed) for n, of_seed in found.items()} == {64: [0]}


def test_overrides_hold_for_every_experiment(filled: Filled) -> None:
    filled.sweep("hidden=4", by_seed(0.02), "hidden=4", "data.split_seed=1")
    assert list(errors(filled.evidence("data.split_seed=1"), "hidden=4")) == [4]
    with pytest.raises(MissingError):
        filled.evidence().settings("hidden=4")
    with pytest.raises(MissingError, match=r"-m hidden=4 local=none data\.split_seed=2$"):
        filled.evidence("data.split_seed=2").settings("hidden=4")


def test_runs_that_failed_or_cannot_be_read_are_named_and_the_others_count(filled: Filled) -> None:
    good, damaged, failed = planned([NO_LOCAL, "hidden=4", "repeats=3"])
    filled.run(good, 0.02)
    filled.fail(failed)
    evidence = filled.evidence()
    with pytest.raises(MissingError):
        evidence.settings("hidden=4 repeats=3")
    bad = filled.run(damaged, 0.02)
    (filled.place / bad / "artifacts" / "config.yaml").write_text("hidden: [")
    (setting,) = evidence.settings("hidden=4 repeats=3")
    assert (setting.errors, setting.validation) == ({0: 0.02}, {0: 0.04})
    ((first, second),) = evidence.unreadable.values()
    assert first.startswith(f"Excluded: run {bad[:8]} (hidden=4 seed=1): config.yaml cannot be ")
    assert second.endswith("(hidden=4 seed=2): failed: val/mse=nan.")


@pytest.mark.long
def test_studies_are_found_by_what_they_searched(filled: Filled) -> None:
    """Newer ones have the names that such a study has, and differ in one thing each."""

    def tested(error: float, *overrides: str) -> list[str]:
        tasks = fresh_runs([NO_LOCAL, *overrides, "lr=2.0"], 5)
        return [filled.run(task, error, whole=False) for task in tasks]

    narrow = (Range(key="lr", low=1e-3, high=10, log=True),)
    right = {n: tested(0.02, f"hidden={n}") for n in (4, 8, 12)}
    for n, runs in right.items():
        filled.study("mine", n, runs, SEARCHED, 25)
    filled.study("hidden=4 seed=0", 4, tested(0.5, "hidden=4", "epochs=3"), SEARCHED, 25)
    filled.study("hidden=8 seed=0", 8, right[8], narrow, 25)
    filled.study("hidden=12 seed=0", 12, right[12], SEARCHED, 24)
    evidence = filled.evidence("hidden=4,8,12")
    found = evidence.studies()
    assert {n: one.study for n, one in found.items()} == dict.fromkeys((4, 8, 12), "mine")
    assert evidence.tests(found[4]) == dict.fromkeys(range(1, 6), 0.02)
    with pytest.raises(
        MissingError, match=r"fae\.search -m optimizer=adam local=none hidden=4,8,12$"
    ):
        evidence.studies("optimizer=adam")


def test_a_study_that_cannot_be_read_is_named_where_one_is_missing(filled: Filled) -> None:
    study = filled.study("hidden=64 seed=0", 64, [], SEARCHED, 1)
    (filled.place / study / "artifacts" / RESULT_FILE).write_text("{}")
    found = answering._ask("Why?", questions._optimizers, filled.evidence())
    assert found.commands == ["python -m fae.search -m hidden=64,128,256,512 local=none"]
    assert found.sentences == [
        "Not tried yet.",
        f"Excluded: run {study[:8]} (hidden=64 seed=0): found.json is damaged, or of another "
        "version; search again under another search.name.",
    ]
