"""Reading what runs have stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fae.config import SQLITE, TrackingConfig
from fae.errors import StoreError
from fae.tracking.connection import connect
from fae.tracking.run import Run

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from torch.export import ExportedProgram


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED.
        started, ended: milliseconds since the epoch; ``ended`` is None without an end.
        metrics: the last value of each.
    """

    id: str
    name: str
    status: str
    started: int
    ended: int | None
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class Archive:
    """An experiment in a store, as it is; only ``log`` changes anything.

    Raises:
        StoreError: there is no such store or experiment, or it cannot be read.
    """

    def __init__(self, config: TrackingConfig) -> None:
        connection = connect(config, create=False)
        self.uri = connection.uri
        self.experiment_id = connection.experiment_id
        self._client = connection.client

    def runs(self, kind: str, *conditions: str) -> list[StoredRun]:
        """The runs of one kind, ``run`` or ``sweep``, oldest first.

        Args:
            conditions: more of MLflow's search conditions, all of which must hold.
        """
        wanted = " AND ".join([f"tags.`fae.kind` = '{kind}'", *conditions])
        found: list[StoredRun] = []
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs(
                [self.experiment_id],
                wanted,
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token or None,
            )
            found += map(_stored, page)
            token = page.token
        return found

    def epochs(self, run: StoredRun) -> list[dict[str, float]]:
        """``train/mse`` and ``val/mse`` after each epoch."""
        histories = {
            metric: [point.value for point in self._client.get_metric_history(run.id, metric)]
            for metric in ("train/mse", "val/mse")
        }
        return [
            dict(zip(histories, values, strict=True))
            for values in zip(*histories.values(), strict=True)
        ]

    def config(self, run: StoredRun) -> dict[str, Any]:
        """The whole configuration that a run was told."""
        values = yaml.safe_load(self._artifact(run, f"runs:/{run.id}/config.yaml").read_text())
        assert isinstance(values, dict)
        return values

    def network(self, run: StoredRun) -> "ExportedProgram":
        """The trained network, (batch, pixels) to (batch, pixels), as torch exported it."""
        import torch

        outputs = self._client.get_run(run.id).outputs
        models = outputs.model_outputs if outputs else []
        if not models:
            raise _gone(run, "model")
        model = self._client.get_logged_model(models[0].model_id)
        path = self._artifact(run, f"{model.artifact_location}/data/model.pt2")
        return torch.export.load(path)

    def address(self, runs: list[StoredRun]) -> str:
        """Where ``mlflow ui``, or the server, compares runs."""
        from urllib.parse import quote

        server = "http://127.0.0.1:5000" if self.uri.startswith(SQLITE) else self.uri.rstrip("/")
        ids = quote(json.dumps([run.id for run in runs], separators=(",", ":")))
        return f"{server}/#/compare-runs?runs={ids}&experiments=%5B%22{self.experiment_id}%22%5D"

    def reopen(self, run: StoredRun) -> Run:
        """A run that has ended, to add to what it stored; its status stays."""
        return Run(self._client, self.experiment_id, run.id, run.name)

    def _artifact(self, run: StoredRun, uri: str) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            return Path(download_artifacts(uri, tracking_uri=self.uri))
        except (OSError, MlflowException) as error:
            raise _gone(run, uri.rpartition("/")[2]) from error


def _gone(run: StoredRun, what: str) -> StoreError:
    return StoreError(
        f"run {run.id[:8]} ({run.name}): its {what} is no longer among its artifacts; put it back, "
        "or delete the run in the MLflow UI to leave it out"
    )


def _stored(run: "MlflowRun") -> StoredRun:
    return StoredRun(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        started=run.info.start_time,
        ended=run.info.end_time,
        parameters=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
    )
