"""What the tests on servers and hosts share.

python -m pytest tests/cluster            # make test-cluster
python -m pytest tests/cluster --soak     # make soak-cluster; writes docs/reliability/cluster.md

A server is started when the first test asks for it, and all are ended with the session; hosts end
with their test. What cannot be had here (no apt-get, no namespaces) skips the tests that need it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from soaking import pytest_runtest_makereport, soak, write_page

from cluster.host import ROOT, Host
from cluster.servers import S3, PostgreSQL, Server, mlflow_server

__all__ = ["HostMaker", "pytest_runtest_makereport", "soak"]

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "reliability" / "cluster.md"
APT_S = 300.0
HostMaker = Callable[..., Host]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings be: those of server processes and their clients are not ours to judge."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.filterwarnings("default"))


def pytest_sessionstart() -> None:
    """Have SIGTERM end the session as Ctrl-C does, with all servers and hosts."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    title = "Reliability on several machines"
    write_page(session, exitstatus, FOLDER, PAGE, title, "make soak-cluster")


def installed(program: str, package: str, places: str = "") -> Path:
    """The path of a program; Debian's package is installed if need be and possible.

    Args:
        places: a pattern of its path, where it is not on the search path.
    """

    def find() -> Path | None:
        found = sorted(Path("/").glob(places)) if places else [shutil.which(program)]
        return Path(found[-1]) if found and found[-1] else None

    if not find() and ROOT and shutil.which("apt-get"):
        apt = ["apt-get", "install", "--yes", "--no-install-recommends", package]
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(apt, env=quiet, timeout=APT_S, capture_output=True)
    path = find()
    if path is None:
        pytest.skip(f"needs {program}: apt-get install {package}")
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """PostgreSQL; ``postgresql.database(NAME)`` makes an empty database there."""
    pytest.importorskip("psycopg", reason="pip install '.[cluster]'")
    postgres = installed("postgres", "postgresql", "usr/lib/postgresql/*/bin/postgres")
    # Not below pytest's folder, which only its own user may enter.
    with tempfile.TemporaryDirectory(prefix="fae-postgresql-") as folder:
        server = PostgreSQL(postgres.parent, Path(folder), "postgres" if ROOT else None)
        yield server
        server.end()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server that answers as S3 does."""
    for package in ("boto3", "moto"):
        pytest.importorskip(package, reason="pip install '.[cluster]'")
    server = S3(tmp_path_factory.mktemp("s3"))
    yield server
    server.end()


@pytest.fixture(scope="session")
def server(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server on PostgreSQL that holds the artifacts itself and asks for no password."""
    server = mlflow_server(tmp_path_factory.mktemp("server"), postgresql.database("runs"))
    yield server
    server.end()


@pytest.fixture(scope="session")
def group_server(
    postgresql: PostgreSQL, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """As in docs/how-to/group.md: PostgreSQL, artifacts in S3, basic auth."""
    pytest.importorskip("flask_wtf", reason="pip install '.[cluster]'")
    server = mlflow_server(
        tmp_path_factory.mktemp("group"),
        postgresql.database("group_runs"),
        s3=s3,
        accounts=postgresql.database("group_accounts"),
    )
    yield server
    server.end()


@pytest.fixture(scope="session")
def s3_server(
    postgresql: PostgreSQL, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """An MLflow server whose clients upload artifacts to S3 themselves."""
    server = mlflow_server(
        tmp_path_factory.mktemp("direct"),
        postgresql.database("direct_runs"),
        s3=s3,
        clients_use_s3=True,
    )
    yield server
    server.end()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostMaker]:
    """Makes hosts: ``host("one", hidden=[folder])``; they end with the test."""
    with ExitStack() as hosts:

        def make(name: str, **options: Any) -> Host:
            try:
                made = Host(name, tmp_path / name, **options)
            except OSError as error:
                pytest.skip(f"a process may not have a host name and mounts of its own: {error}")
            hosts.callback(made.end)
            return made

        yield make
