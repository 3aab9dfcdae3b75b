"""The reference of the configuration: every key with its meaning, type, bounds and default."""

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose, compose_values, dotted
from fae.cli.reference import Key, groups, keys
from fae.cli.unknown import known_keys
from fae.reports.config import ReportConfig
from fae.search import SCHEMAS as OF_SEARCH
from fae.train import SCHEMAS as OF_TRAIN

SCHEMAS = {"train": OF_TRAIN, "search": OF_SEARCH, "report": (ReportConfig,)}
VARIANTS = [(), ("data=digits", "model=deep", "optimizer=adam"), ("data=synthetic",)]


def key(name: str, command: str = "train", option: str = "") -> Key:
    (found,) = (k for k in keys(command) if k.name == name and (not option or option in k.options))
    return found


@pytest.mark.parametrize("command", SCHEMAS)
def test_every_key_that_a_command_takes_is_there_with_its_meaning_and_no_other(
    command: str,
) -> None:
    sections = {key.group for key in keys(command)}
    known = {k for k in known_keys(*SCHEMAS[command]) if not k.endswith(".name")} - sections
    names = {key.name for key in keys(command)}
    assert {name for name in known if not name.startswith("search.space.")} - names == set()
    assert names - {*known_keys(*SCHEMAS[command])} == set()
    assert [key.name for key in keys(command) if not (key.meaning and key.type)] == []


@pytest.mark.parametrize("variants", VARIANTS, ids=" ".join)
def test_every_key_of_a_composed_configuration_is_there(variants: tuple[str, ...]) -> None:
    composed = dotted(compose_values(NO_LOCAL, *variants))
    of_runs = {k for k in composed if not k.endswith(".name") and not k.startswith("search.")}
    assert of_runs - {key.name for key in keys("train")} == set()


def test_the_defaults_are_those_that_are_composed() -> None:
    """Given as overrides they change nothing; those that the environment sets are left out."""
    given = [
        f"{key.name}={key.default}"
        for key in keys("train")
        if not key.options and "(" not in key.default and "$" not in key.default
    ]
    assert compose(NO_LOCAL, *given) == compose(NO_LOCAL)
    assert len(given) > 20


def test_what_options_set_is_told_by_option() -> None:
    assert key("lr").default == "set by optimizer: 1e-3 (adam, adamw), 0.5 (sgd)"
    assert (
        key("data.val", option="digits").default
        == "10000 (fashion_mnist, mnist, cifar10), 300 (digits), 500 (synthetic)"
    )
    assert key("data.side", option="synthetic").options == ("synthetic",)
    assert key("data.root", option="npz").options == ("folder", "npz")
    assert key("data.root", option="npz").default == "null"
    assert key("optimizer.momentum").options == ("sgd",)
    assert key("optimizer.weight_decay", option="adamw").default == "0.0 (adam), 0.01 (adamw)"
    assert key("tracking.uri").default == "$MLFLOW_TRACKING_URI, else sqlite:///mlflow.db"


@pytest.mark.parametrize(
    ("name", "kind", "bounds"),
    [
        ("hidden", "integer", "1 to 65536"),
        ("seed", "integer", "0 <= x < 2^63"),
        ("epochs", "integer", "1 to 10^9"),
        ("lr", "number", "above 0"),
        ("report.tolerance", "number", "0 < x < 1"),
        ("optimizer.betas", "2 numbers", "each 0 <= x < 1"),
        ("model.widths", "list of integers", "at least 1, each 1 to 65536"),
        ("trainer.early_stopping", "integer or null", "1 to 10^9"),
        ("trainer.detect_anomaly", "true or false", ""),
        ("tracking.uri", "text", "not empty"),
        ("tracking.experiment", "text", "at most 250 characters"),
        ("data.grey", "true or false", ""),
        ("data.skip_broken", "true or false", ""),
    ],
)
def test_type_and_bounds_are_told_in_words(name: str, kind: str, bounds: str) -> None:
    assert (key(name).type, key(name).bounds) == (kind, bounds)


def test_folders_are_told_by_the_data_sets_that_have_them() -> None:
    for option in ("fashion_mnist", "mnist", "cifar10"):
        found = key("data.root", option=option)
        assert (found.type, found.bounds, found.options) == ("folder", "", (option,))


def test_choices_are_listed() -> None:
    assert key("trainer.profiler").choices == ("simple", "advanced", "null")
    assert key("model.initialisation", option="autoencoder").choices == ("uniform", "pca")
    assert key("search.sampler", "search").choices == ("tpe", "random", "grid", "gp")


def test_a_meaning_is_the_string_under_the_field_in_one_line() -> None:
    assert key("batch_size").meaning == (
        "Images per batch; the last batch of an epoch may be smaller."
    )
    assert key("search.pruner", "search").meaning == (
        "Decides by val/mse after each epoch which trials end early."
    )


def test_groups_have_their_options_each_with_a_line() -> None:
    found = {group.name: group for group in groups("train")}
    assert [*found] == ["data", "model", "optimizer", "local", "experiment"]
    assert found["optimizer"].default == "sgd"
    assert found["experiment"].default == ""
    presets = [option.name for option in found["experiment"].options]
    assert presets[-4:] == ["best/64", "best/128", "best/256", "best/512"]
    meanings = {option.name: option.meaning for option in found["experiment"].options}
    assert meanings["lr"] == (
        "The paper's open question about the best learning rate for each n: the paper's rate, "
        "doubled up to four times"
    )
    assert [o for group in found.values() for o in group.options if not o.meaning] == []
    assert groups("search") == groups("train")
    assert [group.name for group in groups("report")] == ["local"]
