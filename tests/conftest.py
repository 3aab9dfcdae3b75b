"""What the tests share: tiny configurations, one store, and the real command line.

Light at import, as pytest-xdist imports it once more, before its processes begin.
"""

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forking
import pytest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from fae.config import Config
    from fae.data.fashion_mnist.images import FashionMNIST
    from fae.runs.stored import TrainedRun
    from fae.tracking.liveness import Heartbeat

PROJECT = Path(__file__).resolve().parents[1]
NO_LOCAL = "local=none"
"""Leaves a developer's own defaults (conf/local/default.yaml) out of the tests."""
OF_TRAINED = "trained"
"""The experiment of ``trained``."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
"""What shows pages to the tests; None where no browser is installed."""
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")


def in_browser(script: Path, page: Path) -> dict[str, Any]:
    """What a script finds on a page; the test is skipped where it cannot run."""
    assert BROWSER
    looked = subprocess.run(
        ["node", script, page],
        env={**os.environ, "BROWSER": BROWSER},
        capture_output=True,
        text=True,
        check=False,
    )
    if "MODULE_NOT_FOUND" in looked.stderr:
        pytest.skip("npm install --no-save axe-core puppeteer-core")
    assert looked.returncode == 0, looked.stderr
    found: dict[str, Any] = json.loads(looked.stdout)
    return found


NEEDS_GPU = pytest.mark.skipif(
    "not __import__('torch').cuda.is_available()", reason="there is no GPU here"
)


def idle() -> "Heartbeat":
    """The heartbeat of a run that ends before its first sign of life is due."""
    from fae.tracking.liveness import Heartbeat

    return Heartbeat(lambda _: None, lambda: 0, own=0, silence_s=1e9)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="all of tests/soak, for half an hour")


LONGEST = (
    "test_search.py",
    "test_train.py",
    "test_write.py",
    "test_extending.py",
    "test_lacking.py",
)
"""Files that take longest; they come first, so that the processes end at the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Spare the searches for garbage what was imported, which is most of what there is."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape the halves of characters that tests print: pytest-xdist cannot send them on."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Undo what a test leaves in the environment; no store is named at its beginning.

    ``mlflow.set_tracking_uri`` names one there, also in a fixture that several tests share.
    """
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with MLflow's tables, which take seconds to make."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("empty")
    SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", f"{folder}/mlruns")
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def own_store(tmp_path: Path, empty_store: bytes) -> None:
    """An empty ``mlflow.db`` in the test's folder, for a test that needs one but makes none."""
    (tmp_path / "mlflow.db").write_bytes(empty_store)


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory: pytest.TempPathFactory, empty_store: bytes) -> str:
    """One store for all tests that do not need one of their own."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    database.write_bytes(empty_store)
    return f"sqlite:///{database}"


@pytest.fixture(scope="session")
def client(store_uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(store_uri)


@pytest.fixture
def tiny(store_uri: str) -> "Callable[..., Config]":
    """Composes the smallest configuration, with overrides of one's own."""

    def make(*overrides: str) -> "Config":
        smallest = "experiment=smoke", f"tracking.uri='{store_uri}'", "hidden=4"
        return _composed(Path.cwd(), NO_LOCAL, *smallest, *overrides)

    return make


@cache
def _composed(_: Path, *overrides: str) -> "Config":
    """The configuration of some overrides, composed once for each working folder."""
    from fae.cli.compose import compose

    return compose(*overrides)


@pytest.fixture(scope="session")
def trained_config(store_uri: str) -> "Config":
    """What ``trained`` trained, in an experiment of its own in the tests' store."""
    from fae.cli.compose import compose

    of_store = f"tracking.uri='{store_uri}'", f"tracking.experiment={OF_TRAINED}"
    return compose(NO_LOCAL, "experiment=smoke", "hidden=4", "epochs=1", *of_store)


@pytest.fixture(scope="session")
def _trained_id(trained_config: "Config", tmp_path_factory: pytest.TempPathFactory) -> str:
    from fae.api import fit

    return fit(trained_config, tmp_path_factory.mktemp("trained") / "run").run_id


@pytest.fixture
def trained(trained_config: "Config", _trained_id: str) -> "TrainedRun":
    """A finished run, for tests of what becomes of one."""
    from fae.runs.stored import TrainedRun
    from fae.tracking.archive import Archive

    return TrainedRun.find(_trained_id, Archive(trained_config.tracking))


@pytest.fixture
def with_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads that torch computes in, until the test ends."""
    import torch

    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path, store_uri: str) -> Cli:
    """Runs ``python -m fae.train`` in an empty folder, as a user would.

    All tests share a store, so what one has run another runs again.
    """

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return forking.run(
            [sys.executable, "-m", "fae.train", *arguments, NO_LOCAL, "sweep.rerun=true"],
            cwd=tmp_path,
            env=environment(store_uri),
            timeout=300,
        )

    return run


def environment(store_uri: str) -> dict[str, str]:
    """The environment of a command: this package, and the tests' store."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "MLFLOW_TRACKING_URI": store_uri}


def runs(client: "MlflowClient", kind: str, folder: Path) -> "list[Run]":
    """The runs of one kind that were made in one folder, oldest first."""
    experiment = client.get_experiment_by_name("fae")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`fae.kind` = '{kind}'")
    return [r for r in found if r.data.tags["fae.folder"].startswith(str(folder))][::-1]


@pytest.fixture(scope="session")
def fashion_mnist() -> "FashionMNIST":
    """The real data set; a test that asks for it is skipped where the files are absent."""
    from fae.cli.compose import compose
    from fae.data.fashion_mnist.config import FashionMNISTConfig
    from fae.data.fashion_mnist.images import FashionMNIST

    config = compose(NO_LOCAL).data
    assert isinstance(config, FashionMNISTConfig)
    source = FashionMNIST(config.root)
    if not (source.folder / "t10k-labels-idx1-ubyte.gz").exists():
        pytest.skip(
            f"Fashion-MNIST is not in {source.folder}: "
            "set FAE_DATA to a folder that holds FashionMNIST/raw/*.gz"
        )
    return source
