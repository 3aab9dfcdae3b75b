"""Ray's launcher, with a stand-in for Ray; tests/cluster/test_ray.py has the real one."""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from omegaconf import OmegaConf

from fae.errors import ConfigError, Interrupted

RayLauncher = import_module("hydra_plugins.fae_ray").RayLauncher
JOBS = [("seed=0",), ("seed=1",)]


class RayError(Exception):
    pass


class CancelledError(RayError):
    pass


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """A cluster in which each job returns its number."""
    ray = Mock()
    ray.is_initialized.return_value = False
    ray.exceptions.RayError = RayError
    ray.exceptions.TaskCancelledError = CancelledError
    ray.remote.return_value = lambda _: Mock(remote=lambda _, config, *__: config.hydra.job.num)
    ray.wait.side_effect = lambda jobs, **_: (jobs, [])
    ray.get.side_effect = lambda job: job
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delitem(sys.modules, "fae.sweeps.ray", raising=False)
    return ray


def launch(first: int = 0) -> Sequence[object]:
    launcher = RayLauncher(
        OmegaConf.create({"address": "auto"}), OmegaConf.create({"num_cpus": 2, "num_gpus": 0})
    )
    config = OmegaConf.create({"hydra": {"job": {"name": "train"}}})
    loader = SimpleNamespace(load_sweep_config=lambda *_: config.copy())
    context: Any = SimpleNamespace(config_loader=loader)
    launcher.hydra_context, launcher.task_function = context, Mock()
    launcher.config = config
    returned: Sequence[object] = launcher.launch(JOBS, first)
    return returned


def test_jobs_are_tasks_with_the_resources_that_are_asked_for(ray: Mock) -> None:
    assert launch(first=5) == [5, 6]
    ray.init.assert_called_once_with(address="auto")
    ray.remote.assert_called_once_with(num_cpus=2, num_gpus=0)
    ray.cancel.assert_not_called()


@pytest.mark.parametrize("error", [Interrupted(2), SystemExit()], ids=repr)
def test_an_interruption_cancels_all_jobs(ray: Mock, error: BaseException) -> None:
    """Ray makes SystemExit of it where it arrives while Ray waits."""
    ray.wait.side_effect = [error, ([0, 1], [])]
    with pytest.raises(type(error)):
        launch()
    assert [call.args for call in ray.cancel.call_args_list] == [(0,), (1,)]
    assert ray.wait.call_args.args == ([0, 1],)


def test_a_cluster_that_is_not_there_is_named(ray: Mock) -> None:
    ray.init.side_effect = ConnectionError("nobody answers")
    with pytest.raises(ConfigError, match=r"^hydra.launcher.init.address=auto: no Ray cluster"):
        launch()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Version mismatch:\n  Ray: 2.59.0"),
        ValueError("Version mismatch: Ray: 2.59.0"),
        RayError("Version mismatch: Ray: 2.59.0"),
    ],
    ids=repr,
)
def test_why_ray_does_not_let_it_join_is_said(ray: Mock, error: Exception) -> None:
    ray.init.side_effect = error
    with pytest.raises(
        ConfigError, match=r"^hydra.launcher.init: Version mismatch: Ray: 2\.59\.0$"
    ):
        launch()


@pytest.mark.parametrize("error", [ValueError("foo: unknown"), TypeError("foo: unknown")], ids=repr)
def test_an_option_of_a_job_that_ray_refuses_is_named(ray: Mock, error: Exception) -> None:
    ray.remote.side_effect = error
    with pytest.raises(ConfigError, match=r"^hydra.launcher.remote: foo: unknown$"):
        launch()


@pytest.mark.parametrize(
    ("error", "cause", "is_death"),
    [
        (RayError("the worker died"), "RayError: the worker died", True),
        (CancelledError("task 3"), "interrupted; the same command resumes it", False),
    ],
    ids=repr,
)
def test_a_job_that_ends_badly_leaves_the_others_alone(
    ray: Mock, error: Exception, cause: str, is_death: bool
) -> None:
    ray.get.side_effect = [error, "done"]
    ended, done = launch()
    end: Any = getattr(ended, "_return_value")  # noqa: B009
    assert done == "done"
    assert (str(end), end.is_death, end.is_cancelled) == (cause, is_death, not is_death)


@pytest.mark.usefixtures("ray")
def test_an_interrupted_job_raises_what_ray_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    import fae.sweeps.ray as module

    for name in ("setup_globals", "Singleton", "HydraConfig"):
        monkeypatch.setattr(module, name, Mock())
    monkeypatch.setattr(module, "run_job", Mock(side_effect=Interrupted(2)))
    with pytest.raises(KeyboardInterrupt):
        module._run(Mock(), Mock(), Mock(), None)


def test_ray_is_asked_for_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[RayLauncher.__module__], "find_spec", lambda _: None)
    launcher = RayLauncher(OmegaConf.create({}), OmegaConf.create({}))
    with pytest.raises(ConfigError, match="needs the package ray"):
        launcher.setup(hydra_context=Mock(), task_function=Mock(), config=Mock())
