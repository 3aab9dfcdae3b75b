"""The command: it writes a page, stores the probe's accuracy, and names what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import forking
import pytest
from conftest import NO_LOCAL, environment
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.runs.job import Job
from fae.runs.run import train


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_store: bytes) -> Path:
    """A folder with a store in which there is one run."""
    home = tmp_path_factory.mktemp("home")
    (home / "mlflow.db").write_bytes(empty_store)
    uri = f"tracking.uri='sqlite:///{home}/mlflow.db'"
    config = compose(NO_LOCAL, "experiment=smoke", uri, "hidden=4", "model=variational")
    result = train(config, Job("one", home / "one", ""))
    (home / "run").write_text(json.dumps(result.run_id))
    return home


def command(home: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forking.run(
        [sys.executable, "-m", "fae.explore", *arguments],
        cwd=cwd,
        env=environment(f"sqlite:///{home}/mlflow.db"),
        timeout=120,
    )


def test_it_writes_a_page_and_stores_the_accuracy_once(home: Path, tmp_path: Path) -> None:
    run_id = json.loads((home / "run").read_text())
    done = command(home, "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    network, accuracy, page = done.stdout.splitlines()
    assert network == f"network  one ({run_id[:8]})"
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    run = client.get_run(run_id)
    assert f"of {100 * run.data.metrics['probe/accuracy']:.1f} % (" in accuracy
    (written,) = tmp_path.glob("explorations/*/explore.html")
    assert page == f"page     {written}"
    assert run.info.status == "FINISHED"
    again = command(home, run_id[:6], "--out", "here", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "here" / "explore.html").read_text() == written.read_text()
    assert len(client.get_metric_history(run_id, "probe/accuracy")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zz"], "RUN=zz: no runs have ids that begin so"),
        ([], "the following arguments are required: RUN; see --help"),
        (["latest", "--out", "taken"], "--out taken: is there already"),
        (["latest", "--outt", "x"], "unrecognized arguments: --outt"),
        (["latest", "another"], "RUN: must be given once, not 2 times; see --help"),
        (["data.root=x"], "RUN: must be given once, not 0 times; see --help"),
        (["latest", "lr=fast"], "lr=fast: "),
        (
            ["latest", "lr=0.5"],
            "lr=0.5: a stored run has its own settings; only data.root",
        ),
    ],
    ids=" ".join,
)
def test_a_mistake_is_named_and_nothing_is_written(
    home: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work")
    done = command(home, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_store_that_takes_nothing_is_a_warning(home: Path, tmp_path: Path) -> None:
    """The page is written all the same."""
    run_id = json.loads((home / "run").read_text())
    closed = tmp_path / "closed.db"
    closed.write_bytes((home / "mlflow.db").read_bytes())
    MlflowClient(f"sqlite:///{closed}").set_tag(run_id, "fae.probe", "fitted otherwise")
    code = (
        "import sys, fae.explore, fae.tracking.archive as a\n"
        "from fae.errors import StoreError\n"
        "def refuse(*_): raise StoreError('no room')\n"
        "a.Archive.add_metrics = refuse\n"
        "fae.explore.main()"
    )
    done = forking.run(
        [sys.executable, "-c", code, "latest", "--out", "here"],
        cwd=tmp_path,
        env=environment(f"sqlite:///{closed}"),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "warning: no room"
    assert (tmp_path / "here" / "explore.html").exists()
