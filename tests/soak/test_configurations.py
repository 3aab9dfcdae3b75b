"""Thousands of configurations, good and bad, and a hundred attempts to have code run."""

import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml
from conftest import NO_LOCAL, environment
from hydra import compose as compose_node
from hydra import initialize_config_dir
from hydra.core.override_parser.types import Override, OverrideType, ValueType
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from fae.cli.compose import CONF, compose, read
from fae.cli.hydra_internals import ConfigLoaderImpl
from fae.cli.messages import as_typed, explain, raised_by_hydra
from fae.cli.unknown import known_keys
from fae.config import Config, fingerprint_fields
from fae.errors import ConfigError
from fae.runtime.console import in_one_line
from soak.conftest import Soak

Changes = dict[str, Any]
Overrides = Sequence[str]

GROUPS = {
    "data": ["fashion_mnist", "mnist", "cifar10", "digits", "synthetic"],
    "optimizer": ["sgd", "adam", "adamw"],
    "experiment": [
        *["adam", "best/64", "debug", "depth", "digits", "dropout", "lr", "paper", "pca", "smoke"],
        *["families", "overfit"],
    ],
    "model": ["autoencoder", "deep", "tied", "variational", "convolutional"],
    "trainer": ["default"],
    "tracking": ["mlflow"],
    "report": ["default"],
    "sweep": ["default"],
    "local": ["none"],
}
BASES = [(data, optimizer) for data in GROUPS["data"] for optimizer in GROUPS["optimizer"]]

counts = st.integers(1, 400)
switches = st.booleans()
shares = st.floats(0, 1, exclude_max=True)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
names = st.text("abcdefgh 0123456789_-./é", min_size=1, max_size=30)
activations = st.sampled_from(["relu", "gelu", "silu", "tanh", "sigmoid", "clamp", "identity"])
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "hidden": st.integers(1, 65_536),
    "seed": st.integers(0, 2**63 - 1),
    "repeats": counts | st.just("auto"),
    "repeats_max": st.integers(3, 100),
    "epochs": st.integers(1, 10**9),
    "lr": positive,
    "dropout": shares,
    "batch_size": counts,
    "data.root": st.none() | names,
    "data.train": st.sampled_from([500, 1200, 40_000, 50_000]),
    "data.val": st.sampled_from([300, 500, 10_000]),
    "data.split_seed": st.integers(0, 2**63 - 1),
    "data.noise": st.floats(0, 10),
    "data.grey": switches,
    "data.colour": st.none() | switches,
    "data.fit": st.sampled_from(["crop", "stretch"]),
    "data.skip_broken": switches,
    "data.side": st.integers(1, 64),
    "data.test": st.integers(10, 1000),
    "model.hidden_activation": activations,
    "model.output_activation": activations,
    "model.initialisation": st.sampled_from(["uniform", "pca"]),
    "model.widths": st.lists(counts, min_size=1, max_size=3),
    "model.inner_activation": activations,
    "model.width": st.integers(1, 65_536),
    "model.beta": positive,
    "model.channels": st.lists(counts, min_size=1, max_size=3),
    "model.weights": st.none() | st.text("abcdf0123456789", min_size=1, max_size=32),
    "optimizer.schedule": st.sampled_from(["constant", "cosine", "one_cycle"]),
    "optimizer.momentum": shares,
    "optimizer.nesterov": switches,
    "optimizer.betas": st.lists(shares, min_size=2, max_size=2),
    "optimizer.eps": positive,
    "optimizer.weight_decay": st.floats(0, allow_infinity=False),
    "trainer.accelerator": st.sampled_from(["cpu", "gpu"]),
    "trainer.precision": st.sampled_from(["32-true", "bf16-mixed"]),
    "trainer.early_stopping": st.none() | counts,
    "trainer.limit_batches": st.none() | counts,
    "trainer.overfit": st.none(),  # or trainer.limit_batches=1 is needed
    "trainer.detect_anomaly": switches,
    "trainer.emulate_bf16": switches,
    "trainer.kernels": st.sampled_from(["auto", "onednn", "torch"]),
    "trainer.profiler": st.sampled_from([None, "simple", "advanced"]),
    "tracking.uri": st.sampled_from(["sqlite:///here.db", "http://127.0.0.1:5000"]),
    "tracking.experiment": names,
    "tracking.silence_s": st.floats(10, 86_400),
    "tracking.checkpoint_s": st.none() | st.floats(1, 86_400),
    "tracking.register": st.none() | st.text("abcdefgh0123456789_-é", min_size=1, max_size=30),
    "tracking.system_metrics": switches,
    "report.tolerance": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "report.fail_unless": st.sampled_from([None, "reproduced"]),
    "sweep.rerun": switches,
    "sweep.retry_failed": switches,
    "sweep.detach": st.just(False),  # or a launcher with a queue is needed
    "sweep.plan_only": switches,
    "sweep.max_jobs": st.integers(400, 10**9),
    "sweep.on_failure": st.sampled_from(["continue", "stop"]),
}
CHOSEN_BY_NAME = {"data.name", "model.name", "optimizer.name"}
KEYS = sorted(known_keys(Config))

