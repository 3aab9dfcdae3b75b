"""Stored runs, which anyone may have written: values are checked as read, and no code is run."""

import math
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter

from fae.errors import NoStoreError, StoreError, first_line
from fae.runtime.console import in_one_line, warn
from fae.tracking import view
from fae.tracking.address import file_of
from fae.tracking.checkpoints import remove_checkpoints
from fae.tracking.claim import SILENT, attempts, settings, take
from fae.tracking.claim import TAG as CLAIM
from fae.tracking.config import TrackingConfig
from fae.tracking.connection import NOTE, asking, connect
from fae.tracking.journal import BATCH
from fae.tracking.limits import downloading
from fae.tracking.moved import FOLDERS
from fae.tracking.stored_run import StoredRun
from fae.tracking.uploader import Uploader
from fae.tracking.view import View

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

TAG = "fae.fingerprint"
KINDS = ("sweep", "study", "run", "trial", "reproduction")
"""Kinds of runs: values of the tag ``fae.kind``."""
TRAINED = ("run", "trial", "reproduction")
"""Those of ``KINDS`` that train a network."""
READABLE = "attributes.start_time >= 0"
"""Leaves out runs without a start time, which MLflow cannot read."""
ADOPTED = re.compile(r"adopted/[0-9a-f]{8}\.json")
RUN_IDS = TypeAdapter(list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]])
RENAMED = {
    "hidden/dead": "weights/dead_units",
    "model/parameters": "weights/count",
    "time/train_s": "wall_clock/train_s",
    "time/epoch_s": "wall_clock/epoch_s",
}
"""What earlier versions called metrics, and what they are called now."""
LARGEST_TEXT = 100_000_000
"""Bytes of an artifact that is read."""
ONE_BY_ONE = 100
"""Fingerprints that are looked up one at a time; for more, all runs are read."""


@dataclass(frozen=True)
class Outcome:
    """What a report found of the runs of a sweep, for the sweep's run.

    Attributes:
        metrics: name, step and value of each.
        time: of the metrics, milliseconds since the epoch; the same for the same runs, so that
            another report adds nothing.
        note: the description of the run, Markdown.
    """

    metrics: Sequence[tuple[str, int, float]]
    time: int
    tags: Mapping[str, str]
    note: str


class UnreadableError(StoreError):
    """Something that a run stored is missing, damaged or not valid.

    Attributes:
        reason: what is wrong with what.
    """

    def __init__(self, run: StoredRun, reason: str) -> None:
        self.reason = reason
        super().__init__(f"run {run.id[:8]} ({run.name}): {reason}")


