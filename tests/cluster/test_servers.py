"""The servers of these tests are what they say they are."""

import pytest
import requests
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from cluster.servers import S3, PostgreSQL, Server


def test_postgresql_is_there_again_after_a_kill(postgresql: PostgreSQL) -> None:
    engine = create_engine(postgresql.database("trial"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n int)"))
        connection.execute(text("INSERT INTO t VALUES (7)"))
    engine.dispose()
    postgresql.kill()
    postgresql.start()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT n FROM t")).scalar() == 7
    engine.dispose()


def test_a_server_keeps_runs_and_artifacts(server: Server) -> None:
    client = MlflowClient(server.address)
    run = client.create_run("0")
    client.log_text(run.info.run_id, "text", "a.txt")
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["a.txt"]


def test_the_groups_server_asks_for_a_password_and_keeps_artifacts_in_s3(
    group_server: Server, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = requests.get(f"{group_server.address}/api/2.0/mlflow/experiments/get?experiment_id=0")
    assert nobody.status_code == 401
    for name, value in group_server.environment.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(group_server.address)
    run = client.create_run("0")
    client.log_text(run.info.run_id, "text", "a.txt")
    assert any(key.endswith(f"{run.info.run_id}/artifacts/a.txt") for key in s3.stored())


def test_clients_may_upload_to_s3_themselves(
    s3_server: Server, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(s3_server.address)
    run = client.create_run("0")
    assert run.info.artifact_uri == f"s3://artifacts/0/{run.info.run_id}/artifacts"
    client.log_text(run.info.run_id, "text", "a.txt")
    assert any(key.endswith(f"{run.info.run_id}/artifacts/a.txt") for key in s3.stored())