REFERENCES = [
    "${hidden}",
    "${lr}",
    "${data}",
    "${nothing}",
    "${data.nothing}",
    "${.name}",
    "${..seed}",
    "${trainer.${model.name}}",
    "${oc.env:NOTHING}",
    "${oc.env:HOME}",
    "${oc.env:NOTHING,7}",
    "${oc.decode:'[1'}",
    "${oc.decode:'{a: 1}'}",
    "${oc.create:{a:1}}",
    "${oc.select:nothing,3}",
    "${oc.dict.keys:data}",
    "${eval:1+1}",
    "${now:%Y}",
    "${hydra:run.dir}",
    "${python_version:}",
    "${fae.mode:3}",
    "a${seed}b${epochs}",
    "???",
]
numbers = (
    st.integers()
    | st.sampled_from([0, -1, 10**18, 2**63, 2**64, 10**30, -(10**30), 10**400])
    | st.floats()
)
texts = st.text(max_size=20) | st.text(st.characters(), max_size=3) | st.sampled_from(REFERENCES)
scalars = st.none() | switches | numbers | texts
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "name", "_target_", "root"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def misspelt(draw: st.DrawFn) -> str:
    """A key that is nearly one, in its place or in another."""
    key = draw(st.sampled_from(KEYS))
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from("aexyz_0"))
    return draw(
        st.sampled_from(
            [
                key[:at] + letter + key[at:],
                key[:at] + letter + key[at + 1 :],
                f"{key}.{letter}",
                f"{letter}.{key}",
                f"optimizer.{key}",
                key.rpartition(".")[2] + letter,
            ]
        ).filter(lambda name: not re.search(r"\.\.|\.$|^\.|\.\d|^\d", name))
    )


@st.composite
def change(draw: st.DrawFn) -> tuple[str, Any]:
    """A key and its value: mostly a good key, and as often as not a good value."""
    kind = draw(st.sampled_from(["good", "good", "good", "bad", "bad", "misspelt"]))
    if kind == "misspelt":
        return draw(misspelt()), draw(anything)
    key = draw(st.sampled_from(KEYS))
    return key, draw(GOOD[key] if kind == "good" and key in GOOD else anything)


good = st.sampled_from(sorted(GOOD)).flatmap(lambda key: st.tuples(st.just(key), GOOD[key]))
several = st.one_of(
    [
        st.lists(one, min_size=1, max_size=6, unique_by=lambda pair: pair[0]).map(dict)
        for one in (good, change())
    ]
)


@cache
def base(data: str, optimizer: str) -> dict[str, Any]:
    with initialize_config_dir(CONF, version_base="1.3"):
        node = compose_node("config", [NO_LOCAL, f"data={data}", f"optimizer={optimizer}"])
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def changed(choices: tuple[str, str], changes: Changes) -> DictConfig:
    """What Hydra makes of a base and of overrides by ``++``, once it has parsed them."""
    node = OmegaConf.create(base(*choices))
    for key, value in changes.items():
        line = f"++{key}"
        override = Override(OverrideType.FORCE_ADD, key, ValueType.ELEMENT, value, input_line=line)
        try:
            ConfigLoaderImpl._apply_overrides_to_config([override], node)
        except Exception as error:
            if not raised_by_hydra(error):
                raise
            raise explain(error, overrides=[line]) from error
    return node