class Archive:
    """An experiment that exists in a store: its runs, and what is changed of them afterwards.

    Raises:
        StoreError: there is no such store or experiment, or it cannot be read; also by each
            method.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self.uri = config.uri
        self._client, self.experiment_id, self.move = connect(config, create=False)

    @staticmethod
    def if_there(config: TrackingConfig) -> "Archive | None":
        """The experiment; None if no run was ever stored.

        Raises:
            StoreError: the store cannot be reached or read.
        """
        try:
            return Archive(config)
        except NoStoreError:
            return None

    def runs(
        self,
        kind: str,
        *,
        ids: Sequence[str] | None = None,
        parent: str | None = None,
        status: str | None = None,
        host: str | None = None,
        folder: str | None = None,
        claim: str | None = None,
        parameters: Mapping[str, object] | None = None,
        newest: int | None = None,
    ) -> list[StoredRun]:
        """The runs of one of ``KINDS`` for which all that is given holds, oldest first.

        Args:
            ids: theirs is one of these.
            parent: id of the run in which they are nested.
            status: RUNNING, FINISHED, FAILED or KILLED.
            host: name of the machine that trained them.
            folder: name of theirs, without its path.
            claim: tag of what only one of them at a time may compute.
            parameters: values of some of theirs.
            newest: only so many, up to 1000, and the newest first.
        """
        if ids is not None and not ids:
            return []
        equal = {
            "tags.`mlflow.parentRunId`": parent,
            "tags.`fae.host`": host,
            f"tags.`{CLAIM}`": claim,
            "attributes.status": status,
            **{f"params.`{key}`": str(value) for key, value in (parameters or {}).items()},
        }
        conditions = _equal(equal)
        if ids:
            conditions.append(f"attributes.run_id IN ({', '.join(map(quoted, ids))})")
        if folder is not None:
            conditions.append(f"tags.`fae.folder` LIKE {quoted('%/' + folder)}")
        return self._search(kind, *conditions, newest=newest)

    def _search(self, kind: str, *conditions: str, newest: int | None = None) -> list[StoredRun]:
        """The runs of a kind for which MLflow's search conditions hold, oldest first.

        Raises:
            StoreError: the store cannot be read, or the list has no end, as pages repeat.
        """
        wanted = " AND ".join([f"tags.`fae.kind` = '{kind}'", READABLE, *conditions])
        order = "attributes.start_time " + ("DESC" if newest else "ASC")
        found: dict[str, StoredRun] = {}
        token: str | None = ""
        while token is not None:
            with asking(self.uri):
                page = self._client.search_runs(
                    [self.experiment_id], wanted, 1, newest or 1000, [order], token or None
                )
            before = len(found)  # a run that was stored meanwhile may shift another to this page
            found.update((run.info.run_id, self._stored(run)) for run in page)
            token = None if newest else page.token
            if token is not None and len(found) == before:
                raise StoreError(f"tracking.uri={self.uri}: its list of runs has no end")
        return [*found.values()]

    def run(self, run_id: str) -> StoredRun:
        """A run or a sweep by its id."""
        with asking(self.uri):
            return self._stored(self._client.get_run(run_id))

    def alike(self, kind: str, fingerprints: Sequence[str]) -> dict[str, list[StoredRun]]:
        """The runs or sweeps of each fingerprint, oldest first."""
        if len(fingerprints) <= ONE_BY_ONE:
            found = [r for f in fingerprints for r in self._search(kind, f"tags.`{TAG}` = '{f}'")]
        else:
            found = self.runs(kind)
        alike: dict[str, list[StoredRun]] = {}
        for run in found:
            if not run.is_withdrawn:
                alike.setdefault(run.tags.get(TAG, ""), []).append(run)
        return alike

    def runs_of(self, sweep: StoredRun) -> list[StoredRun]:
        """The runs of a sweep, oldest first, including those that other commands made for it."""
        found = self.runs("run", parent=sweep.id)
        try:
            found += self.runs("run", ids=self._adopted(sweep))
        except UnreadableError as problem:
            warn(f"{problem}; they are left out")
        return sorted(found, key=lambda run: run.started)

    def _adopted(self, sweep: StoredRun) -> list[str]:
        """Ids of a sweep's runs that other commands made."""
        path = sweep.tags.get("fae.adopted")
        if path is None:
            return []
        with self.reading(sweep, "which runs it took over"):
            if not ADOPTED.fullmatch(path):
                raise ValueError(f"fae.adopted={path!r:.100}: not where a sweep keeps it")
            return RUN_IDS.validate_json(self.text(sweep, path))

    def runs_during(self, start: int, end: int) -> list[StoredRun]:
        """The runs and trials that trained at some time between two, in ms since the epoch.

        Those that are RUNNING count if they began before ``end``.
        """
        begun = f"attributes.start_time <= {end}"
        during = f"attributes.end_time >= {start}", "attributes.status = 'RUNNING'"
        found = [run for kind in TRAINED for c in during for run in self._search(kind, begun, c)]
        return [*{run.id: run for run in found}.values()]  # a resumed one has an end as well

    def epochs(
        self, run: StoredRun, metrics: Sequence[str] = ("train/mse", "val/mse")
    ) -> list[dict[str, float]]:
        """Metrics after each epoch, at least one.

        Args:
            metrics: their names; what ends in ``/mse`` is checked to be an error.

        Raises:
            UnreadableError: there is not one of each for each epoch, or one is no error.
        """
        with self.reading(run, "its curves"):
            curves = {
                name: {p.step: p.value for p in self._client.get_metric_history(run.id, name)}
                for name in metrics
            }
            steps = [*range(1, len(curves[metrics[0]]) + 1)]
            if not steps or any(sorted(curve) != steps for curve in curves.values()):
                raise ValueError("not one error of each for each epoch")
            for name, curve in curves.items():
                is_possible = is_measured if name.endswith("/mse") else math.isfinite
                if not all(map(is_possible, curve.values())):
                    raise ValueError("an error that is none")
            return [{name: curve[step] for name, curve in curves.items()} for step in steps]

    def text(self, run: StoredRun, path: str, largest: int = LARGEST_TEXT) -> str:
        """A text artifact of a run.

        Raises:
            UnreadableError: it is missing, too large, or not text.
        """
        with self.reading(run, path):
            folder = self._client.get_run(run.id).info.artifact_uri
            return self._content(f"{folder}/{path}", largest).decode()

    def model(self, run: StoredRun, largest: int) -> bytes:
        """The content of the file with the trained network, which anyone may have written.

        ``torch.export.load`` would run code that it holds, and so would MLflow.

        Raises:
            UnreadableError: it is missing or too large.
        """
        with self.reading(run, "its model"):
            outputs = self._client.get_run(run.id).outputs
            if not outputs or len(outputs.model_outputs) != 1:
                raise FileNotFoundError("none is stored")
            model = self._client.get_logged_model(outputs.model_outputs[0].model_id)
            return self._content(f"{model.artifact_location}/data/model.pt2", largest)

    @contextmanager
    def reading(self, run: StoredRun, what: str) -> Iterator[None]:
        """Turn any error within the block into one that names the run and what was read.

        Raises:
            UnreadableError: it cannot be read.
            StoreError: the store cannot be read.
        """
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            self.run(run.id)
            raise UnreadableError(run, f"{what} cannot be read ({first_line(error)})") from error

    def add_report(self, run: StoredRun, folder: Path, outcome: Outcome) -> None:
        """Log a report's files as artifacts of a run, and what it found as metrics and tags.

        Raises:
            StoreError: the store does not accept them; the folder is unchanged.
        """
        from mlflow.entities import Metric, RunTag
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        problem = f"the report is in {folder}, and cannot be added to the run of the sweep"
        tags = [RunTag(*tag) for tag in {**outcome.tags, MLFLOW_RUN_NOTE: outcome.note}.items()]
        metrics = [Metric(key, value, outcome.time, step) for key, step, value in outcome.metrics]
        with asking(self.uri, problem):
            self.update_paths()
            self._client.log_artifacts(run.id, str(folder), "report")
            for start in range(0, len(metrics), BATCH):
                self._client.log_batch(run.id, metrics=metrics[start : start + BATCH])
            self._client.log_batch(run.id, tags=tags)

    def add_metrics(
        self, run: StoredRun, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Log what was measured of a finished run afterwards, with tags that say how.

        Raises:
            StoreError: the store does not accept them.
        """
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        with asking(self.uri, f"metrics cannot be added to run {run.id[:8]}"):
            self.update_paths()
            self._client.log_batch(
                run.id,
                metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
                tags=[RunTag(*tag) for tag in tags.items()],
            )

    def update_paths(self) -> None:
        """Update the paths in the database of a project that was moved.

        Raises:
            StoreError: it cannot be written.
        """
        path = file_of(self.uri)
        if self.move and path:
            with asking(self.uri):
                self.move.apply(path)
            self.move = None

    def uploader(self, run_id: str, folder: Path, *, resumed: bool) -> Uploader:
        """Stores the entries in a folder of a run.

        Args:
            resumed: in another folder.
        """
        return Uploader(self._client, run_id, folder, resumed=resumed)

    def unfinished(self) -> list[StoredRun]:
        """Runs of all kinds that are RUNNING in the store."""
        return [run for kind in KINDS for run in self.runs(kind, status="RUNNING")]

    def set_folder(self, run: StoredRun, folder: Path) -> None:
        """Store the new folder of a run."""
        with asking(self.uri):
            self._client.set_tag(run.id, "fae.folder", str(folder))

    def take_over(self, run: StoredRun) -> bool:
        """Close a run that gave no sign of life, unless another process has done so."""
        with asking(self.uri):
            key = f"{SILENT} {uuid.uuid4().hex}"
            if not take(self._client, run.id, len(run.attempts) + 1, key):
                return False
            self._client.set_terminated(run.id, "KILLED")
        return True

    def close(self, run: StoredRun, status: str, ended: int, cause: str = "") -> None:
        """End a run whose process has crashed.

        Args:
            ended: milliseconds since the epoch.
            cause: of a failure, human-readable.
        """
        with asking(self.uri):
            if cause:
                self._client.set_tag(run.id, "fae.error", cause)
            self._client.set_terminated(run.id, status, ended)
        if status == "FAILED":
            remove_checkpoints(self._client, run.id)

    def save(self, saved: View) -> str:
        """Save a view; returns its address in ``mlflow ui``, or in the server.

        If the store does not accept it, that of a list of the same runs.
        """
        try:
            with asking(self.uri):
                self._save(saved)
        except StoreError:
            return saved.without_tag(self.uri, self.experiment_id)
        return saved.address(self.uri, self.experiment_id)

    def _save(self, saved: View) -> None:
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        tag = saved.tag(int(time.time() * 1000))
        self._client.set_experiment_tag(self.experiment_id, view.TAG + saved.key, tag)
        tags = self._client.get_experiment(self.experiment_id).tags
        if MLFLOW_RUN_NOTE not in tags:  # an experiment of an earlier version
            self._client.set_experiment_tag(self.experiment_id, MLFLOW_RUN_NOTE, NOTE)
        for name in view.outdated(tags):
            self._client.delete_experiment_tag(self.experiment_id, name)

    def _stored(self, run: "MlflowRun") -> StoredRun:
        tags = run.data.tags
        if self.move:
            folders = {tag: self.move.now(tags[tag]) for tag in FOLDERS if tag in tags}
            tags = {**tags, **folders}
        return StoredRun(
            id=run.info.run_id,
            name=in_one_line(run.info.run_name or ""),
            status=run.info.status,
            started=run.info.start_time or 0,
            ended=None if run.info.status == "RUNNING" else run.info.end_time,  # else its last one
            parameters=settings(run.data.params),
            metrics=_by_current_name(run.data.metrics),
            tags=tags,
            attempts=attempts(run.data.params),
        )

    def _content(self, uri: str, largest: int) -> bytes:
        """The content of a file, by its own address: ``runs:/`` would leave a copy."""
        from mlflow.artifacts import download_artifacts

        if self.move:
            uri = self.move.now(uri)
        with tempfile.TemporaryDirectory() as folder:
            copied = None if file_of(self.uri) else folder  # a local file is not copied
            with downloading(largest):
                path = Path(download_artifacts(uri, dst_path=copied, tracking_uri=self.uri))
            if not path.is_file():
                raise FileNotFoundError("no such file")
            with path.open("rb") as file:
                content = file.read(largest + 1)
        if len(content) > largest:
            raise ValueError(f"larger than {largest} bytes")
        return content


def _by_current_name(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics by the names of this version; what it stored itself, as of a resumed run, counts."""
    former = {RENAMED[name]: value for name, value in metrics.items() if name in RENAMED}
    return former | {name: value for name, value in metrics.items() if name not in RENAMED}


def _equal(values: Mapping[str, str | None]) -> list[str]:
    """Conditions in MLflow's search language, except for values that are None."""
    return [f"{key} = {quoted(value)}" for key, value in values.items() if value is not None]


def quoted(value: str) -> str:
    """A value in MLflow's search language, which has no escapes."""
    quote = '"' if "'" in value else "'"
    return f"{quote}{value}{quote}"


def is_measured(value: float) -> bool:
    """Whether a value can be an error or a time: a number that can be squared and divided by.

    No error is larger, as no pixel is larger than ``fae.runs.trained.LARGEST``.
    """
    return 1e-100 < value < 1e30
