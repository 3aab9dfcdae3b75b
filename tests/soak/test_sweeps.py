"""A sweep in which much goes wrong."""

import re
import subprocess
import sys
from pathlib import Path

from conftest import NO_LOCAL, environment
from mlflow import MlflowClient

from soak.conftest import Soak

FAULTS = """
import builtins, os, signal, sys

real = builtins.__import__

def with_faults(name, *arguments, **named):
    module = real(name, *arguments, **named)
    learner = sys.modules.get("fae.training.learner")
    if hasattr(learner, "Learner") and not hasattr(learner, "faulty"):
        learner.faulty = True
        step = learner.Learner.training_step

        def training_step(self, minibatches, batch_idx):
            if self.seed in {crashes} and self.current_epoch == 1:
                raise RuntimeError(f"seed {{self.seed}} crashes")
            if self.seed == {killed} and self.current_epoch == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.seed == {diverges}:
                self.lr = 1e9
                self.optimizers().param_groups[0]["lr"] = 1e9
            return step(self, minibatches, batch_idx)

        learner.Learner.training_step = training_step
    return module

builtins.__import__ = with_faults
"""
"""A sitecustomize.py: every Python process makes these faults where it trains."""


def test_the_failures_of_a_sweep_are_their_own(soak: Soak, tmp_path: Path) -> None:
    """Some runs crash, one is killed by the kernel, one diverges: the others finish, all is named.

    The kernel's kill is a SIGKILL that the run's process sends itself, in its second epoch.
    """
    total = soak.times(short=5, whole=20)
    crashes = list(range(1, soak.times(short=2, whole=6)))
    killed, diverges = total - 2, total - 1
    failing = sorted([*crashes, killed, diverges])
    (tmp_path / "faults").mkdir()
    faults = FAULTS.format(crashes=crashes, killed=killed, diverges=diverges)
    (tmp_path / "faults" / "sitecustomize.py").write_text(faults)

    def command(*more: str, faulty: bool) -> subprocess.CompletedProcess[str]:
        variables = environment(f"sqlite:///{tmp_path}/mlflow.db")
        if faulty:
            variables["PYTHONPATH"] = f"{tmp_path}/faults:{variables['PYTHONPATH']}"
        overrides = [f"seed=range({total})", "experiment=smoke", "epochs=3", "hidden=8"]
        jobs = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
        return subprocess.run(
            [sys.executable, "-m", "fae.train", "-m", *overrides, *jobs, NO_LOCAL, *more],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def statuses() -> dict[int, list[str]]:
        """The statuses of each seed's runs, oldest first."""
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        found = client.get_experiment_by_name("fae")
        assert found is not None
        runs = client.search_runs([found.experiment_id], "tags.`fae.kind` = 'run'")
        by_seed: dict[int, list[str]] = {}
        for run in sorted(runs, key=lambda run: run.info.start_time):
            by_seed.setdefault(int(run.data.params["seed"]), []).append(run.info.status)
        return by_seed

    first = command(faulty=True)
    assert first.returncode == 1
    assert "Traceback" not in first.stderr
    assert statuses() == {
        seed: ["FAILED" if seed in failing else "FINISHED"] for seed in range(total)
    }
    named = re.findall(r"^  hidden=8 seed=(\d+): (.*)", first.stderr, re.MULTILINE)
    assert sorted(int(seed) for seed, _ in named) == failing
    causes = {int(seed): cause for seed, cause in named}
    assert all(causes[seed] == f"RuntimeError: seed {seed} crashes" for seed in crashes)
    assert causes[killed].startswith("its process died")
    assert causes[diverges].startswith("loss is ")
    assert first.stderr.endswith(" sweep.retry_failed=true\n")

    if soak.whole:
        again = command(faulty=False)
        assert again.returncode == 1
        assert len(statuses()) == sum(map(len, statuses().values())) == total

    retried = command("sweep.retry_failed=true", faulty=False)
    assert retried.returncode == 0, retried.stderr
    assert statuses() == {
        seed: ["FAILED", "FINISHED"] if seed in failing else ["FINISHED"] for seed in range(total)
    }
    soak.tell(
        f"{total - len(failing)} of {total} finished, {len(failing)} named with their cause; "
        f"sweep.retry_failed=true ran those {len(failing)}"
    )