def judged(make: Callable[[], Config], given: Collection[str]) -> str:
    """Whether a configuration is ``valid`` or ``refused``; nothing else may become of it."""
    try:
        config = make()
    except ConfigError as error:
        for problem in error.problems:
            assert len(problem.splitlines()) == 1, repr(problem)
            consequence = problem == "lr: is missing" and len(error.problems) > 1
            assert consequence or any(_names(problem, key) for key in given), (problem, given)
        return "refused"
    written = yaml.safe_dump(config.plain()).encode()
    again = read(DictConfig(yaml.safe_load(written)), Config)
    assert again == config
    assert hash(again) == hash(config)
    assert config.parameters()
    assert fingerprint_fields(config)
    return "valid"


def _names(problem: str, key: str) -> bool:
    """Whether a problem names a key, or one that the key would lie within."""
    within = [key, *accumulate(key.split(".")[:-1], "{}.{}".format)]
    return any(re.search(rf"(?<![\w.]){re.escape(one)}(?!\w)", problem) for one in within)


def tried(soak: Soak, short: int, whole: int) -> settings:
    return settings(
        max_examples=soak.times(short, whole),
        derandomize=not soak.whole,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_every_setting_has_good_values() -> None:
    groups = {key.partition(".")[0] for key in KEYS if "." in key}
    assert set(KEYS) == GOOD.keys() | CHOSEN_BY_NAME | groups


def test_a_configuration_is_valid_or_every_refusal_names_its_key(soak: Soak) -> None:
    """Generated configurations, valid and not: no traceback, every refusal names its key."""
    outcomes: Counter[str] = Counter()

    @tried(soak, short=400, whole=5000)
    @given(st.sampled_from(BASES), several)
    @example(("fashion_mnist", "sgd"), {"data": "\r"})
    @example(("fashion_mnist", "sgd"), {"data": []})
    @example(("fashion_mnist", "sgd"), {"batch_size.a": None})
    @example(("fashion_mnist", "adam"), {"optimizer.betas.a": None})
    @example(("fashion_mnist", "sgd"), {"seed": "${0seed}"})
    @example(("synthetic", "sgd"), {"sweep.max_jobs": 10**400})
    def check(choices: tuple[str, str], changes: Changes) -> None:
        outcomes[judged(lambda: read(changed(choices, changes), Config), changes)] += 1

    check()
    soak.tell(f"{outcomes['valid']} valid, {outcomes['refused']} refused, each by its key")
    assert min(outcomes.values()) > 0.1 * outcomes.total()


SWEEPS = [
    "1,2",
    "choice(1,2)",
    "range(1,3)",
    "range(3)",
    "interval(0,1)",
    "glob(*)",
    "shuffle(1,2)",
    "sort(2,1)",
    "tag(a,choice(1,2))",
    "int(3)",
    "str(3)",
    "float(x)",
    "bool(1)",
    "nothing(1)",
]
RUBBISH = st.text("ab1=[]{}()'\"\\\\,:$@~+-./ \t?*%&|<>é\n", max_size=12)
plain_words = st.text("abz019_-.", min_size=1, max_size=8)
prefixes = st.sampled_from(["", "", "", "+", "++", "~", "~+", "-"])


def _as_given(value: object) -> str:
    """A value as Hydra's grammar reads it: strings in quotes."""
    if isinstance(value, str):
        return "'" + value.replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ",".join(map(_as_given, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_as_given(item)}" for key, item in value.items()) + "}"
    return as_typed(value)


@st.composite
def override(draw: st.DrawFn) -> str:
    """An override as somebody may type it."""
    kind = draw(st.sampled_from(["value", "value", "value", "choice", "sweep", "rubbish"]))
    if kind == "value":
        key, value = draw(good | change())
        said = draw(st.sampled_from([_as_given(value), str(value)]))
        return f"{draw(prefixes)}{key}={said}"
    if kind == "choice":
        group = draw(st.sampled_from(sorted(GROUPS)))
        choices = st.sampled_from(GROUPS[group])
        said = draw(choices | plain_words | st.sampled_from(["null", "", "3", "[]", "{}", "[a,b]"]))
        package = draw(st.sampled_from(["", "", "", "@here", "@_global_", "@a:b"]))
        return f"{draw(prefixes)}{group}{package}={said}"
    key = draw(st.sampled_from(KEYS) | misspelt())
    if kind == "sweep":
        return f"{draw(prefixes)}{key}={draw(st.sampled_from(SWEEPS))}"
    return draw(
        st.one_of(RUBBISH, RUBBISH.map(lambda value: f"{key}={value}"), RUBBISH.map(key.__add__))
    )


usual = st.one_of(
    good.map(lambda pair: f"{pair[0]}={_as_given(pair[1])}"),
    st.sampled_from([f"{group}={choice}" for group in GROUPS for choice in GROUPS[group]]),
)
command_lines = st.one_of(
    [
        st.lists(one, min_size=1, max_size=6, unique_by=lambda text: text.partition("=")[0])
        for one in (usual, override(), usual | override())
    ]
)


def _keys_given(overrides: Overrides) -> set[str]:
    """What a refusal may name: an override as given, its key, or the package of that."""
    keys = {part for one in overrides for part in re.split("[+~@:]", one.partition("=")[0])}
    return {in_one_line(text) or "''" for text in (*overrides, *keys)}


def test_overrides_are_valid_or_every_refusal_names_its_key(soak: Soak) -> None:
    """Generated overrides, by Hydra's grammar and not: no traceback, every refusal names one."""
    outcomes: Counter[str] = Counter()

    @tried(soak, short=30, whole=600)
    @given(command_lines)
    @example([""])
    @example(["="])
    @example(["data=[null]"])
    @example(["data='${'"])
    @example(["optimizer=[]"])
    @example(["+local@here=none"])
    def check(overrides: list[str]) -> None:
        outcomes[judged(lambda: compose(NO_LOCAL, *overrides), _keys_given(overrides))] += 1

    check()
    soak.tell(f"{outcomes['valid']} valid, {outcomes['refused']} refused, each naming one")
    assert min(outcomes.values()) > 0


def test_the_command_line_says_what_compose_says(soak: Soak, tmp_path: Path) -> None:
    """Generated command lines end by exit code 0, 2 or 3, in one to three lines if not by 0."""
    lines: list[list[str]] = []

    @tried(soak, short=2, whole=24)
    @given(command_lines.filter(lambda line: all(map(_fit_for_a_shell, line))))
    @example(["hidden=0", "lr=nan"])
    def draw(line: list[str]) -> None:
        lines.append([NO_LOCAL, *line, "sweep.plan_only=true"])

    draw()
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda line: train(tmp_path, *line), lines))
    codes = Counter(process.returncode for process in ended)
    assert codes.keys() <= {0, 2, 3}, [p.stderr for p in ended if p.returncode not in {0, 2, 3}]
    for line, process in zip(lines, ended, strict=True):
        said = process.stderr.splitlines()
        assert process.returncode == 0 or 1 <= len(said) <= 3, (line, process.stderr)
        refusal = _refusal(line)
        if refusal and not any("repeats" in one or "experiment" in one for one in line):
            assert process.stderr == f"fae: {refusal}\n", line  # the others may be sweeps
    soak.tell(", ".join(f"{count} times {code}" for code, count in sorted(codes.items())))


