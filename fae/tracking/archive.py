"""Reading what runs have stored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fae.address import file_of
from fae.config import TrackingConfig
from fae.errors import NoStoreError, StoreError
from fae.tracking.connection import asking, connect, first_line
from fae.tracking.delivery import Delivery

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from torch.export import ExportedProgram

TAG = "fae.fingerprint"
KINDS = ("sweep", "study", "run", "trial")
"""What runs can be, by their tag ``fae.kind``."""
ONE_BY_ONE = 100
"""Fingerprints that are looked up one by one; for more, all runs are read."""


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
    """An experiment in a store, as it is; only ``add_report`` changes anything.

    Raises:
        StoreError: there is no such store or experiment, or it cannot be read; also by each
            method.
    """

    def __init__(self, config: TrackingConfig) -> None:
        connection = connect(config, create=False)
        self.uri = connection.uri
        self.experiment = config.experiment
        self.experiment_id = connection.experiment_id
        self._client = connection.client

    @staticmethod
    def if_there(config: TrackingConfig) -> "Archive | None":
        """The experiment, or None where no run was ever stored.

        Raises:
            StoreError: the store cannot be reached or read.
        """
        try:
            return Archive(config)
        except NoStoreError:
            return None

    def runs(self, kind: str, *conditions: str) -> list[StoredRun]:
        """The runs of one of ``KINDS``, oldest first.

        Args:
            conditions: more of MLflow's search conditions, all of which must hold.
        """
        wanted = " AND ".join([f"tags.`fae.kind` = '{kind}'", *conditions])
        found: list[StoredRun] = []
        token: str | None = ""
        while token is not None:
            with asking(self.uri):
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

    def run(self, run_id: str) -> StoredRun:
        """A run or a sweep by its id."""
        with asking(self.uri):
            return _stored(self._client.get_run(run_id))

    def latest(self, count: int, *conditions: str) -> list[StoredRun]:
        """The newest ``count`` runs, up to 1000, that fulfil MLflow's search conditions."""
        wanted = " AND ".join(["tags.`fae.kind` = 'run'", *conditions])
        newest = ["attributes.start_time DESC"]
        with asking(self.uri):
            page = self._client.search_runs([self.experiment_id], wanted, 1, count, newest)
        return [*map(_stored, page)]

    def alike(self, kind: str, fingerprints: Sequence[str]) -> dict[str, list[StoredRun]]:
        """The runs or sweeps of each fingerprint, oldest first."""
        if len(fingerprints) <= ONE_BY_ONE:
            found = [r for f in fingerprints for r in self.runs(kind, f"tags.`{TAG}` = '{f}'")]
        else:
            found = self.runs(kind)
        alike: dict[str, list[StoredRun]] = {}
        for run in found:
            alike.setdefault(run.tags.get(TAG, ""), []).append(run)
        return alike

    def runs_of(self, sweep: StoredRun) -> list[StoredRun]:
        """The runs of a sweep, oldest first; those that other commands made for it included."""
        own = self.runs("run", f"tags.`mlflow.parentRunId` = '{sweep.id}'")
        adopted = []
        if path := sweep.tags.get("fae.adopted"):
            with _reading(sweep, path):
                ids = json.loads(self.text(sweep, path))
            adopted = [self.run(run_id) for run_id in ids]
        return sorted([*own, *adopted], key=lambda run: run.started)

    def runs_during(self, start: int, end: int) -> list[StoredRun]:
        """The runs that were going on at some time between two, in ms since the epoch.

        Those without an end count where they began.
        """
        ended = f"attributes.end_time >= {start}", f"attributes.start_time <= {end}"
        open_ended = "attributes.status = 'RUNNING'", f"attributes.start_time >= {start}"
        return [*self.runs("run", *ended), *self.runs("run", *open_ended, ended[1])]

    def epochs(self, run: StoredRun) -> list[dict[str, float]]:
        """``train/mse`` and ``val/mse`` after each epoch."""
        with _reading(run, "its metrics"):
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
        with _reading(run, "config.yaml"):
            return dict(yaml.safe_load(self.text(run, "config.yaml")))

    def text(self, run: StoredRun, path: str) -> str:
        """An artifact of a run."""
        with _reading(run, path):
            return self._artifact(f"runs:/{run.id}/{path}").read_text(encoding="utf-8")

    def network(self, run: StoredRun) -> "ExportedProgram":
        """The trained network, (batch, pixels) to (batch, pixels), as torch exported it."""
        import torch

        with _reading(run, "its model"):
            outputs = self._client.get_run(run.id).outputs
            (model,) = outputs.model_outputs if outputs else []
            location = self._client.get_logged_model(model.model_id).artifact_location
            return torch.export.load(self._artifact(f"{location}/data/model.pt2"))

    def add_report(self, run: StoredRun, folder: Path, note: str) -> None:
        """Put a report's files among a run's artifacts, and its table on the run's page.

        Raises:
            StoreError: the store does not take them; the folder is as it was.
        """
        try:
            self._client.log_artifacts(run.id, str(folder), "report")
            self._client.set_tag(run.id, "mlflow.note.content", note)
        except Exception as error:
            raise StoreError(
                f"tracking.uri={self.uri}: the report is in {folder}, but cannot be added to the "
                f"run of the sweep ({first_line(error)})"
            ) from error

    def delivery(self, run_id: str, folder: Path) -> Delivery:
        """What stores the entries of a run, whose folder this is."""
        with asking(self.uri):
            experiment_id = self._client.get_run(run_id).info.experiment_id
        return Delivery(self._client, experiment_id, run_id, folder)

    def unfinished(self) -> list[StoredRun]:
        """Runs of all kinds that are RUNNING as far as the store knows."""
        return [run for kind in KINDS for run in self.runs(kind, "attributes.status = 'RUNNING'")]

    def close(self, run: StoredRun, status: str, ended: int, cause: str = "") -> None:
        """End a run in the place of the process that could not.

        Args:
            ended: milliseconds since the epoch.
            cause: of a failure, for a person.
        """
        with asking(self.uri):
            if cause:
                self._client.set_tag(run.id, "fae.error", cause)
            self._client.set_terminated(run.id, status, ended)

    def address(self, runs: list[StoredRun]) -> str:
        """Where ``mlflow ui``, or the server, compares runs."""
        from urllib.parse import quote

        server = "http://127.0.0.1:5000" if file_of(self.uri) else self.uri.rstrip("/")
        ids = quote(json.dumps([run.id for run in runs], separators=(",", ":")))
        return f"{server}/#/compare-runs?runs={ids}&experiments=%5B%22{self.experiment_id}%22%5D"

    def _artifact(self, uri: str) -> Path:
        from mlflow.artifacts import download_artifacts

        return Path(download_artifacts(uri, tracking_uri=self.uri))


@contextmanager
def _reading(run: StoredRun, what: str) -> Iterator[None]:
    """Names the run and the thing where reading it fails, in whichever way it does."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(
            f"run {run.id[:8]} ({run.name}): {what} is gone or damaged ({first_line(error)}); put "
            "it back, or delete the run in the MLflow UI to leave it out"
        ) from error


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
