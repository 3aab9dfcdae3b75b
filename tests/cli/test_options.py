"""Command lines before Hydra reads them: mistakes with dashes, options among settings."""

from pathlib import Path

import pytest

from fae.cli.options import in_order, names_and_overrides, new_file, new_folder, words
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


def test_names_may_have_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.png").touch()
    given = ["latest", "a=b.png", "lr=1", "+x.y=2", "~data.z=1", "a b=c.png", "data@x=y", "="]
    names, overrides = names_and_overrides(given)
    assert names == ["latest", "a=b.png", "a b=c.png", "="]
    assert overrides == ["lr=1", "+x.y=2", "~data.z=1", "data@x=y"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "--out: is empty"),
        ("/proc/made", "--out /proc/made: cannot be written (No such file or directory); name"),
        ("is/made", "--out is/made: is there already; "),
        ("made\x07", r"--out made\x07: has a line break or another control character"),
    ],
)
def test_where_nothing_can_be_written_is_said_at_once(
    given: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "is/made").mkdir(parents=True)
    (tmp_path / "is/made/thesis.txt").touch()
    with pytest.raises(ConfigError) as of_folder:
        new_folder(given, "kind")
    with pytest.raises(ConfigError) as of_file:
        new_file(given, "--out")
    for error in (of_folder, of_file):
        assert str(error.value).startswith(problem)
    assert {path.name for path in tmp_path.rglob("*")} == {"is", "made", "thesis.txt"}


def test_a_new_file_needs_a_folder_and_a_new_folder_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_folder("new/er", "kind") == tmp_path / "new" / "er"
    assert new_file("a.csv") == tmp_path / "a.csv"
    with pytest.raises(ConfigError, match=r"^new/a\.csv: there is no folder "):
        new_file("new/a.csv")
    assert [*tmp_path.iterdir()] == []
