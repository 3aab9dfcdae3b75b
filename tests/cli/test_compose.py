"""Configurations: the default is the paper, presets compose, mistakes are named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import NO_LOCAL, PROJECT
from hydra import compose as compose_node
from hydra import initialize_config_dir
from hydra.core.utils import configure_log
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict
from photographs import photographs

from fae.cli.compose import check, compose, compose_jobs
from fae.cli.messages import explain, raised_by_hydra
from fae.cli.unknown import known_keys
from fae.config import Config, fingerprint_fields
from fae.errors import ConfigError
from fae.models.dense.config import AutoEncoderConfig

CONF = PROJECT / "conf"


def composed(*overrides: str) -> Config:
    return compose(NO_LOCAL, *overrides)


def test_the_default_is_the_papers_experiment() -> None:
    config = composed()
    assert (config.hidden, config.epochs, config.batch_size) == (64, 30, 1000)
    assert (config.optimizer.name, config.lr, config.dropout) == ("sgd", 0.5, 0.1)
    assert (config.data.train, config.data.val) == (50_000, 10_000)
    assert isinstance(config.model, AutoEncoderConfig)
    assert (config.model.hidden_activation, config.model.output_activation) == ("relu", "identity")
    assert (config.optimizer.schedule, config.trainer.early_stopping) == ("constant", None)


def test_the_paper_preset_is_the_default() -> None:
    assert composed("experiment=paper") == composed()


NOT_OF_RUNS = {"local", "search"}
SHIPPED = [
    f"{file.parent.name}={file.stem}"
    for file in CONF.glob("*/*.yaml")
    if file.parent.name not in NOT_OF_RUNS
]


OWN_IMAGES = {"data=folder": "photos", "data=npz": "mine.npz"}
"""Choices that need a ``data.root``, and what is there."""


@pytest.mark.parametrize("choice", sorted(SHIPPED))
def test_every_shipped_choice_composes(choice: str, tmp_path: Path) -> None:
    more = []
    if choice in OWN_IMAGES:
        photographs(tmp_path / "photos", 60)
        np.savez(tmp_path / "mine.npz", images=np.zeros((60, 8, 8), np.uint8))
        more = [f"data.root={tmp_path / OWN_IMAGES[choice]}"]
    assert isinstance(composed(choice, *more), Config)


def test_a_users_own_defaults_yield_to_presets_and_to_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    own = "# @package _global_\nepochs: 7\nbatch_size: 50\nseed: 9\n"
    (tmp_path / "conf" / "local" / "default.yaml").write_text(own)
    monkeypatch.setattr("fae.cli.compose.CONF", str(tmp_path / "conf"))
    config = compose("experiment=smoke", "seed=3")
    assert (config.batch_size, config.epochs, config.seed) == (100, 2, 3)
    assert (compose().batch_size, compose().epochs, compose().seed) == (50, 7, 9)


PRESETS = CONF / "experiment"


@pytest.mark.parametrize("file", sorted(PRESETS.rglob("*.yaml")), ids=lambda f: f.stem)
def test_every_preset_opens_with_its_command(file: Path) -> None:
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    name = str(file.relative_to(PRESETS).with_suffix(""))
    assert any("python -m fae.train" in line and f"{name}" in line for line in header)
    assert any("2 cores" in line for line in header)


@pytest.mark.parametrize(
    ("preset", "sweep"),
    [
        ("paper", {"hidden": "64,128,256,512"}),
        ("adam", {"hidden": "64,128,256,512", "optimizer": "sgd,adam"}),
        ("lr", {"hidden": "64,128,256,512", "lr": "0.5,1,2,4,8"}),
        ("dropout", {"hidden": "64,128,256,512", "dropout": "0,0.1,0.2,0.3"}),
        ("pca", {"hidden": "64,128,256,512"}),
        ("digits", {"hidden": "4,8,16,32"}),
        ("smoke", None),
        ("debug", None),
    ],
)
def test_a_preset_is_the_sweep_that_its_header_says(
    preset: str, sweep: dict[str, str] | None
) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [NO_LOCAL, f"experiment={preset}"]
        hydra = compose_node("config", overrides, return_hydra_config=True).hydra
    assert hydra.sweeper.params == sweep
    assert hydra.mode == (RunMode.MULTIRUN if sweep else None)


def test_the_presets_of_questions_have_several_seeds_each() -> None:
    for preset in ("lr", "dropout"):
        assert composed(f"experiment={preset}").repeats == 3
    for preset in ("adam", "pca", "depth", "best/64", "best/512"):
        assert composed(f"experiment={preset}").repeats == 5


@pytest.mark.parametrize("n", [64, 128, 256, 512])
def test_the_best_network_of_each_n_has_one_hidden_layer_and_the_papers_epochs(n: int) -> None:
    best = composed(f"experiment=best/{n}")
    assert (best.hidden, best.epochs, best.model.name) == (n, 30, "autoencoder")


def test_a_preset_leaves_the_optimizer_its_lr() -> None:
    assert composed("experiment=paper", "optimizer=adam").lr == 1e-3


@pytest.mark.parametrize(
    "dropout",
    [0, 0.001, 0.1, 0.15, 1 / 3, 0.5, 0.9, 0.99, 0.999, 9.1552734e-05, 1.5258789e-05, 0.99998474],
)
def test_a_dropout_stays_as_it_was_given(dropout: float) -> None:
    assert composed(f"dropout={dropout}").dropout == dropout


def test_an_optimizer_brings_its_lr_unless_one_is_given() -> None:
    assert composed("optimizer=adam").lr == 1e-3
    assert composed("optimizer=adam", "lr=0.02").lr == 0.02
    assert composed("optimizer.momentum=0.9").lr == 0.5


def test_the_split_seed_can_follow_the_seed() -> None:
    assert composed("seed=3").data.split_seed == 0
    assert composed("seed=3", "data.split_seed=${seed}").data.split_seed == 3


def test_places_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = composed("data.root=here")
    assert config.plain()["data"]["root"] == f"{tmp_path}/here"
    assert config.tracking.uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_places_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAE_DATA", "/somewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    config = composed()
    assert config.plain()["data"]["root"] == "/somewhere"
    assert config.tracking.uri == "http://127.0.0.1:5000"


def test_what_determines_a_result_leaves_out_where_things_lie() -> None:
    here = composed("data.root=/here", "tracking.experiment=a", "trainer.profiler=simple")
    there = composed("data.root=/there", "tracking.experiment=b")
    other = composed("dropout=0.2")
    assert fingerprint_fields(here) == fingerprint_fields(there)
    assert fingerprint_fields(here) != fingerprint_fields(other)
    assert fingerprint_fields(here)["optimizer.momentum"] == 0.0


def test_parameters_are_few() -> None:
    assert len(composed().parameters()) <= 18
    assert len(composed("optimizer=adam").parameters()) <= 20


@pytest.mark.parametrize(
    ("overrides", "logged"),
    [
        (["optimizer.momentum=0.9"], {"optimizer.momentum": 0.9}),
        (
            ["optimizer.momentum=0.9", "optimizer.nesterov=true"],
            {"optimizer.momentum": 0.9, "optimizer.nesterov": "true"},
        ),
        (
            ["optimizer=adamw"],
            {
                "optimizer": "adamw",
                "lr": 1e-3,
                "optimizer.betas": "[0.9,0.999]",
                "optimizer.eps": 1e-8,
                "optimizer.weight_decay": 0.01,
            },
        ),
        (
            ["model=deep", "model.widths=[300,200]", "model.inner_activation=tanh"],
            {
                "model": "deep",
                "model.widths": "[300,200]",
                "inner_activation": "tanh",
                "hidden_activation": "identity",
            },
        ),
        (["trainer.early_stopping=3"], {"trainer.early_stopping": 3}),
        (["trainer.kernels=torch", "data.root=/elsewhere"], {}),
        (["dropout=0", "optimizer.weight_decay=0"], {"dropout": 0}),
        (["optimizer.schedule=cosine"], {"schedule": "cosine"}),
    ],
)
def test_parameters_are_the_settings_in_use(
    overrides: list[str], logged: dict[str, object]
) -> None:
    usual, found = composed().parameters(), composed(*overrides).parameters()
    assert {key: found[key] for key in found if usual.get(key) != found[key]} == logged


def test_every_key_is_known() -> None:
    def dotted(values: dict[str, object], prefix: str = "") -> set[str]:
        keys = set()
        for key, value in values.items():
            keys |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
        return keys

    assert dotted(composed().plain()) <= set(known_keys(Config))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hiden=64"], "hiden: no such key; did you mean hidden?"),
        (["+hiden=64"], "hiden: no such key; did you mean hidden?"),
        (["optimizer.momentun=0.5"], "did you mean optimizer.momentum?"),
        (["hidden=0"], "hidden=0: must be greater than or equal to 1"),
        (["hidden=-1"], "hidden=-1: must be greater than or equal to 1"),
        (["hidden=1.5"], "hidden=1.5: must be a valid integer"),
        (["hidden=abc"], "hidden=abc: must be a valid integer"),
        (["hidden=true"], "hidden=true: must be a valid integer"),
        (["hidden=null"], "hidden=null: must be a valid integer"),
        (["hidden=1,2"], "hidden=1,2: several values make a sweep, which needs the option -m"),
        (["hidden=[1"], "hidden=[1"),
        (["hidden=${nothing}"], "hidden: Interpolation key 'nothing' not found"),
        (["hidden=${ahidden}"], "hidden: Interpolation key 'ahidden' not found"),
        (["~hidden"], "hidden: is missing"),
        (["hidden"], "hidden: not of the form key=value"),
        (["lr=0"], "lr=0: must be greater than 0"),
        (["lr=-0.1"], "lr=-0.1: must be greater than 0"),
        (["lr=nan"], "lr=nan: must be a finite number"),
        (["lr=inf"], "lr=inf: must be a finite number"),
        (["dropout=1.0"], "dropout=1.0: must be less than 1"),
        (["dropout=-0.1"], "dropout=-0.1: must be greater than or equal to 0"),
        (["dropout=nan"], "dropout=nan"),
        (
            ["dropout=0.999999"],
            "dropout=0.999999: must be within 1 % of a multiple of 1/65536, such as 0.99998474",
        ),
        (["dropout=1e-6"], "a multiple of 1/65536, such as 0 or 1.5258789e-05"),
        (["dropout=0.0001"], "a multiple of 1/65536, such as 9.1552734e-05 or 0.00010681152"),
        (["epochs=0"], "epochs=0: must be greater than or equal to 1"),
        (["seed=-1"], "seed=-1: must be greater than or equal to 0"),
        (["batch_size=0"], "batch_size=0: must be greater than or equal to 1"),
        (["batch_size=50001"], "batch_size=50001: must be at most data.train=50000"),
        (["data.train=50001"], "data.train=50001 and data.val=10000: must add up to the 60000"),
        (
            ["data=digits", "data.val=100"],
            "data.train=1200 and data.val=100: must add up to the 1500 digits",
        ),
        (["data.split_seed=x"], "data.split_seed=x: must be a valid integer"),
        (["optimizer=adm"], "did you mean adam? choose from adam, adamw, sgd"),
        (["optimizer=null"], "optimizer=null: needs the name of a choice"),
        (["optimizer.lr=0.1"], "optimizer.lr: no such key; did you mean lr?"),
        (["data.side=3"], "data.side: only with data=folder or npz or synthetic"),
        (
            ["optimizer=adam", "optimizer.momentum=0.9"],
            "optimizer.momentum: only with optimizer=sgd",
        ),
        (
            ["optimizer.name=adagrad"],
            "optimizer.name=adagrad: unknown; choose by optimizer=NAME from adam, adamw, sgd, or "
            "install the package that adds it",
        ),
        (["hidden==64"], "hidden==64: not of the form key=value"),
        (["hidden:64"], "hidden:64: not of the form key=value"),
        (["tracking.uri=here"], "tracking.uri=here: MLflow keeps no runs in folders any more;"),
        (["optimizer.nesterov=true"], "optimizer.nesterov=true: needs optimizer.momentum above 0"),
        (["optimizer.schedule=step"], "must be 'constant', 'cosine' or 'one_cycle'"),
        (["optimizer=adam", "optimizer.betas=[0.9,1]"], "optimizer.betas.1=1: must be less than 1"),
        (["model.hidden_activation=rlu"], "model.hidden_activation=rlu: must be 'relu', 'gelu'"),
        (["model=deep", "model.widths=[]"], "model.widths=[]: must have at least 1 item"),
        (["model=deep", "model.widths=[8,0]"], "model.widths.1=0: must be greater than or equal"),
        (["model=deep", "model.initialisation=pca"], "model.initialisation=pca: must be 'uniform'"),
        (["model.widths=[8]"], "model.widths: only with model=deep"),
        (["trainer.devices=2"], "trainer.devices: no such key; trainer has accelerator, detect_"),
        (["trainer.precison=2"], "trainer.precison: no such key; did you mean trainer.precision?"),
        (["momentum=0.9"], "momentum: no such key; did you mean optimizer.momentum?"),
        (
            ["search.trials=3"],
            "search.trials: not taken by this command, but by python -m fae.search",
        ),
        (["trials=3"], "trials: no such key; did you mean search.trials of python -m fae.search?"),
        (["where=x"], "where: not taken by this command, but by python -m fae.report"),
        (
            ["hidden=[64,128]"],
            "must be a valid integer; write -m hidden=64,128 for a run with each",
        ),
        (["lr=[1]"], "must be a valid number; write lr=1"),
        (
            ["hidden=range(1,3)"],
            "hidden=range(1,3): several values make a sweep, which needs the o",
        ),
        (["epochs=1e3"], "epochs=1000.0: must be a valid integer; write epochs=1000"),
        (["+experiment=adam"], "+experiment=adam: leave out the plus"),
        (["+optimizer=adam"], "+optimizer=adam: leave out the plus"),
        (["+hidden=3"], "+hidden: there is this key already; leave out the plus"),
        (["experiment=papr"], "experiment=papr: unknown; did you mean paper? choose from adam"),
        (["trainer.precision=16"], "trainer.precision=16: must be '32-true' or 'bf16-mixed'"),
        (
            ["model={_target_:os.system}"],
            "model._target_: no such key; model has beta, channels, hidden_activation",
        ),
        (["++optimizer.nesterov.a=1"], "optimizer.nesterov={'a': 1}: must be a valid boolean"),
        (["optimizer=adam", "++optimizer.betas.a=1"], "++optimizer.betas.a=1: invalid literal"),
        (["hidden='${'"], "hidden='${': no viable alternative at input '${'"),
        (["data='${'"], "data='${': no viable alternative at input '${'"),
        (["data=[null]"], "data=[null]: argument of type 'NoneType' is not iterable"),
        (["hydra/launcher=null"], "hydra/launcher=null: needs the name of a choice"),
        (["hydra.mode=x"], "hydra.mode=x: Invalid value 'x', expected one of [RUN, MULTIRUN]"),
        (["optimizer=[]"], "lr: is missing\noptimizer: is missing"),
        (["tracking.experiment=???"], "tracking.experiment: is missing"),
        (["experiment@here=smoke"], "experiment@here: no such key"),
        ([""], "'': not of the form key=value"),
        (["tracking.experiment='a\nb'"], "tracking.experiment=a\\nb: must be printable text"),
        (["data.root='a\rb'"], "data.root=a\\rb: has a line break or another control character"),
        ([f"hidden={'a' * 1000}"], f"hidden={'a' * 100}...: must be a valid integer"),
        (["epochs=1000000001"], "epochs=1000000001: must be less than or equal to 1000000000"),
        ([f"seed={2**63}"], f"seed={2**63}: must be less than {2**63}"),
        (["repeats=some"], "repeats=some: must be an integer or auto"),
        (["repeats=1001"], "repeats=1001: must be at most sweep.max_jobs=1000"),
        (["data=synthetic", "data.side=129"], "data.side=129: must be less than or equal to 128"),
        (["data=synthetic", "data.test=100000000"], "data.test=100000000: at most 15625000 images"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named_with_its_remedy(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        composed(*overrides)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize("wrong", ["data=[null]", "optimizer=null", "data='${'"])
def test_of_several_overrides_only_the_wrong_one_is_named(wrong: str) -> None:
    """Also where Hydra's own error names none."""
    with pytest.raises(ConfigError) as error:
        composed("seed=3", wrong, "lr=0.1")
    assert str(error.value).startswith(f"{wrong}: ")