def _refusal(overrides: Overrides) -> str | None:
    try:
        compose(*overrides)
    except ConfigError as error:
        return str(error)
    return None


def _fit_for_a_shell(text: str) -> bool:
    """Whether a text can be an argument, and is not taken for an option."""
    return text.isprintable() and text.isascii() and not text.startswith("-") and text != ""


def train(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "fae.train", *arguments, **variables)


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(f"sqlite:///{folder}/mlflow.db") | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


TRAP = """
import logging, os, sys
from pathlib import Path

Path(os.environ["SPRUNG"]).touch()

def run(*args, **kwargs): ...

class Handler(logging.StreamHandler): ...

class Formatter(logging.Formatter): ...

stream = sys.stdout
"""

PRESETS = {
    "callback": "hydra: {callbacks: {x: {_target_: trap.run}}}",
    "moved": "defaults: [/model@hydra.callbacks.x: target, _self_]",
    "escaped": 'hydra: {callbacks: {x: {"_t\\x61rget_": trap.run}}}',
    "merged": "hydra: {callbacks: {a: &x {_target_: trap.run}, b: {<<: *x}}}",
    "logging": 'hydra: {job_logging: {handlers: {file: {"()": trap.Handler}}}}',
    "filter": 'hydra: {job_logging: {filters: {x: {"()": trap.run}}}}',
    "attributes": 'hydra: {job_logging: {handlers: {file: {".": {a: ext://trap.stream}}}}}',
    "formatter": 'hydra: {hydra_logging: {formatters: {simple: {"()": trap.Formatter}}}}',
    "job": 'hydra: {mode: MULTIRUN, sweeper: {params: {"+hydra.callbacks.x._target_": trap.run}}}',
    "path": 'hydra: {mode: MULTIRUN, sweeper: {params: {hydra.searchpath: "[pkg://trap]"}}}',
    "git": "hydra: {job: {env_set: {PATH: bin}}}",
    "apply": "seed: !!python/object/apply:trap.run []",
    "system": "seed: !!python/object/apply:os.system ['touch $SPRUNG']",
    "new": "seed: !!python/object/new:trap.Handler []",
    "name": "seed: !!python/name:trap.run",
    "module": "seed: !!python/module:trap",
    "eval": "seed: ${eval:\"__import__('trap')\"}",
}
"""Of a user's own, by name, to stand below ``# @package _global_``."""

