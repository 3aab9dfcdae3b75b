"""Overrides: names, commands, and that Hydra's prefixes are no part of a key."""

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.cli.overrides import (
    assignment,
    command_line,
    key_of,
    rounded_assignment,
    run_name,
    study_name,
    sweep_name,
    without,
)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("hidden=64,128", "hidden"),
        ("+search.space.dropout={low: 0, high: 0.5}", "search.space.dropout"),
        ("++optimizer.betas=[0.9,0.99]", "optimizer.betas"),
        ("~search.space.lr", "search.space.lr"),
        ("~local=default", "local"),
        ("hydra/launcher=joblib", "hydra/launcher"),
        ("data.root='a=b'", "data.root"),
    ],
)
def test_a_key_is_what_hydra_takes_for_it(override: str, key: str) -> None:
    assert key_of(override) == key


@pytest.mark.parametrize("prefix", ["", "+", "++", "~"])
def test_overrides_go_with_their_key_or_group_whatever_the_prefix(prefix: str) -> None:
    given = ["seed=1", "report.tolerance=0.1", "hydra/launcher=joblib", "seeds=2", "lr=1"]
    given = [prefix + override for override in given]
    assert without(given, "seed", "report", "hydra") == [f"{prefix}seeds=2", f"{prefix}lr=1"]


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "hidden=64 seed=0"),
        (["hidden=128"], "hidden=128 seed=0"),
        (["seed=3", "hidden=128"], "hidden=128 seed=3"),
        (["optimizer=adam", "lr=0.001", "seed=1"], "hidden=64 optimizer=adam lr=0.001 seed=1"),
        (["data.root=/x", "tracking.uri=http://x", "hydra.run.dir=y"], "hidden=64 seed=0"),
        (["seed=4", "repeats=1"], "hidden=64 seed=4"),
        (["data=synthetic"], "hidden=64 data=synthetic seed=0"),
        (["++seed=3", "++hidden=128", "++lr=1"], "hidden=128 lr=1 seed=3"),
        (
            ["lr=22.573731189131195", "dropout=0.36280863"],
            "hidden=64 lr=22.57 dropout=0.3628 seed=0",
        ),
        (["lr=1e9"], "hidden=64 lr=1e+09 seed=0"),
        (["~hydra.job.name", "++tracking.experiment=x", "~local"], "hidden=64 seed=0"),
    ],
)
def test_a_name_tells_what_varies(overrides: list[str], name: str) -> None:
    config = compose(NO_LOCAL, *[o for o in without(overrides, "hydra") if o != "~local"])
    assert run_name(config, overrides) == name


def test_a_study_is_named_by_exact_values() -> None:
    config = compose(NO_LOCAL)
    assert study_name(config, ["dropout=0.36280863"]) == "hidden=64 dropout=0.36280863 seed=0"


def test_a_sweep_is_named_by_its_overrides() -> None:
    given = ["hidden=64,128", "seed=0,1", "local=none", "report.tolerance=0.1"]
    assert sweep_name(given) == "hidden=64,128 seed=0,1"
    assert sweep_name([f"++{override}" for override in given]) == "hidden=64,128 seed=0,1"
    assert sweep_name([]) == "sweep"


def test_a_command_can_be_pasted_into_a_shell() -> None:
    assert command_line(["hidden=64"]) == "python -m fae.train hidden=64"
    assert command_line(["lr=1,2"], "-m") == "python -m fae.train -m lr=1,2"
    assert command_line(["data.root=a b"]) == "python -m fae.train 'data.root=a b'"


@pytest.mark.parametrize(
    ("value", "as_override", "rounded"),
    [
        (1e-5, "key=1e-05", "key=1e-05"),
        (0.123456789, "key=0.123456789", "key=0.1235"),
        (3, "key=3", "key=3"),
        (True, "key=true", "key=true"),
        (None, "key=null", "key=null"),
        ("adam", "key=adam", "key=adam"),
    ],
)
def test_values_as_a_command_line_gives_them(value: object, as_override: str, rounded: str) -> None:
    assert assignment("key", value) == as_override
    assert rounded_assignment("key", value) == rounded
