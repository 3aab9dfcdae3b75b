"""Addresses: any file has one that leads back to it, and what is none is told how to be one."""

import os
import subprocess
import sys
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, PROJECT
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from fae.cli.compose import compose
from fae.errors import ConfigError
from fae.errors import without_password as masked
from fae.runtime.paths import absolute, flaw
from fae.tracking.address import LONGEST_DATABASE, file_of, of_file, of_store, of_study
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.store import Store

DECODES = file_of("sqlite:////%3F") == Path("/?")
"""As SQLAlchemy 2.1 does."""
MARK = "?" if DECODES else "!"
ODD = [
    f"what{MARK}",
    f"what{MARK}now=1&then=2",
    'it\'s "quoted" :x',
    "100%",
    "a%20b",
    "%3F",
    "a#b",
    "a b",
    " blank at both ends ",
    "it's",
    '"quoted"',
    "$HOME",
    "$(ls)",
    "a&b",
    "a;b",
    "a=b",
    "a,b",
    "[a]",
    "{b}",
    "~me",
    "a+b",
    "Müller",
    "🙂",
    "👩‍🔬",
    "名前",
    "-dash",
    "dot.",
    "...",
    "a@b:c",
    "a\\b",
    "*",
    "<a|b>",
    "`ls`!",
    "file:x",
    ":memory:",
    "n" * 250,
]


@pytest.mark.parametrize("name", ODD)
def test_any_file_has_an_address_that_leads_back_to_it(name: str) -> None:
    path = Path("/somewhere") / name / "mlflow.db"
    assert file_of(of_file(path)) == path
    assert of_store(of_file(path)) == of_file(path)
    assert of_study(of_file(path)) == of_file(path)
    assert flaw(path) == ""


@pytest.mark.skipif(DECODES, reason="SQLAlchemy can say it")
def test_a_question_mark_is_refused_where_no_address_can_have_it() -> None:
    with pytest.raises(ConfigError, match=r"^/what\?/x\.db: .* needs SQLAlchemy 2\.1"):
        of_file(Path("/what?/x.db"))