FILES = {
    **{f"experiment/{name}": f"# @package _global_\n{text}" for name, text in PRESETS.items()},
    "experiment/header": "# @package hydra.callbacks.x\n_target_: trap.run",
    "model/target": "_target_: trap.run",
    "optimizer/target": "name: sgd\n_target_: trap.run",
    "hydra/callbacks/trap": "x: {_target_: trap.run}",
    "hydra/launcher/trap": "_target_: trap.run",
    "hydra/launcher/inner": "defaults: [basic]\nx: {_target_: trap.run}",
    "hydra/sweeper/trap": "_target_: trap.run",
    "hydra/job_logging/trap": "version: 1\nhandlers: {x: {class: trap.Handler}}",
    "hydra/hydra_logging/trap": "version: 1\nhandlers: {x: {stream: ext://trap.stream}}",
    "imports": "hydra: {searchpath: [pkg://trap]}\ndefaults: [config]",
}


class Pickled:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch $SPRUNG",)


def lay_traps(folder: Path) -> dict[str, str]:
    """Code that leaves a file when it is run, and the variables that it needs."""
    (folder / "trap.py").write_text(TRAP)
    for name, text in FILES.items():
        file = folder / "files" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    (folder / "job.pickle").write_bytes(pickle.dumps(Pickled()))
    (folder / "bin").mkdir()
    (folder / "bin" / "git").write_text("#!/bin/sh\n/usr/bin/touch $SPRUNG\n")
    (folder / "bin" / "git").chmod(0o755)
    return {"SPRUNG": f"{folder}/sprung", "TRAP": "trap.run"}


