"""Artifacts: where they cannot be written is found before the first run, and nothing is left."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.artifact import artifact_repository_registry as registry

from fae.errors import StoreError
from fae.tracking import artifacts
from fae.tracking.artifacts import PROBE, check_writable
from fae.tracking.config import TrackingConfig
from fae.tracking.store import Store

SERVER = "http://127.0.0.1:5000"


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    check_writable.cache_clear()
    yield
    check_writable.cache_clear()


class Repository:
    """Where artifacts are kept, in memory."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.held: set[str] = set()
        self.asked: list[str] = []

    def log_artifact(self, file: str) -> None:
        self.asked.append("write")
        if self.problem:
            raise self.problem
        assert Path(file).read_text()
        self.held.add(Path(file).name)

    def delete_artifacts(self, path: str) -> None:
        self.asked.append("delete")
        self.held.remove(path)


@pytest.fixture
def kept_in(monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository()
    monkeypatch.setattr(registry, "get_artifact_repository", lambda *_, **__: repository)
    return repository


def refusal(location: str, uri: str = SERVER) -> str:
    with pytest.raises(StoreError) as refused:
        check_writable(location, uri)
    assert refused.value.exit_code == 3
    return str(refused.value)


def test_what_is_written_is_deleted_and_written_once_in_a_process(kept_in: Repository) -> None:
    for _ in range(3):
        check_writable("s3://bucket/7", SERVER)
    assert (kept_in.asked, kept_in.held) == (["write", "delete"], set())


def test_where_nothing_may_be_deleted_the_same_file_stays(
    kept_in: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(kept_in, "delete_artifacts", refuse)
    check_writable("s3://bucket/7", SERVER)
    assert kept_in.held == {PROBE}


@pytest.mark.parametrize(
    ("location", "problem", "said"),
    [
        (
            "s3://bucket/7",
            RuntimeError("Unable to locate credentials"),
            "s3://bucket/7 (Unable to locate credentials); check credentials, rights and address "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws/credentials, "
            "MLFLOW_S3_ENDPOINT_URL)",
        ),
        (
            "mlflow-artifacts:/7",
            RuntimeError("500: No module named 'boto3'\nmore"),
            "mlflow-artifacts:/7 (500: No module named 'boto3'); the server writes them: ask there "
            "for the permission, or see its log",
        ),
        (
            "gs://bucket/7",
            ModuleNotFoundError("No module named 'google'"),
            "gs://bucket/7 (No module named 'google'); install what it is part of, or start the "
            "server without --no-serve-artifacts",
        ),
        (
            "ftp://me:secret@host/7",
            OSError("ftp://me:secret@host: 530 Login incorrect"),
            "ftp://me:***@host/7 (ftp://me:***@host: 530 Login incorrect); check credentials, "
            "rights and address",
        ),
    ],
)
def test_what_is_missing_is_named(
    location: str, problem: Exception, said: str, kept_in: Repository
) -> None:
    kept_in.problem = problem
    assert refusal(location) == f"tracking.uri={SERVER}: artifacts cannot be written to {said}"
    kept_in.problem = None
    check_writable(location, SERVER)


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert refusal("s3://bucket/7").endswith(
        "; pip install 'fae[s3]', or start the server without --no-serve-artifacts"
    )


def test_a_store_that_does_not_answer_is_not_waited_for(
    kept_in: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(kept_in, "log_artifact", lambda _: over.wait())
    monkeypatch.setattr(artifacts, "PATIENCE_S", 0.05)
    assert "(no complete answer within 0.05 s)" in refusal("s3://bucket/7")
    over.set()


def test_a_folder_need_not_exist_and_is_not_made(tmp_path: Path) -> None:
    check_writable((tmp_path / "not yet" / "mlruns").as_uri(), SERVER)
    assert not [*tmp_path.iterdir()]


def test_a_folder_of_the_server_s_machine_is_told_from_one_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    there = f"({tmp_path} is not writable)"
    assert refusal(tmp_path.as_uri()).endswith(
        f"{there}; it is a folder of the server's machine; start the server without "
        "--no-serve-artifacts, or mount the folder here"
    )
    assert refusal(tmp_path.as_uri(), "sqlite:////a.db").endswith(f"{there}; make it writable")


@pytest.mark.usefixtures("own_store")
def test_a_store_whose_artifacts_cannot_be_written_gets_no_run(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("of somebody else")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(StoreError, match=r"mlruns is not a folder\); make it writable$"):
        Store(
            TrackingConfig(
                uri=uri, experiment="fae", silence_s=600, checkpoint_s=60, system_metrics=False
            )
        )
    experiments = [e.experiment_id for e in MlflowClient(uri).search_experiments()]
    assert MlflowClient(uri).search_runs(experiments) == []
