"""Command lines before Hydra reads them: mistakes with dashes, options among settings."""

import pytest

from fae.cli.options import in_order, words
from fae.errors import ConfigError

SETTINGS = {"hidden", "epochs", "batch_size", "trainer.precision", "experiment", "where"}


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        (["hidden=1", "-m", "seed=2,3"], ["-m", "hidden=1", "seed=2,3"]),
        (["--config-dir", "here", "a=1"], ["--config-dir", "here", "a=1"]),
        (["a=1", "--config-dir=here", "a=1"], ["--config-dir=here", "a=1", "a=1"]),
        (["--cfg", "job", "hidden=1"], ["--cfg", "job", "hidden=1"]),
        (["hidden 64", "lr=-1", "~local", "+a=b"], ["hidden 64", "lr=-1", "~local", "+a=b"]),
        ([], []),
    ],
)
def test_options_and_settings_may_be_mixed(arguments: list[str], ordered: list[str]) -> None:
    assert in_order(arguments, SETTINGS) == ordered


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden=64"], "--hidden=64: settings have no dashes; write hidden=64"),
        (["-hidden=64"], "-hidden=64: settings have no dashes; write hidden=64"),
        (["--epochs", "3"], "--epochs: settings have no dashes; write epochs=3"),
        (["--epochs"], "--epochs: settings have no dashes; write epochs=..."),
        (["--epochs", "-m"], "--epochs: settings have no dashes; write epochs=..."),
        (["--epochs", "lr=1"], "--epochs: settings have no dashes; write epochs=..."),
        (["--batch-size", "5"], "--batch-size: settings have no dashes; write batch_size=5"),
        (["--trainer.precision=32"], "settings have no dashes; write trainer.precision=32"),
        (["--experiment", "adam"], "settings have no dashes; write experiment=adam"),
        (["--where", "hidden=64"], "--where: settings have no dashes; write where=hidden=64"),
        (["--where", "a=1 b=2"], "--where: settings have no dashes; write 'where=a=1 b=2'"),
        (["--where", "-m"], "--where: settings have no dashes; write where=..."),
    ],
)
def test_settings_have_no_dashes(arguments: list[str], message: str) -> None:
    for read in (in_order, words):
        with pytest.raises(ConfigError) as error:
            read(arguments, SETTINGS)
        assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--multi-run"], "--multi-run: no such option; did you mean --multirun?"),
        (["-x"], "-x: no such option; see --help"),
        (["--cfg", "x"], "--cfg/-c: invalid choice: 'x' (choose from "),
        (["--config-dir"], "--config-dir/-cd: expected one argument; see --help"),
        (["-m", "--cfg", "job"], "-m and --cfg: only one of them at a time"),
    ],
)
def test_a_wrong_option_is_named_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        in_order(arguments, SETTINGS)
    assert str(error.value).startswith(message)
    assert len(str(error.value).splitlines()) == 1
    assert capsys.readouterr() == ("", "")


def test_a_command_without_options_refuses_them() -> None:
    assert words(["a folder", "hidden=3"], SETTINGS) == ["a folder", "hidden=3"]
    with pytest.raises(ConfigError, match="--foo: no such option; see --help"):
        words(["hidden=3", "--foo"], SETTINGS)