def attacks() -> list[list[str]]:
    """Command lines that each name code in a way of its own."""
    sweep = ["-m", "hidden=4,8"]
    targets = ["trap.run", "os.system", "builtins.eval", "subprocess.getoutput"]
    single = [
        "+hydra.callbacks.x._target_={}",
        "hydra.callbacks.check._target_={}",
        "+hydra.callbacks.x={{_target_:{}}}",
        "+hydra.callbacks.x=[{{_target_:{}}}]",
        "+hydra.callbacks.x.a.b={{_target_:{}}}",
        "+hydra={{callbacks:{{x:{{_target_:{}}}}}}}",
        "+x._target_={}",
        "model={{_target_:{}}}",
        "trainer.profiler={{_target_:{}}}",
        "hidden={{_target_:{}}}",
    ]
    several = [
        "hydra.launcher._target_={}",
        "+hydra.launcher.x._target_={}",
        "+hydra.launcher.x=[{{_target_:{}}}]",
        "hydra.sweeper._target_={}",
        "+hydra.sweeper.x={{_target_:{}}}",
    ]
    logging = [
        "hydra.{}.handlers.console.class=trap.Handler",
        "hydra.{}.handlers.console.stream=ext://trap.stream",
        "+hydra.{}.formatters.x.class=trap.Formatter",
        "+hydra.{}.handlers.x={{class:trap.Handler}}",
        "+hydra.{}.handlers.x={{class:logging.handlers.QueueHandler,queue:trap.run}}",
        "hydra.{}.formatters.simple.format=ext://trap.stream",
        "hydra.{}.root.handlers=[ext://trap.stream]",
        "hydra.{}.handlers.console.stream=${{tracking.experiment}}",
    ]
    indirect = [
        ["+trap={_target_:trap.run}", "+hydra.callbacks.x=${trap}"],
        ["+trap={x:{_target_:trap.run}}", "hydra.callbacks=${trap}"],
        ["+hydra.callbacks.x='${oc.create:{_target_:trap.run}}'"],
        ["+hydra.callbacks.x='${oc.decode:\"{_target_: trap.run}\"}'"],
        ["+hydra.callbacks.x='${oc.select:nothing,{_target_:trap.run}}'"],
        ["+hydra.callbacks.x._target_=${oc.env:TRAP}"],
        ["+hydra.callbacks.x._target_=${model.name}", "model.name=trap.run"],
        ["+hydra.callbacks.x={_target_:fae.cli.command.SingleRunGuard,a:{_target_:trap.run}}"],
        [*sweep, "+hydra.launcher.x='${oc.create:{_target_:trap.run}}'"],
        [*sweep, "hydra.launcher='${oc.create:{_target_:trap.run}}'"],
    ]
    packages = [
        ["hydra.searchpath=[pkg://trap]"],
        ["--config-path=pkg://trap"],
        ["--config-dir=files", "--config-name=imports"],
        ["--info=defaults", "hydra.searchpath=[pkg://trap]"],
        ["--hydra-help", "hydra.searchpath=[pkg://trap]"],
        [*sweep, "hydra.overrides.hydra=['hydra.searchpath=[pkg://trap]']"],
    ]
    pickles = [
        ["--experimental-rerun=job.pickle"],
        ["--experimental-rerun", "job.pickle"],
        ["--exp=job.pickle", "hidden=4"],
        [*sweep, "--experimental-r", "job.pickle"],
    ]
    variables = [
        ["+hydra.job.env_set.PATH=bin"],
        ["+hydra.job.env_set={LD_PRELOAD:./trap.so}"],
        ["+hydra.job.env_set.PYTHONSTARTUP=trap.py"],
    ]
    resolvers = [
        ["seed=${eval:trap.run}"],
        ["seed=${python:trap.run}"],
        ["seed=${import:trap}"],
        ["seed='${oc.create:\"!!python/object/apply:trap.run []\"}'"],
        ["seed='!!python/object/apply:trap.run []'"],
        ["seed=${fae.mode:${eval:trap.run}}"],
    ]
    choices = [name.rpartition("/") for name in FILES if "/" in name]
    return [
        *([form.format(target)] for form in single for target in targets),
        *([*sweep, form.format(target)] for form in several for target in targets),
        *([form.format(name)] for form in logging for name in ("job_logging", "hydra_logging")),
        *(["--config-dir=files", f"{group}={choice}"] for group, _, choice in choices),
        *indirect,
        *packages,
        *pickles,
        *variables,
        *resolvers,
    ]


def test_no_command_line_runs_code_of_a_users_choice(soak: Soak, tmp_path: Path) -> None:
    """Attempts to have code run, by overrides, files, packages, pickles: all refused, none run."""
    variables = lay_traps(tmp_path)
    tries = attacks()[:: soak.times(short=10, whole=1)]

    def attack(line: list[str]) -> list[str]:
        process = train(tmp_path, *line, **variables)
        said = process.stderr.splitlines()
        good = process.returncode == 2 and said[0].startswith("fae: ") and len(said) <= 3
        return [] if good else [str(line), str(process.returncode), process.stderr]

    unguarded = "from contextlib import nullcontext; from fae import train; "
    unguarded += "from fae.cli import code_guard; "
    unguarded += "code_guard.known_code_only = nullcontext; train.main()"
    arguments = ["--hydra-help", "hydra.hydra_logging.handlers.console.class=trap.Handler"]
    python(tmp_path, "-c", unguarded, *arguments, **variables)
    sprung = Path(variables["SPRUNG"])
    sprung.unlink()  # the trap works

    with ThreadPoolExecutor(2) as pool:
        wrong = [report for report in pool.map(attack, tries) if report]
    assert not wrong, wrong
    assert not sprung.exists()
    soak.tell(f"{len(tries)} of {len(tries)} refused, no code run")
