"""The search command: studies, what they end with, and what is refused."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import forking
import pytest
import yaml
from conftest import NO_LOCAL, environment
from mlflow import MlflowClient
from mlflow.entities import Run

from fae.cli.compose import compose
from fae.runtime.formatting import format_error
from fae.runtime.intervals import estimate
from fae.tracking.address import of_file
from fae.tracking.store import Store
from fae.tuning.conclusion import fresh_runs
from fae.tuning.results import SearchResult
from fae.tuning.space import Range

SMALL = ["experiment=smoke", "epochs=9", "search.trials=5", "search.repeats=2", NO_LOCAL]


def begin(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The search command in a folder with a store of its own."""
    options = [word for word in arguments if word.startswith("-")]
    overrides = [*SMALL, *(word for word in arguments if word not in options)]
    return forking.Popen(
        [sys.executable, "-m", "fae.search", *options, *overrides],
        cwd=folder,
        env={
            **environment(f"sqlite:///{folder}/mlflow.db"),
            "XDG_STATE_HOME": str(folder / "state"),
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def search(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Its exit code and what it said."""
    process = begin(folder, *arguments)
    said, errors = process.communicate(timeout=300)
    return process.returncode, said, errors


def wait_for(process: "subprocess.Popen[str]", *texts: str) -> None:
    """Until a process has printed a line with some texts."""
    assert process.stdout
    for line in process.stdout:
        if all(text in line for text in texts):
            return


@pytest.mark.long
def test_a_search_and_a_sweep_keep_the_whole_id_of_the_run_they_start_from(
    tmp_path: Path, empty_store: bytes
) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    train = [sys.executable, "-m", "fae.train", "experiment=smoke", "hidden=4", NO_LOCAL]
    env = environment(f"sqlite:///{tmp_path}/mlflow.db")
    assert forking.run(train, cwd=tmp_path, env=env, timeout=300).returncode == 0
    (first,) = stored(tmp_path, "run")
    weights = f"model.weights='{first.info.run_id[:8]}'"
    forking.run([*train, "-m", "seed=1,2", weights], cwd=tmp_path, env=env, timeout=300)
    assert search(tmp_path, "hidden=4", "search.trials=2", weights)[0] == 0
    begun = [run for run in stored(tmp_path, "run") if run.info.run_id != first.info.run_id]
    begun += stored(tmp_path, "trial")
    assert len(begun) == 2 + 2 + 2  # of the sweep, fresh runs of the search's best, trials
    for run in begun:
        assert run.data.params["weights"] == first.info.run_id
        assert run.data.tags["fae.weights"] == first.info.run_id


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def stored(folder: Path, kind: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("fae")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`fae.kind` = '{kind}'")
    return sorted(found, key=lambda run: run.info.start_time)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, empty_store: bytes) -> tuple[Path, str]:
    """Two studies, and what the command said."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "mlflow.db").write_bytes(empty_store)
    code, said, errors = search(folder, "-m", "hidden=4,8")
    assert (code, errors) == (0, "")
    return folder, said


def test_it_ends_with_a_row_and_an_address_per_study(searched: tuple[Path, str]) -> None:
    folder, said = searched
    *_, first, second, _, start, one, two = said.splitlines()
    assert [first.split()[0], second.split()[0]] == ["hidden=4", "hidden=8"]
    assert start == "start    mlflow ui"
    assert one.startswith("open     http://127.0.0.1:5000/#/experiments/")
    keys = {line.rpartition("viewStateShareKey=")[2] for line in (one, two)}
    views = {f"mlflow.sharedViewState.{key}" for key in keys}
    assert len(views) == 2
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("fae")
    assert experiment is not None
    assert views <= experiment.tags.keys()


def test_each_outer_value_is_a_study_with_its_trials_and_the_best_ones_runs(
    searched: tuple[Path, str],
) -> None:
    studies = stored(searched[0], "study")
    assert [run.info.run_name for run in studies] == [
        f"hidden={n} experiment=smoke epochs=9 seed=0" for n in (4, 8)
    ]
    for study in studies:
        for kind, count in (("trial", 5), ("run", 2)):
            runs = [
                run
                for run in stored(searched[0], kind)
                if run.data.tags["mlflow.parentRunId"] == study.info.run_id
            ]
            assert len(runs) == count
            assert {run.info.status for run in [study, *runs]} == {"FINISHED"}


def test_trials_are_never_tested(searched: tuple[Path, str]) -> None:
    trials = stored(searched[0], "trial")
    assert all("test/mse" not in run.data.metrics for run in trials)
    assert all("val/mse" in run.data.metrics for run in trials)


def test_pruned_trials_are_marked(searched: tuple[Path, str]) -> None:
    folder, said = searched
    pruned = [run for run in stored(folder, "trial") if "fae.pruned" in run.data.tags]
    assert re.search(r"^\[2/5\] lr=.* left  study .* left$", said, re.MULTILINE)
    assert 0 < len(pruned) == said.count("pruned after epoch 3 of 9")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    for run in pruned:
        steps = [p.step for p in client.get_metric_history(run.info.run_id, "val/mse")]
        assert steps == [1, 2, 3]


def test_the_best_is_trained_with_fresh_runs(searched: tuple[Path, str]) -> None:
    folder, said = searched
    for study in stored(folder, "study"):
        of_study = f"tags.`mlflow.parentRunId` = '{study.info.run_id}'"
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        children = client.search_runs([study.info.experiment_id], of_study)
        runs = [run for run in children if run.data.tags["fae.kind"] == "run"]
        assert sorted(run.data.params["seed"] for run in runs) == ["1", "2"]
        complete = [
            run
            for run in children
            if run.data.tags["fae.kind"] == "trial" and "fae.pruned" not in run.data.tags
        ]
        best = min(complete, key=lambda run: run.data.metrics["val/mse"])
        assert {run.data.params["lr"] for run in runs} == {best.data.params["lr"]}
        mean = sum(run.data.metrics["test/mse"] for run in runs) / 2
        assert study.data.metrics["test/mse"] == pytest.approx(mean)
        assert format_error(mean) in said


def test_a_study_keeps_what_it_found(searched: tuple[Path, str]) -> None:
    folder, _ = searched
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    for study in stored(folder, "study"):
        found = SearchResult.read(
            Path(client.download_artifacts(study.info.run_id, "found.json")).read_text()
        )
        assert found.study == study.info.run_name
        assert found.space == (Range(key="lr", low=1e-3, high=30, log=True),)
        assert [one.number for one in found.trials] == [0, 1, 2, 3, 4]
        errors = [one.error for one in found.trials if not one.pruned and one.error is not None]
        assert found.best.error == min(errors) == study.data.metrics["val/mse"]
        tests = [client.get_run(run_id).data.metrics["test/mse"] for run_id in found.runs]
        assert found.test == estimate(tests)
        trial = [*SMALL[:2], NO_LOCAL, f"hidden={found.hidden}", f"lr={found.best.values['lr']}"]
        asked = [task.fingerprint for task in fresh_runs(trial, 2)]
        assert asked == [client.get_run(i).data.tags["fae.fingerprint"] for i in found.runs]
        assert SearchResult.read(found.json()) == found


def test_a_study_has_its_figure_and_its_preset(searched: tuple[Path, str]) -> None:
    folder, _ = searched
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    for study in stored(folder, "study"):
        files = {file.path for file in client.list_artifacts(study.info.run_id)}
        assert {"figures", "preset.yaml"} <= files
        local = client.download_artifacts(study.info.run_id, "preset.yaml")
        text = Path(local).read_text()
        assert text.startswith("# @package _global_\n")
        assert "lr" in yaml.safe_load(text)


@pytest.mark.long
def test_the_same_command_again_tries_nothing(searched: tuple[Path, str]) -> None:
    folder, said = searched
    """And can register the best of the runs with fresh seeds, which it does in turn."""
    code, again, errors = search(folder, "-m", "hidden=4,8", "tracking.register=found")
    assert (code, errors) == (0, "")
    assert (len(stored(folder, "trial")), len(stored(folder, "run"))) == (10, 4)
    assert said.splitlines()[-6:] == again.splitlines()[-6:]
    assert "as found version 1, its champion: validation error " in again
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    best = min(stored(folder, "run"), key=lambda run: run.data.metrics["val/mse"])
    assert client.get_model_version_by_alias("found", "champion").run_id == best.info.run_id


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_killed_search_resumes_its_trial(tmp_path: Path) -> None:
    """With kill -9, and again with Ctrl-C: as many trials as were asked for, none twice."""
    for signum, text in ((signal.SIGKILL, "[2/5]"), (signal.SIGINT, "[3/5]")):
        process = begin(tmp_path, "hidden=4", "epochs=60")
        wait_for(process, text, "epoch 2/")
        process.send_signal(signum)
        process.communicate(timeout=60)
        assert process.returncode in {-signal.SIGKILL, 130}
    code, _, errors = search(tmp_path, "hidden=4", "epochs=60")
    assert (code, errors) == (0, "")
    trials = stored(tmp_path, "trial")
    assert len(trials) == len({run.data.params["lr"] for run in trials}) == 5
    assert {run.info.status for run in trials} == {"FINISHED"}
    assert len(stored(tmp_path, "study")) == 1
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    for run in trials:
        steps = [p.step for p in client.get_metric_history(run.info.run_id, "val/mse")]
        assert steps == list(range(1, len(steps) + 1))


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_killed_search_is_resumed_in_a_copy_of_its_project(tmp_path: Path) -> None:
    """In its trial, and in the copy's own folders."""
    original, now = tmp_path / "original", tmp_path / "now"
    original.mkdir()
    one = "hidden=4", "epochs=80", "search.trials=1", "search.repeats=1"
    process = begin(original, *one)
    wait_for(process, "epoch 2/")  # by then the first is saved
    while not [*original.glob("mlruns/*/artifacts/config.yaml")]:
        wait_for(process, "epoch ")
    process.kill()
    process.communicate(timeout=60)
    shutil.copytree(original, now)
    before = contents(original)
    code, said, errors = search(now, *one)
    assert (code, errors) == (0, "")
    assert contents(original) == before
    assert "[1/1] lr=0.25  epoch 80/80" in said
    assert "epoch 1/80" not in said.partition("[1/1] lr=0.25  val")[0]
    (trial,) = stored(now, "trial")
    assert trial.info.status == "FINISHED"
    home = Path(trial.data.tags["fae.folder"])
    assert [*(now / "outputs").rglob("run.json")].count(home / "run.json") == 1


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_two_processes_share_a_study(tmp_path: Path) -> None:
    both = [begin(tmp_path, "hidden=4"), begin(tmp_path, "hidden=4")]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trials = stored(tmp_path, "trial")
    assert len(trials) == len({run.data.params["lr"] for run in trials}) == 5
    assert len(stored(tmp_path, "study")) == 1
    assert len(stored(tmp_path, "run")) == 2


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_a_process_takes_over_from_one_that_died(tmp_path: Path) -> None:
    slow = "hidden=4", "epochs=60", "search.pruner=none", "search.trials=6"
    first = begin(tmp_path, *slow)
    wait_for(first, "epoch 2/")
    second = begin(tmp_path, *slow)
    wait_for(second, "epoch 2/")
    first.kill()
    first.communicate(timeout=60)
    _, errors = second.communicate(timeout=300)
    assert (second.returncode, errors) == (0, "")
    for kind, count in (("study", 1), ("trial", 6), ("run", 2)):
        assert [run.info.status for run in stored(tmp_path, kind)] == ["FINISHED"] * count


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_what_was_found_is_shown_though_the_store_lacks_some_of_it(tmp_path: Path) -> None:
    Store(compose(NO_LOCAL, f"tracking.uri='{of_file(tmp_path / 'mlflow.db')}'").tracking)
    (tmp_path / "mlruns").symlink_to("not mounted")  # which shows when something is written
    two = "epochs=60", "search.trials=2", "search.repeats=1"
    process = begin(tmp_path, "-m", "hidden=4", *two)
    wait_for(process, "[2/2]", "epoch 2/")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "warning: lr=0.25: not completely in the store" in said
    code, said, errors = search(tmp_path, "-m", "hidden=4", *two)
    assert code == 3
    assert re.search(r"^ *hidden=4 .*lr=", said, re.MULTILINE)
    runs = [*stored(tmp_path, "study"), *stored(tmp_path, "run"), stored(tmp_path, "trial")[1]]
    assert len(runs) == 3
    for run in runs:
        assert f"{run.data.tags['fae.folder']}; python -m fae.sync" in errors


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_values_that_clash_are_a_failed_trial(tmp_path: Path) -> None:
    space = "+search.space.model={hidden_activation:[relu,tanh],initialisation:[uniform,pca]}"
    code, said, errors = search(
        tmp_path, "hidden=4", "search.space.lr=null", space, "search.sampler=grid"
    )
    assert (code, errors) == (0, "")
    assert said.count("failed: model.initialisation=pca: needs one of") == 1
    assert len(stored(tmp_path, "trial")) == 3


@pytest.mark.long
@pytest.mark.usefixtures("own_store")
def test_if_all_trials_fail_the_first_reason_is_shown(tmp_path: Path) -> None:
    space = ["search.space.lr.low=1e6", "search.space.lr.high=1e9", "search.trials=2"]
    code, _, errors = search(tmp_path, "hidden=4", *space)
    assert code == 1
    assert "no trial finished (the first failed: " in errors
    assert "; raise search.trials, or choose another search.space" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search.space.lr.low=40"], "search.space.lr: low=40 must be below high=30"),
        (["search.space.lr.low=0"], "search.space.lr: log=true needs low above 0, not 0"),
        (["+search.space.hiden=[1,2]"], "search.space.hiden: no such key"),
        (["+search.space.seed=[1,2]"], "search.space.seed: cannot be searched"),
        (["+search.space.dropout={low: 0, high: 1}"], "search.space.dropout=1: must be"),
        (["search.storage=sqlite:////no/such/folder/x.db"], "search.storage=sqlite:"),
        (["+search.space.epochs=[1,2]"], "search.space.epochs: cannot be searched"),
        (["lr=0.5"], "lr=0.5: search.space.lr varies it; leave out one of the two"),
        (
            ["-m", "hidden=4,8", "search.name=a"],
            "search.name=a: is the name of 2 studies;",
        ),
        (["search.trials=0"], "search.trials=0: must be"),
        (["-m", "hidden=4,0"], "hidden=0: must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_ends_with_2_before_the_first_trial(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, _, errors = search(tmp_path, *arguments)
    assert code == 2
    assert message in errors
    assert len(errors.splitlines()) <= 3
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["trainer.precision=bf16-mixed"],
        ["-m", "hidden=4,8", "trainer.precision=bf16-mixed"],
        ["+search.space.trainer.precision=[32-true,bf16-mixed]"],
    ],
    ids=" ".join,
)
def test_bfloat16_without_instructions_ends_with_2_before_the_first_trial(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor that imitates one without; no trial fails for it."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    code, said, errors = search(tmp_path, *arguments)
    assert (code, said) == (2, "")
    assert errors.startswith("fae: trainer.precision=bf16-mixed: this processor (")
    assert not list(tmp_path.glob("*.db"))
