"""The report command: what it takes from the command line."""

import pytest
from conftest import NO_LOCAL
from hydra import compose, initialize_config_dir

from fae.compose import CONF, to_request
from fae.config import ReportRequest
from fae.report import quoted


def request(*arguments: str) -> ReportRequest:
    with initialize_config_dir(CONF, version_base="1.3"):
        return to_request(compose("report", [NO_LOCAL, *map(quoted, arguments)]))


@pytest.mark.parametrize(
    ("argument", "sweep"),
    [
        ("sweep=null", ()),
        ("sweep=hidden=64,128 seed=0,1", ("hidden=64,128 seed=0,1",)),
        ("sweep=59e26712", ("59e26712",)),
        ("sweep=12345678", ("12345678",)),
        ("sweep=[59e26712,7d737303]", ("59e26712", "7d737303")),
        ("""sweep=["hidden=64,128",7d737303]""", ("hidden=64,128", "7d737303")),
        ("sweep=hidden=range(2,5)", ("hidden=range(2,5)",)),
        ("sweep='quoted already'", ("quoted already",)),
    ],
)
def test_a_sweep_is_named_as_it_is(argument: str, sweep: tuple[str, ...]) -> None:
    assert request(argument).sweep == sweep


def test_conditions_and_folders_need_no_quotes_of_hydras() -> None:
    made = request("where=hidden=64,128 optimizer=adam", "out=/a folder, of mine")
    assert made.where == "hidden=64,128 optimizer=adam"
    assert str(made.out) == "/a folder, of mine"
    assert request().out is None


def test_a_users_own_defaults_of_the_train_command_do_no_harm() -> None:
    assert request("+epochs=3").report.tolerance == 0.03
