"""Jobs on Slurm, by scripts that answer as its commands do, in every state that a job can be in."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from fae.config import Config
from fae.errors import ConfigError, Interrupted, TrainingError
from fae.runs.begin import begin
from fae.runs.job import Job
from fae.runs.task import Known, State, Task, look_up
from fae.sweeps import parent_run, sweep_run
from fae.sweeps.job_end import JobEndError, settle
from fae.sweeps.launch import BY_NUMBER, Launch
from fae.sweeps.queue_launcher import QueueLauncher, attach
from fae.sweeps.slurm import queue, record, watch
from fae.sweeps.slurm.record import Submitted
from fae.tracking.archive import Archive
from fae.tracking.store import Store

Tiny = Callable[..., Config]
SlurmLauncher: Any = next(
    plugin for plugin in Plugins.instance().discover(Launcher) if plugin.__name__ == "SlurmLauncher"
)
SETTINGS = {
    "timeout_min": 240,
    "signal_delay_s": 90,
    "requeues": 20,
    "cpus_per_task": 2,
    "mem_gb": 4.0,
    "gpus_per_node": 0,
    "array_parallelism": 16,
    "partition": None,
    "account": None,
    "qos": None,
    "constraint": None,
    "poll_s": 0.01,
}
NOTED = 'echo "$(basename "$0") $*" >> {folder}/calls'
COMMANDS = {
    "sbatch": 'cat "$1" > {folder}/script; [ -e {folder}/refusal ] && cat {folder}/refusal >&2 '
    "&& exit 1; echo Submitted batch job 8",
    "squeue": "n=$(cat {folder}/n); echo $((n + 1)) > {folder}/n; [ -e {folder}/said$n ] || "
    "n=$(cat {folder}/last); grep ! {folder}/said$n >&2 && exit 1; cat {folder}/said$n",
    "sacct": "cat {folder}/sacct",
    "scontrol": "[ ! -e {folder}/refuses ]",
    "scancel": "true",
    "srun": "true",
}


class Slurm:
    """A cluster's commands; what they answer, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        for name, does in COMMANDS.items():
            script = folder / "bin" / name
            script.write_text("\n".join(["#!/bin/sh", NOTED, does, ""]).format(folder=folder))
            script.chmod(0o755)

    def says(self, *answers: str) -> None:
        """What ``squeue`` says, in turn; the last one for ever. A ``!`` begins an error."""
        (self.folder / "n").write_text("0")
        (self.folder / "last").write_text(f"{len(answers) - 1}")
        for number, answer in enumerate(answers):
            lines = (line.strip() for line in answer.split(","))
            (self.folder / f"said{number}").write_text("".join(f"{line}\n" for line in lines))

    def calls(self, name: str) -> list[str]:
        calls = (self.folder / "calls").read_text().splitlines()
        return [call for call in calls if call.split()[0] == name]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    pytest.importorskip("submitit")
    made = Slurm(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{made.folder / 'bin'}:/usr/bin:/bin")
    return made


def no_function(_: Any) -> None:
    """What Hydra would call with a job's configuration."""


def launcher(folder: Path, *, detach: bool = False, **settings: Any) -> Any:
    made = SlurmLauncher()
    config = {
        "hydra": {
            "sweep": {"dir": str(folder), "subdir": BY_NUMBER},
            "launcher": SETTINGS | settings,
        },
        "sweep": {"detach": detach},
    }
    made.hydra_context = cast("Any", SimpleNamespace(callbacks=None, config_loader=None))
    made.task_function = no_function
    made.config = OmegaConf.create(config)
    return made


class Sweep:
    """Two runs in an experiment of their own."""

    def __init__(self, tiny: Tiny, folder: Path, *overrides: str) -> None:
        self.folder = folder / "sweep"
        self.folder.mkdir()
        experiment = f"tracking.experiment={folder.name}"
        configs = [tiny(f"seed={seed}", experiment, *overrides) for seed in range(2)]
        self.tasks = [Task(config, [f"seed={config.seed}"]) for config in configs]
        self.store = Store(configs[0].tracking)
        self.archive = Archive(configs[0].tracking)
        self.tags: dict[str, str] = {}

    def launch(self, tasks: Sequence[Task] = (), **how: Any) -> Launch:
        made = Launch(cast("Launcher", launcher(self.folder, **how)), [*(tasks or self.tasks)])
        made.run(
            2, "parent", self.folder, self.archive, stop_at_failure=False, tag=self.tags.update
        )
        return made

    def store_run(self, number: int, status: str = "FINISHED", name: str = "") -> None:
        """Leave the run of a task as its job would."""
        folder = self.folder / (name or f"{number}")
        folder.mkdir()
        fingerprint = self.tasks[number].fingerprint
        tags = {"fae.fingerprint": fingerprint}
        run = self.store.run("it", kind="run", folder=folder, command="", tags=tags)
        with suppress(KeyboardInterrupt), run as begun:
            begun.log_metrics({"test/mse": 0.04}, step=3)
            if status == "KILLED":
                raise KeyboardInterrupt

    def store_sweep(self, jobs: Sequence[Submitted]) -> None:
        """Leave the run of a sweep that was interrupted, as its launcher would."""
        tags = {"fae.fingerprint": self.identity, "fae.slurm.folder": str(self.folder)}
        run = self.store.run("all", kind="sweep", folder=self.folder, command="", tags=tags)
        with suppress(KeyboardInterrupt), run:
            record.add(self.folder, jobs)
            raise KeyboardInterrupt

    def job(self, number: int, end: str = "") -> Submitted:
        fingerprint = self.tasks[number].fingerprint
        return Submitted(f"8_{number}", fingerprint, str(self.folder), end)

    def found(self) -> list[Task]:
        """The tasks as a plan has them."""
        settings = self.tasks[0].config.sweep
        known = look_up(self.tasks, self.archive, settings)
        return attach(known, cast("Launcher", launcher(self.folder)), self.archive, self.identity)

    @property
    def identity(self) -> str:
        return parent_run.identity(task.fingerprint for task in self.tasks)


@pytest.fixture
def sweep(tiny: Tiny, tmp_path: Path) -> Sweep:
    return Sweep(tiny, tmp_path)


def test_the_launcher_is_one_with_a_queue() -> None:
    assert isinstance(SlurmLauncher(), QueueLauncher)


def test_jobs_are_an_array_with_what_was_asked_for(sweep: Sweep, slurm: Slurm) -> None:
    slurm.says("8_0 COMPLETED 0 0 4G, 8_1 COMPLETED 0 0 4G")
    for number in range(2):
        sweep.store_run(number)
    launch = sweep.launch(partition="long", gpus_per_node=1)
    assert launch.failures == {}
    script = (slurm.folder / "script").read_text()
    for line in (
        "--array=0-1%2",
        "--time=240",
        "--signal=USR2@90",
        "--requeue",
        "--cpus-per-task=2",
        "--mem=4096M",
        "--gpus-per-node=1",
        "--partition=long",
    ):
        assert f"#SBATCH {line}\n" in script
    assert sweep.tags == {"fae.slurm": "8", "fae.slurm.folder": str(sweep.folder)}
    assert [job.job for job in record.read(sweep.folder)] == ["8_0", "8_1"]


GOOD = "8_0 COMPLETED 0 0 4G"
OUTCOMES = {
    "pending, then running": (
        ["8_0 PENDING 0 0 4G, 8_1 PENDING 0 0 4G", f"{GOOD}, 8_1 RUNNING 0 0 4G"],
        f"{GOOD}, 8_1 COMPLETED 0 0 4G",
        "",
    ),
    "cancelled": ([], f"{GOOD}, 8_1 CANCELLED 15 0 4G", "cancelled (Slurm job 8_1, "),
    "out of memory": (
        [],
        f"{GOOD}, 8_1 OUT_OF_MEMORY 0 0 4G",
        "out of memory: the job's limit of 4G is hydra.launcher.mem_gb (Slurm job 8_1, ",
    ),
    "failed before its run begins": (
        [],
        f"{GOOD}, 8_1 FAILED 32512 0 4G",
        "slurm_script: line 24: python: not found (Slurm job 8_1, ",
    ),
    "cancelled before it begins": ([], GOOD, "cancelled (Slurm job 8_1, "),
    "vanished": ([], GOOD, "Slurm has forgotten the job (Slurm job 8_1, "),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_fate_of_a_job_is_its_own(sweep: Sweep, slurm: Slurm, outcome: str) -> None:
    before, last, cause = OUTCOMES[outcome]
    slurm.says(*before, last)
    sweep.store_run(0)
    log = sweep.job(1).log("err")
    log.parent.mkdir()
    log.write_text("slurm_script: line 24: python: not found\nsrun: error: task 0: Exited\n")
    if outcome == "vanished":
        sweep.job(1).log().touch()
    launch = sweep.launch()
    assert launch.failures.keys() == ({1} if cause else set())
    assert launch.failures.get(1, "").startswith(cause)
    assert len(slurm.calls("sbatch")) == 1
    assert str(log) in launch.failures.get(1, str(log))
    stored = sweep.archive.alike("run", [sweep.tasks[1].fingerprint])
    causes = [run.tags["fae.error"] for runs in stored.values() for run in runs]
    wants_run = "cancelled" not in cause and cause
    assert causes == ([launch.failures[1]] if wants_run else [])


def test_a_job_that_ends_badly_leaves_the_run_of_another_process_alone(
    sweep: Sweep, slurm: Slurm
) -> None:
    """As where a job is cancelled because its run is computed elsewhere."""
    slurm.says(f"{GOOD}, 8_1 CANCELLED 15 0 4G")
    sweep.store_run(0)
    elsewhere = sweep.store._client.create_run(
        sweep.store.experiment_id,
        tags={"fae.kind": "run", "fae.fingerprint": sweep.tasks[1].fingerprint},
    )
    assert sweep.launch().failures == {}
    assert sweep.archive.run(elsewhere.info.run_id).status == "RUNNING"


def test_a_job_that_dies_before_it_resumes_its_run_leaves_its_checkpoints_of_use(
    sweep: Sweep, slurm: Slurm
) -> None:
    slurm.says(f"{GOOD}, 8_1 FAILED 32512 0 4G")
    sweep.store_run(0)
    sweep.store_run(1, "KILLED")
    launch = sweep.launch(look_up(sweep.tasks, sweep.archive, sweep.tasks[0].config.sweep))
    assert launch.failures.keys() == {1}
    (known,) = look_up(sweep.tasks[1:], sweep.archive, sweep.tasks[1].config.sweep)
    assert known.state == State.RESUMABLE


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"])
def test_a_job_that_was_cut_short_is_requeued(sweep: Sweep, slurm: Slurm, state: str) -> None:
    slurm.says(
        f"{GOOD}, 8_1 {state} 0 0 4G",
        f"{GOOD}, 8_1 PENDING 0 1 4G",
        f"{GOOD}, 8_1 COMPLETED 0 1 4G",
    )
    for number in range(2):
        sweep.store_run(number)
    assert sweep.launch().failures == {}
    assert slurm.calls("scontrol") == ["scontrol requeue 8_1"]


def test_a_job_is_not_requeued_for_ever(sweep: Sweep, slurm: Slurm) -> None:
    slurm.says(f"{GOOD}, 8_1 TIMEOUT 0 20 4G")
    sweep.store_run(0)
    sweep.store_run(1, "KILLED")
    (cause,) = sweep.launch(sweep.found()).failures.values()
    assert cause.startswith("timeout, after 20 requeues (Slurm job 8_1, ")
    (run,) = sweep.archive.alike("run", [sweep.tasks[1].fingerprint]).popitem()[1]
    assert run.status == "KILLED"  # the same command resumes it


def test_a_job_that_slurm_does_not_requeue_has_ended(sweep: Sweep, slurm: Slurm) -> None:
    (slurm.folder / "refuses").touch()
    slurm.says(f"{GOOD}, 8_1 NODE_FAIL 0 0 4G")
    sweep.store_run(0)
    assert sweep.launch().failures[1].startswith("node fail, after 0 requeues")
    assert len(slurm.calls("scontrol")) == 2  # Slurm may have been about to do so itself


def test_a_run_that_says_why_it_failed_is_believed(sweep: Sweep) -> None:
    folder = sweep.folder / "1"
    folder.mkdir()
    run = sweep.store.run("it", kind="run", folder=folder, command="")
    with suppress(TrainingError), run as begun:
        raise TrainingError("diverged at epoch 3")
    stored = sweep.archive.run(begun.id)
    end = JobEndError("exit code 1", "8_1")
    cause = settle(sweep.tasks[1], stored, end, sweep.archive, "parent", folder)
    assert cause == "diverged at epoch 3"


@pytest.mark.parametrize(("is_death", "status"), [(True, "FAILED"), (False, "KILLED")])
def test_a_run_whose_job_died_failed_and_one_that_was_ended_resumes(
    sweep: Sweep, is_death: bool, status: str
) -> None:
    sweep.store_run(1, "KILLED")
    (run,) = sweep.archive.alike("run", [sweep.tasks[1].fingerprint]).popitem()[1]
    end = JobEndError("exit code 137", "8_1", is_death=is_death)
    settle(sweep.tasks[1], run, end, sweep.archive, "parent", sweep.folder / "1")
    assert sweep.archive.run(run.id).status == status


def test_what_ended_long_ago_is_asked_of_the_accounting(slurm: Slurm) -> None:
    slurm.says("! slurm_load_jobs error: Invalid job id specified")
    (slurm.folder / "sacct").write_text("8_0|COMPLETED|0:0|4G\n8_1|CANCELLED by 1000|0:15|4G\n")
    states = queue.states(Submitted(f"8_{number}", "", "") for number in range(2))
    assert {job: state.name for job, state in states.items()} == {
        "8_0": "COMPLETED",
        "8_1": "CANCELLED",
    }
    assert states["8_1"].exit_code == -15


def test_a_controller_that_is_away_is_asked_again(
    sweep: Sweep, slurm: Slurm, capsys: pytest.CaptureFixture[str]
) -> None:
    away = "! slurm_load_jobs error: Unable to contact slurm controller"
    slurm.says(away, away, f"{GOOD}, 8_1 COMPLETED 0 0 4G")
    for number in range(2):
        sweep.store_run(number)
    assert sweep.launch().failures == {}
    assert capsys.readouterr().out.count("Unable to contact slurm controller") == 1


def test_what_slurm_refuses_is_told_in_its_words(sweep: Sweep, slurm: Slurm) -> None:
    (slurm.folder / "refusal").write_text("sbatch: error: invalid partition specified: none\n")
    with pytest.raises(ConfigError, match="invalid partition specified: none"):
        sweep.launch()


def test_a_job_that_the_queue_has_is_not_submitted_again(sweep: Sweep, slurm: Slurm) -> None:
    sweep.store_sweep([sweep.job(0), sweep.job(1)])
    sweep.store_run(1, "KILLED")
    slurm.says("8_0 PENDING 0 0 4G, 8_1 RUNNING 0 0 4G", f"{GOOD}, 8_1 COMPLETED 0 0 4G")
    tasks = sweep.found()
    assert [task.state for task in tasks] == [State.QUEUED, State.QUEUED]
    shown = [task.describe() for task in tasks]
    assert shown == ["Slurm job 8_0, pending", "Slurm job 8_1, running"]
    assert sweep.launch(tasks).failures == {}
    assert slurm.calls("sbatch") == []
    assert [job.end for job in record.read(sweep.folder)] == ["COMPLETED", "COMPLETED"]


def test_a_job_that_was_cancelled_before_it_began_is_not_submitted_again(
    sweep: Sweep, slurm: Slurm
) -> None:
    """Slurm's list then lacks it, and has others of its array."""
    sweep.store_sweep([sweep.job(0), sweep.job(1)])
    slurm.says("8_0 RUNNING 0 0 4G")
    assert [task.job and task.job.state for task in sweep.found()] == ["running", "cancelled"]


@pytest.mark.parametrize("was_seen", [True, False])
def test_a_cancelled_job_stays_so(sweep: Sweep, slurm: Slurm, was_seen: bool) -> None:
    sweep.store_sweep([sweep.job(0), sweep.job(1, end="CANCELLED" * was_seen)])
    sweep.store_run(0)
    slurm.says("8_1 CANCELLED 15 0 4G")
    done, cancelled = sweep.found()
    assert done.state == State.DONE
    assert cancelled.describe().startswith("Slurm job 8_1, cancelled; sweep.retry_failed=true")
    assert sweep.launch([cancelled]).failures[0].startswith("cancelled (Slurm job 8_1, ")
    assert slurm.calls("sbatch") == []


def test_jobs_are_known_once_another_command_has_resumed_their_sweep(
    sweep: Sweep, slurm: Slurm, tmp_path: Path
) -> None:
    """Whose folder is another one, and who has launched nothing yet."""
    sweep.store_sweep([sweep.job(0), sweep.job(1, end="CANCELLED")])
    slurm.says("8_0 RUNNING 0 0 4G")
    job = Job("all", tmp_path / "later", "")

    def known() -> Known:
        return sweep_run._known(sweep.archive, sweep.tasks, sweep.identity)

    with begin(sweep.store, job, known, kind="sweep", subject="", tags={}) as (run, found):
        assert run
        assert found.run
        assert run.id == found.run.id
        assert [task.job and task.job.state for task in sweep.found()] == ["running", "cancelled"]


def test_a_cancelled_job_is_submitted_again_if_so_wanted(
    tiny: Tiny, tmp_path: Path, slurm: Slurm
) -> None:
    sweep = Sweep(tiny, tmp_path, "sweep.retry_failed=true")
    sweep.store_sweep([sweep.job(0), sweep.job(1, end="CANCELLED")])
    slurm.says("8_0 CANCELLED 15 0 4G")
    assert [task.state for task in sweep.found()] == [State.NEW, State.NEW]


def test_what_slurm_has_forgotten_is_submitted_again(sweep: Sweep, slurm: Slurm) -> None:
    sweep.store_sweep([sweep.job(0), sweep.job(1, end="FAILED")])
    slurm.says("! slurm_load_jobs error: Invalid job id specified")
    assert [task.state for task in sweep.found()] == [State.NEW, State.NEW]


def test_jobs_of_the_same_folder_are_numbered_on(sweep: Sweep, slurm: Slurm) -> None:
    """A job in the queue, which has no folder yet, reads its name by its number."""
    slurm.says("8_0 COMPLETED 0 0 4G, 8_1 COMPLETED 0 0 4G")
    sweep.launch(sweep.tasks[:1], detach=True)
    later = sweep.launch(sweep.tasks[1:], detach=True)
    assert later.group.names == [task.name for task in sweep.tasks]
    assert later.group.first == 0
    assert later.first == 1


@pytest.mark.usefixtures("slurm")
def test_jobs_may_be_left_to_slurm(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    launch = sweep.launch(detach=True)
    assert launch.left == 2
    assert launch.failures == {}
    assert "jobs left to Slurm: 2; the same command watches" in capsys.readouterr().out


def test_a_signal_leaves_the_jobs_and_says_how_to_end_them(
    sweep: Sweep,
    slurm: Slurm,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_: float) -> None:
        raise Interrupted(2)

    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=interrupt, monotonic=time.monotonic))
    slurm.says(f"{GOOD}, 8_1 RUNNING 0 0 4G")
    with pytest.raises(Interrupted):
        sweep.launch()
    said = capsys.readouterr().out
    assert "jobs that stay with Slurm: 1; the same command watches them again" in said
    assert "scancel 8 ends them" in said
    assert slurm.calls("scancel") == []
    assert [job.end for job in record.read(sweep.folder)] == ["COMPLETED", ""]


def test_one_line_tells_of_all_jobs(
    sweep: Sweep, slurm: Slurm, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.says(f"{GOOD}, 8_1 RUNNING 0 0 4G", f"{GOOD}, 8_1 COMPLETED 0 0 4G")
    for number in range(2):
        sweep.store_run(number)
    log = sweep.job(1).log()
    log.parent.mkdir()
    log.write_text("[2/2] seed=1  epoch 1/3  val 0.2\n[2/2] seed=1  epoch 2/3  val 0.1\nelse\n")
    sweep.launch()
    lines = capsys.readouterr().out.splitlines()
    shown = f"0 queued, 1 running, 1 ended; {sweep.tasks[1].name}  epoch 2/3  val 0.1"
    assert [line for line in lines if line.startswith(shown)]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"timeout_min": 0}, "hydra.launcher.timeout_min=0: must be greater than"),
        ({"poll_s": 0.0}, "hydra.launcher.poll_s=0.0: must be greater than 0"),
        ({"partition": "a\nrm -r ~"}, "hydra.launcher.partition=a\\nrm -r ~: must be pr"),
    ],
)
@pytest.mark.usefixtures("slurm")
def test_a_wrong_setting_is_named(tmp_path: Path, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        launcher(tmp_path, **setting).check()
    assert str(error.value).startswith(message)


def test_without_sbatch_nothing_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no sbatch here"):
        launcher(tmp_path).check()


def test_only_a_launcher_with_a_queue_can_be_left(tiny: Tiny) -> None:
    task = Task(tiny("sweep.detach=true"), [])
    with pytest.raises(ConfigError, match=r"sweep\.detach=true: needs a launcher with a queue"):
        attach([task], cast("Launcher", object()), None, "")


@pytest.mark.parametrize("other", ["sweep.rerun=true", "sweep.on_failure=stop"])
@pytest.mark.usefixtures("slurm")
def test_what_a_sweep_that_is_left_would_not_do_is_refused(
    tiny: Tiny, tmp_path: Path, other: str
) -> None:
    task = Task(tiny("sweep.detach=true", other), [])
    with pytest.raises(ConfigError, match=f"sweep.detach=true: not with {other}"):
        attach([task], launcher(tmp_path), None, "")


@pytest.mark.parametrize("content", ["[", json.dumps([{"job": "8; rm", "fingerprint": ""}])])
def test_a_record_that_is_damaged_counts_as_none(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / record.NAME).write_text(content)
    assert record.read(tmp_path) == []
    assert "cannot be read" in capsys.readouterr().out


def test_hydra_knows_the_settings_by_their_types() -> None:
    node = ConfigStore.instance().load("hydra/launcher/base_slurm.yaml").node
    assert node._target_ == "hydra_plugins.fae_slurm.SlurmLauncher"
    with pytest.raises(Exception, match="abc"):
        node.timeout_min = "abc"