def test_a_preset_without_its_package_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "experiment" / "own.yaml").write_text("epochs: 7\n")
    monkeypatch.setattr("fae.cli.compose.CONF", str(tmp_path / "conf"))
    with pytest.raises(ConfigError, match="must begin with the line # @package _global_"):
        composed("experiment=own")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra.job.chdir=true", "hydra.job.chdir=true: would move relative folders"),
        ("hydra.sweeper.max_batch_size=0", "hydra.sweeper.max_batch_size=0: must be at least 1"),
        ("hydra.sweeper.max_batch_size=-3", "hydra.sweeper.max_batch_size=-3: must be at least 1"),
        ("+hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: must be at least 1, or -1"),
    ],
)
def test_a_launch_that_cannot_be_is_refused(override: str, message: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose_node("config", [NO_LOCAL, override], return_hydra_config=True)
    with pytest.raises(ConfigError) as error:
        check(node)
    assert message in str(error.value)


@pytest.mark.parametrize("overrides", [["hidden=64,128", "hidden=256"], ["lr=1", "lr=1,2"]])
def test_no_values_of_a_sweep_are_dropped(overrides: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        compose_jobs("config", [NO_LOCAL, *overrides], lambda node, _: node)
    assert str(error.value) == f"{' and '.join(overrides)}: leave out one of them"


def test_a_key_that_is_no_text_is_refused() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose_node("config", [NO_LOCAL], return_hydra_config=True)
    with open_dict(node):
        node[1] = 5
    with pytest.raises(ConfigError, match="1=1: Keys should be strings"):
        check(node)


def test_what_a_library_refuses_counts_for_hydra_that_called_it() -> None:
    with pytest.raises(ValueError, match="Unable to configure root logger") as caught:
        configure_log(OmegaConf.create({"version": 1, "root": {"level": "LOUD"}}))
    assert raised_by_hydra(caught.value)
    assert str(explain(caught.value)) == "Unknown level: 'LOUD'"
    with pytest.raises(ValueError, match="Expecting property name") as own:
        json.loads("{")
    assert not raised_by_hydra(own.value)


def test_the_jobs_of_a_multirun_are_those_of_the_presets_grid_and_of_the_overrides() -> None:
    given = [NO_LOCAL, "experiment=digits", "seed=0,1", "hydra.sweep.dir=elsewhere"]
    jobs = compose_jobs("config", given, lambda node, _: (node.hidden, node.seed, node.epochs))
    assert jobs == [(hidden, seed, 30) for hidden in (4, 8, 16, 32) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("overrides", "problems"),
    [
        (["hidden=0,4,-1"], ["hidden=0: must be", "hidden=-1: must be"]),
        (["experiment=papr", "seed=0,1"], ["experiment=papr: unknown; did you mean paper?"]),
    ],
)
def test_a_multirun_that_cannot_be_composed_is_refused(
    overrides: list[str], problems: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        compose_jobs("config", [NO_LOCAL, *overrides], lambda node, _: check(node))
    found = error.value.problems
    assert len(found) == len(problems)
    assert all(one.startswith(start) for one, start in zip(found, problems, strict=True)), found


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        composed("hidden=0", "lr=nan", "optimizer.momentum=x")
    assert [p.partition("=")[0] for p in error.value.problems] == [
        "hidden",
        "lr",
        "optimizer.momentum",
    ]
