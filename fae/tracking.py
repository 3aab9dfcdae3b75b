"""The MLflow store: the only module that knows MLflow.

A ``Store`` is one experiment in one store; a ``Run`` is what is written during one run.
Every call names the store and the run, so runs that share a process share nothing here.
"""

import getpass
import json
import logging
import os
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from fae.config import SQLITE, TrackingConfig
from fae.errors import Interrupted, StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from torch.nn import Module

SERVER_TIMEOUT_S = 3


class Store:
    """An experiment in a store, made on first use.

    Raises:
        StoreError: the store cannot be opened, read or written.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self.config = config
        self.uri = config.uri
        if self.uri.startswith(SQLITE):
            self._client, self.experiment_id = self._open_database()
        else:
            self._client, self.experiment_id = self._open_server()

    @contextmanager
    def run(
        self,
        name: str,
        *,
        kind: str,
        folder: Path,
        command: str,
        parent: str | None = None,
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator["Run"]:
        """A run that ends FINISHED, or FAILED or KILLED by what ends the block.

        Args:
            name: what the run is called in the UI.
            kind: ``run`` or ``sweep``.
            folder: where the run's files lie; gets a ``run.json`` that leads to the run.
            command: reproduces the run.
            parent: id of the run that this one is nested in.
        """
        from mlflow.entities import Param

        all_tags = {
            "fae.kind": kind,
            "fae.folder": str(folder),
            "fae.command": command,
            "mlflow.source.name": "fae.train",
            "mlflow.user": _user(),
            **(tags or {}),
            **({"mlflow.parentRunId": parent} if parent else {}),
        }
        created = self._client.create_run(self.experiment_id, run_name=name, tags=all_tags)
        run = Run(self._client, self.experiment_id, created.info.run_id, name)
        status, cause = "FAILED", ""
        try:
            self._client.log_batch(
                run.id,
                params=[Param(key, str(value)) for key, value in (parameters or {}).items()],
            )
            link = {"run_id": run.id, "name": name, "store": self.uri, "command": command}
            (folder / "run.json").write_text(json.dumps(link, indent=2) + "\n")
            with self._system_metrics(run):
                yield run
            status = "FINISHED"
        except (Interrupted, KeyboardInterrupt):
            status = "KILLED"
            raise
        except BaseException as error:
            cause = f"{error}"[:5000]
            raise
        finally:
            self._client.set_terminated(run.id, status)
            if cause:
                self._client.set_tag(run.id, "fae.error", cause)

    def _open_database(self) -> tuple["MlflowClient", str]:
        """Make the database, its tables and the experiment, one process at a time."""
        path = Path(self.uri.removeprefix(SQLITE))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=SERVER_TIMEOUT_S)) as database:
                database.execute("PRAGMA user_version").fetchone()
            if not os.access(path, os.W_OK):
                raise PermissionError("read-only file")
            with FileLock(path.with_name(f".{path.name}.lock")):
                return self._open(artifacts=(path.parent / "mlruns").as_uri())
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"tracking.uri={self.uri}: not a database that can be written ({error}); "
                "name another file, or a server"
            ) from error

    def _open_server(self) -> tuple["MlflowClient", str]:
        try:
            health = self.uri.rstrip("/") + "/health"
            urllib.request.urlopen(health, timeout=SERVER_TIMEOUT_S).close()
        except (OSError, ValueError) as error:
            raise StoreError(
                f"tracking.uri={self.uri}: no MLflow server answers there ({error}); "
                "start one, or leave tracking.uri out to use a file"
            ) from error
        return self._open(artifacts=None)

    def _open(self, artifacts: str | None) -> tuple["MlflowClient", str]:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        from alembic.util import CommandError
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("mlflow").setLevel(logging.ERROR)

        try:
            client = MlflowClient(self.uri)
            experiment = client.get_experiment_by_name(self.config.experiment)
            if experiment is None:
                made = client.create_experiment(self.config.experiment, artifacts)
                return client, str(made)
        except (MlflowException, SQLAlchemyError, CommandError) as error:
            reason = str(error).partition("\n")[0]
            raise StoreError(
                f"tracking.uri={self.uri}: MLflow cannot use it ({reason}); was it made by "
                f"another version? mlflow db upgrade {self.uri} may mend it"
            ) from error
        if experiment.lifecycle_stage == "deleted":
            raise StoreError(
                f"tracking.experiment={self.config.experiment}: was deleted in the MLflow UI; "
                f"restore it with mlflow experiments restore -x {experiment.experiment_id}"
            )
        return client, str(experiment.experiment_id)

    @contextmanager
    def _system_metrics(self, run: "Run") -> Iterator[None]:
        if not self.config.system_metrics:
            yield
            return
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run.id, sampling_interval=1, tracking_uri=self.uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "unknown"


class Run:
    """A run that is being written.

    Attributes:
        id: MLflow's id of the run.
        name: what it is called.
    """

    def __init__(self, client: "MlflowClient", experiment_id: str, run_id: str, name: str) -> None:
        self.id = run_id
        self.name = name
        self._experiment_id = experiment_id
        self._client = client

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write all metrics of one step in one transaction."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self.id, metrics=[Metric(key, value, now, step) for key, value in metrics.items()]
        )

    def log_data(self, name: str, digest: str, source: str, sizes: Mapping[str, int]) -> None:
        """Name the data set that the run was trained on."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name, digest, "local", json.dumps({"uri": source}), None, json.dumps(sizes))
        self._client.log_inputs(
            self.id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        )

    def log_text(self, text: str, path: str) -> None:
        """Write a text file among the run's artifacts."""
        self._client.log_text(self.id, text, path)

    def log_figure(self, figure: "Figure", path: str) -> None:
        """Write a figure among the run's artifacts."""
        self._client.log_figure(self.id, figure, path, save_kwargs={"dpi": 130})

    def log_image(self, image: NDArray[np.uint8], key: str, step: int) -> None:
        """Write a picture (height, width) that the UI shows under ``key`` with a slider."""
        self._client.log_image(self.id, image, key=key, step=step)

    def log_table(self, columns: Mapping[str, list[Any]], path: str) -> None:
        """Write a table that the UI shows as one; ``path`` ends in ``.json``."""
        self._client.log_table(self.id, dict(columns), path)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write several tags in one transaction."""
        from mlflow.entities import RunTag

        self._client.log_batch(self.id, tags=[RunTag(key, tag) for key, tag in tags.items()])

    def describe(self, markdown: str) -> None:
        """Set the text that the UI shows on the run's page."""
        self._client.set_tag(self.id, "mlflow.note.content", markdown)

    def log_model(self, network: "Module", example: NDArray[np.float32], step: int) -> None:
        """Log a network that ``mlflow.pyfunc.load_model`` gives back; it needs torch alone.

        Args:
            network: in evaluation mode, on the CPU.
            example: (batch, pixels), a batch of 2 or more, so that any batch size works.
            step: epochs completed.
        """
        import torch
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models import Model, infer_signature
        from mlflow.pytorch import save_model

        with torch.inference_mode():
            output = network(torch.from_numpy(example)).numpy()
        # Not by mlflow.pytorch.log_model: it writes to the one store that the process names.
        logged = self._client.create_logged_model(
            self._experiment_id, "model", source_run_id=self.id, tags={"fae.run": self.name}
        )
        with tempfile.TemporaryDirectory() as folder:
            save_model(
                network,
                Path(folder, "model"),
                mlflow_model=Model(run_id=self.id, model_id=logged.model_id),
                signature=infer_signature(example, output),
                input_example=example,
                pip_requirements=[f"torch=={version('torch')}"],
            )
            self._client.log_model_artifacts(logged.model_id, str(Path(folder, "model")))
        self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        self._client.log_outputs(self.id, [LoggedModelOutput(logged.model_id, step)])
