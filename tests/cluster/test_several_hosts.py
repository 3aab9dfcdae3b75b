"""The recipe for several hosts: each gives the same command, and all name one server."""

import optuna
from optuna.storages import RDBStorage

from cluster.conftest import HostMaker
from cluster.servers import PASSWORD, USER, PostgreSQL, Server

SEARCH_S = 300.0


def test_two_hosts_share_the_trials_of_a_search(
    host: HostMaker, group_server: Server, postgresql: PostgreSQL
) -> None:
    """As in docs/how-to/kubernetes.yaml, which gives one command to each pod of a job."""
    storage = postgresql.database("studies")
    known = RDBStorage(storage)  # makes the tables
    command = ["hidden=4", "experiment=smoke", "epochs=2", "search.trials=6"]
    address = f"postgresql+psycopg://{USER}@{postgresql.authority}/studies"
    command += ["search.sampler=random", "search.name=shared", f"search.storage={address}"]
    environment = {**group_server.environment, "PGPASSWORD": PASSWORD}
    environment["MLFLOW_EXPERIMENT_NAME"] = "search"
    hosts = [host("one"), host("two")]
    processes = [each.fae("search", *command, environment=environment) for each in hosts]
    for process in processes:
        said, error = process.communicate(timeout=SEARCH_S)
        assert process.returncode == 0, said + error
    study = optuna.load_study(study_name="shared", storage=known)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    known.engine.dispose()
