"""Trust: a configuration names no code but Hydra's and fae's own, and those go on working."""

import pickle
import shutil
from pathlib import Path

import pytest
from conftest import NO_LOCAL

from fae.cli.code_guard import refuse_pickle
from fae.cli.compose import CONF, compose
from fae.config import Config
from fae.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("+hydra.callbacks.x._target_=os.getcwd", "hydra.callbacks.x._target_=os.getcwd"),
        ("+hydra.callbacks.x.y=[{_target_:os.getcwd}]", "hydra.callbacks.x.y.0._target_"),
        ("+hydra.callbacks.x='${oc.create:{_target_:os.getcwd}}'", "hydra.callbacks.x._target_"),
        ("hydra.launcher._target_=os.getcwd", "hydra.launcher._target_"),
        ("+hydra.launcher.x={_target_:os.getcwd}", "hydra.launcher.x._target_"),
        ("hydra.sweeper._target_=os.getcwd", "hydra.sweeper._target_"),
        ("hydra.job_logging.handlers.file.class=logging.NullHandler", "handlers.file.class"),
        ("hydra.job_logging.handlers.console.stream=ext://os.environ", "console.stream"),
        ("hydra.hydra_logging.handlers.console.stream=${model.name}", "console.stream"),
        ("hydra.job_logging=${model}", "hydra.job_logging=${model}: names code"),
        ("hydra.job_logging.handlers.file.filename=/own.txt", "file.filename=/own.txt: might over"),
        ("+hydra.job_logging.handlers.file.mode=w", "handlers.file.mode=w: might overwrite"),
        ("hydra.searchpath=[pkg://json]", "hydra.searchpath=pkg://json"),
        ("+hydra.job.env_set.PATH=here", "hydra.job.env_set.PATH=here: set it in the shell"),
    ],
)
def test_code_that_a_user_names_is_refused_by_its_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose(NO_LOCAL, override)
    assert key in str(error.value)


OF_HYDRA = "names code, which a configuration must not"
UNKNOWN = "no such key"


@pytest.mark.parametrize("file", ["experiment/own", "local/default"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("_target_: os.getcwd", f"_target_: {UNKNOWN}"),
        ("model: {_target_: os.getcwd}", f"model._target_: {UNKNOWN}"),
        ("hydra: {callbacks: {x: {_target_: os.getcwd}}}", OF_HYDRA),
        ("hydra: {launcher: {_target_: os.getcwd}}", OF_HYDRA),
        ("hydra: {sweeper: {_target_: os.getcwd}}", OF_HYDRA),
        ("hydra: {job_logging: {formatters: {simple: {(): os.getcwd}}}}", OF_HYDRA),
        ("hydra: {job_logging: {formatters: {simple: {class: os.getcwd}}}}", OF_HYDRA),
        ("hydra: {job_logging: {handlers: {file: {filename: own.txt}}}}", "might overwrite a file"),
    ],
)
def test_code_that_a_preset_or_a_local_file_names_is_refused(
    file: str, content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / f"{file}.yaml").write_text(f"# @package _global_\n{content}\n")
    monkeypatch.setattr("fae.cli.compose.CONF", str(tmp_path / "conf"))
    group, _, choice = file.partition("/")
    with pytest.raises(ConfigError) as error:
        compose(f"{group}={choice}")
    assert message in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["hydra.run.dir=here", "hydra.sweep.dir=there", "hydra.sweep.subdir=${hydra.job.num}"],
        ["hydra.verbose=true", "hydra.mode=MULTIRUN", "hydra.sweeper.max_batch_size=4"],
        ["hydra.job_logging.handlers.console.level=INFO", "hydra.job_logging.root.level=DEBUG"],
        ["+hydra.job_logging.handlers.file.mode=a"],
        ["hydra/job_logging=stdout", "hydra/hydra_logging=hydra_debug"],
        ["hydra/job_logging=none", "hydra/hydra_logging=disabled"],
        ["hydra.searchpath=[file://here]"],
        ["hydra.job.env_copy=[PATH]"],
    ],
    ids=" ".join,
)
@pytest.mark.filterwarnings("ignore:.*is not available")  # the folder of the search path
def test_hydras_own_settings_go_on_working(overrides: list[str]) -> None:
    assert isinstance(compose(NO_LOCAL, *overrides), Config)


@pytest.mark.parametrize("option", ["--experimental-rerun", "--experimental-r", "--exp"])
def test_no_pickle_is_loaded(option: str, tmp_path: Path) -> None:
    (tmp_path / "job").write_bytes(pickle.dumps(1))
    for arguments in ([option, f"{tmp_path}/job"], ["hidden=4", f"{option}={tmp_path}/job", "-m"]):
        with pytest.raises(ConfigError, match=f"--experimental-rerun={tmp_path}/job: a pickle"):
            refuse_pickle(arguments)


def test_other_options_are_left_to_hydra() -> None:
    refuse_pickle(["--config-dir=here", "hidden=4", "-m", "where=a b", "--cfg", "job"])
