"""Making runs in a store, and ending them truthfully."""

import getpass
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fae.config import TrackingConfig
from fae.errors import Interrupted
from fae.tracking.connection import connect
from fae.tracking.run import Run


class Store:
    """An experiment in a store, made on first use.

    Raises:
        StoreError: the store cannot be opened, read or written.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self.config = config
        connection = connect(config, create=True)
        self.uri = connection.uri
        self.experiment_id = connection.experiment_id
        self._client = connection.client

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
    ) -> Iterator[Run]:
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

    @contextmanager
    def _system_metrics(self, run: Run) -> Iterator[None]:
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