@pytest.mark.parametrize("name", ODD)
def test_runs_are_kept_in_a_folder_of_any_name(
    empty_store: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And found by the address that a bare ``mlflow ui`` takes there."""
    here = tmp_path / name
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = compose(NO_LOCAL).tracking
    assert file_of(tracking.uri) == here / "mlflow.db"
    (here / "mlflow.db").write_bytes(empty_store)
    folder = here / "outputs"
    folder.mkdir()
    with Store(tracking).run("odd", kind="run", folder=folder, command="") as run:
        run.log_metrics({"a": 1.0}, step=1)
        run.log_text("hello", "texts/greeting.txt")
    archive = Archive(tracking)
    (stored,) = archive.runs("run")
    assert (stored.status, stored.metrics) == ("FINISHED", {"a": 1.0})
    assert archive.text(stored, "texts/greeting.txt") == "hello"
    artifacts = here / "mlruns" / run.id / "artifacts"
    assert (artifacts / "texts" / "greeting.txt").read_text() == "hello"
    monkeypatch.setattr(SqlAlchemyStore, "_engine_map", {})
    of_ui = SqlAlchemyStore("sqlite:///mlflow.db", "mlruns").get_run(run.id)
    assert of_ui.data.metrics == {"a": 1.0}
    assert of_ui.info.artifact_uri == artifacts.as_uri()
    assert {place.name for place in tmp_path.iterdir()} == {Path(name).parts[0]}


def test_a_database_is_made_in_its_folder_and_nowhere_else(tmp_path: Path) -> None:
    """MLflow itself would make a folder what%3F."""
    here = tmp_path / f"what{MARK}" / 'it\'s "100%" :x'
    uri = of_file(here / "mlflow.db")
    Store(
        TrackingConfig(
            uri=uri, experiment="fae", silence_s=600, checkpoint_s=60, system_metrics=False
        )
    )
    assert {file.name for file in here.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}
    assert [place.name for place in tmp_path.iterdir()] == [f"what{MARK}"]


def test_a_path_is_as_long_as_sqlite_takes_it(tmp_path: Path) -> None:
    spare = LONGEST_DATABASE - len(f"{tmp_path}//mlflow.db")
    folder = tmp_path / ("n" * (spare // 2)) / ("n" * (spare - spare // 2 - 1))
    uri = of_file(folder / "mlflow.db")
    Store(
        TrackingConfig(
            uri=uri, experiment="fae", silence_s=600, checkpoint_s=60, system_metrics=False
        )
    )
    with pytest.raises(ConfigError, match="is 491 bytes long, 490 at most"):
        of_store(of_file(folder / "mlflow1.db"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\nb", "a line break or another control character"),
        ("a\tb", "a line break or another control character"),
        ("a\u2028b", "a line break or another control character"),
        (os.fsdecode(b"m\xfcller"), "is not text in this locale; set PYTHONUTF8=1"),
        ("${x}", "has ${ in it, which Hydra takes for an interpolation"),
        ("ü" * 1901, "is 3803 bytes long, 3800 at most"),
    ],
    ids=ascii,
)
def test_where_runs_cannot_be_kept_is_said(name: str, said: str) -> None:
    path = Path("/") / name
    assert said in flaw(path)
    with pytest.raises(ConfigError, match=r"^tracking\.uri="):
        of_store(f"sqlite:///{path}")


def test_a_working_folder_is_refused_whatever_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a\nb").mkdir()
    monkeypatch.chdir(tmp_path / "a\nb")
    with pytest.raises(ConfigError, match=r"working folder .*has a line break") as refused:
        compose(NO_LOCAL, "tracking.uri=http://127.0.0.1:5000")
    assert len(str(refused.value).splitlines()) == 1


ANY = "must be sqlite:///FILE or http://SERVER"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sqlite:///x.db?timeout=30", "takes no options; a ? of the file's own path is written"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "/ is a folder; name a file in it"),
        ("sqlite:///.", "is a folder; name a file in it"),
        ("sqlite:///not-there/..", "is a folder; name a file in it"),
        ("sqlite:///~", "is a folder; name a file in it"),
        ("sqlite://", "must be sqlite:///FILE"),
        ("sqlite://x.db", "must be sqlite:///FILE"),
        ("sqlite:x.db", "must be sqlite:///FILE"),
        ("sqlite+aiosqlite:///x.db", "must be sqlite:///FILE"),
        ("http://h:5000/#/experiments/1/runs", "is a page of a server; give the server, http://h:"),
        ("http://h:5000/?a=1", "give the server, http://h:5000"),
        ("http://h:port", "must be like http://host:5000"),
        ("http://h:99999", "must be like http://host:5000"),
        ("http://[::1:5000", "must be like http://host:5000"),
        ("http://", "names no server"),
        ("http://a b", "must not have blanks"),
        ("http://me:secret", "must be like http://host:5000"),
        ("http://me:secret/x@h", "must be like http://host:5000"),
        ("me:secret@h", ANY),
        ("//me:secret@h/d", f"MLflow keeps no runs in folders any more; {ANY}"),
        ("http://me:secret@h", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ("https://token@h", "or MLFLOW_TRACKING_TOKEN"),
        ("postgresql://me:secret@h/d", "mlflow server --backend-store-uri postgresql:"),
        ("mysql+pymysql://me:secret@h/d", "mlflow server --backend-store-uri mysql:"),
        ("databricks", f"fae does not know Databricks; {ANY}"),
        ("databricks-uc", f"fae does not know Databricks; {ANY}"),
        ("databricks://profile", f"fae does not know Databricks; {ANY}"),
        ("file:", f"MLflow keeps no runs in folders any more; {ANY}"),
        ("file:///tmp/mlruns", f"MLflow keeps no runs in folders any more; {ANY}"),
        ("./mlruns", f"MLflow keeps no runs in folders any more; {ANY}"),
        ("duckdb:///x", ANY),
    ],
)
def test_what_is_no_store_is_told_where_it_came_from_and_what_to_give(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("tracking.uri", "MLFLOW_TRACKING_URI"):
        with pytest.raises(ConfigError) as refused:
            of_store(given)
        assert str(refused.value).startswith(f"{key}={masked(given)}: ")
        assert said in str(refused.value)
        assert "secret" not in str(refused.value)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", given)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("HTTP://Host:5000/", "http://Host:5000"),
        (" http://h:5000/mlflow/\n", "http://h:5000/mlflow"),
        ("https://[::1]:5000", "https://[::1]:5000"),
        ("SQLite:////a/b.db", "sqlite:////a/b.db"),
        ("sqlite+pysqlite:////a/b.db", "sqlite:////a/b.db"),
        ("sqlite:////a/b%20.db", "sqlite:////a/b .db" if DECODES else "sqlite:////a/b%20.db"),
    ],
)
def test_an_address_is_taken_in_any_spelling(given: str, taken: str) -> None:
    assert of_store(given) == taken


def test_files_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert of_store("sqlite:///x.db") == of_study("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"
    assert of_store("sqlite:///~/x.db") == "sqlite:////home/me/x.db"
    assert absolute(Path("~nobody-of-that-name/x")) == tmp_path / "~nobody-of-that-name" / "x"


def test_the_database_of_a_study_has_no_password() -> None:
    kept = "postgresql+psycopg2://me@host:5432/name?sslmode=require"
    assert of_study(f" {kept} ") == kept
    for given in (
        "postgresql://me:secret@h/d",
        "postgresql://h/d?user=me&password=secret",
        "mssql+pyodbc:///?odbc_connect=UID%3Dsa%3BPWD%3Dsecret",
        "mssql+pyodbc:///?odbc_connect=DRIVER={ODBC Driver};PWD=secret",
        "mssql+pyodbc://me@h/d?PWD=secret",
        "oracle://h/d?access_token=secret",
    ):
        with pytest.raises(ConfigError, match=r"^search\.storage=.*set PGPASSWORD") as refused:
            of_study(given)
        assert "secret" not in str(refused.value)
    for given in ("here", "me:secret@h/d", "postgresql://me:secret", "postgresql://h:secret/d"):
        with pytest.raises(ConfigError) as refused:
            of_study(given)
        assert str(refused.value) == (
            f"search.storage={masked(given)}: must be like postgresql://host:5432/name"
        )
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "a=postgresql://me:secret@host:5432/name lr=1",
            "a=postgresql://me:***@host:5432/name lr=1",
        ),
        ("http://me:se@cr/et@host", "http://me:***@host"),
        ("http://:se cret@host", "http://:***@host"),
        ("http:me:secret@host", "http:me:***@host"),
        ("me:se/cret@host is away", "me:***@host is away"),
        ("a=me:secret@host", "a=me:***@host"),
        ("a=//me:secret@host/db", "a=//me:***@host/db"),
        ("http://me:secret", "http://me:***"),
        ("https://b/k?X-Amz-Signature=secret&a=1", "https://b/k?X-Amz-Signature=***&a=1"),
        ("http://me@mail.org:secret@host", "http://***@mail.org:***@host"),
        ("mysql+pymysql://me@mail.org:secret@h/db", "mysql+pymysql://me@mail.org:***@h/db"),
        ("a=https://ghp_token@host b=1", "a=https://***@host b=1"),
        ("postgresql://me:123/secret@host", "postgresql://me:***@host"),
        ("a=mysql+pymysql://me:1?secret@h/d b=2", "a=mysql+pymysql://me:***@h/d b=2"),
        ("postgresql://host:5432/d?user=me@firm", "postgresql://host:5432/d?user=me@firm"),
        ("postgresql://host:5432/d is away, a@b", "postgresql://host:5432/d is away, a@b"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        ("http://host:5000/x@y", "http://host:5000/x@y"),
        ("http://host/x@y", "http://host/x@y"),
        ("mssql://h/d?a=1;PWD=secret&b=2", "mssql://h/d?a=1;PWD=***&b=2"),
        ("mysql://h/d?a=1&PASSWORD=secret&b=2", "mysql://h/d?a=1&PASSWORD=***&b=2"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("http://host:5000/a", "http://host:5000/a"),
    ],
)
def test_a_password_is_not_repeated(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(f"{shown}: why") == f"{shown}: why"


def test_what_the_environment_says_as_mlflow_users_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " ")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    tracking = compose(NO_LOCAL).tracking
    assert (tracking.uri, tracking.experiment) == (of_store("sqlite:///mlflow.db"), "theirs")
    assert compose(NO_LOCAL, "tracking.experiment=ours").tracking.experiment == "ours"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "3")
    assert compose(NO_LOCAL).tracking.experiment == "theirs"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "")
    with pytest.raises(ConfigError, match=r"^MLFLOW_EXPERIMENT_ID=3: .*MLFLOW_EXPERIMENT_NAME"):
        compose(NO_LOCAL)


def command(folder: Path, module: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Its exit code, and what it said on standard error."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    given = [sys.executable, "-m", module, *arguments, NO_LOCAL]
    env = {**others, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **variables}
    if variables:  # which Python reads as it begins
        done = subprocess.run(given, cwd=folder, env=env, capture_output=True, text=True)
    else:
        done = forking.run(given, cwd=folder, env=env, timeout=300)
    return done.returncode, done.stderr


@pytest.mark.long
def test_a_sweep_runs_in_a_folder_of_an_odd_name(tmp_path: Path) -> None:
    """With the report that reads it; in processes of joblib's, see tests/test_train.py."""
    here = tmp_path / f"-what{MARK}" / '100% #1 it\'s "ü🙂" $HOME;&=,[a]{b}~+%20'
    here.mkdir(parents=True)
    assert command(here, "fae.train", "-m", "hidden=4,5", "experiment=smoke", "epochs=1") == (0, "")
    assert len([*here.glob("reports/*/report.html")]) == 1
    assert {"mlflow.db", "mlruns", "multirun"} <= {file.name for file in here.iterdir()}
    assert [*tmp_path.iterdir()] == [here.parent]


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("name", "variables", "said"),
    [
        ("a\nb", {}, "has a line break or another control character in it; choose another name"),
        ("${x}", {}, "has ${ in it, which Hydra takes for an interpolation; choose another name"),
        ("Möwe", ASCII, "is not text in this locale; set PYTHONUTF8=1, or choose another name"),
    ],
    ids=ascii,
)
def test_a_folder_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, variables: dict[str, str], said: str
) -> None:
    here = tmp_path / name
    here.mkdir()
    code, errors = command(here, "fae.train", "experiment=smoke", **variables)
    assert code == 2
    assert errors.endswith(f"{said}\n")
    assert len(errors.splitlines()) == 1
    assert [*here.iterdir()] == []


@pytest.mark.parametrize(
    ("module", "override"),
    [
        ("fae.train", "tracking.uri=http://me:secret@127.0.0.1:9"),
        ("fae.search", "search.storage=postgresql://me:secret@127.0.0.1:9/d"),
    ],
)
@pytest.mark.parametrize("options", [(), ("-m", "hidden=4,5")], ids=["", "-m"])
def test_a_password_is_refused_before_hydra_writes_it_down(
    tmp_path: Path, module: str, override: str, options: tuple[str, ...]
) -> None:
    code, errors = command(tmp_path, module, *options, "experiment=smoke", override)
    assert code == 2
    assert errors.startswith(f"fae: {masked(override)}: a ")
    assert "secret" not in errors
    assert [*tmp_path.iterdir()] == []
