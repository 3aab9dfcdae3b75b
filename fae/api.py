"""From Python: what notebooks and scripts use. The commands are made of the same functions.

::

    import fae

    config = fae.compose("data=digits", "batch_size=100", "hidden=8", "epochs=10")
    result = fae.fit(config)
    runs = fae.load_runs("data=digits")
    network = fae.load_model(result.run_id)
    report = fae.write_report(where="data=digits")
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fae.cli.compose import compose, compose_as
from fae.cli.overrides import command_line, run_name
from fae.cli.preset import overrides_of
from fae.config import Config
from fae.errors import ConfigError
from fae.tracking.config import TrackingConfig

if TYPE_CHECKING:
    import pandas as pd

    from fae.models.network import Network
    from fae.reports.write import Report
    from fae.runs.run import Result
    from fae.tracking.archive import Archive
    from fae.tracking.stored_run import StoredRun

__all__ = ["compose", "fit", "load_model", "load_runs", "write_report"]


def fit(config: Config, folder: str | Path | None = None) -> "Result":
    """Train, test and track one network, as ``python -m fae.train`` does.

    A run that the store has already is not trained again; one that was interrupted is resumed. With
    ``tracking.register`` its network becomes the champion of that model, if it is better.

    Args:
        folder: for the run's files; None: ``outputs/DATE/TIME``.

    Raises:
        ConfigError, DataError, StoreError: nothing was computed.
        TrainingError: training diverged, and the run is FAILED; or it failed before, or is
            running in another process.
        UndeliveredError: it is finished, and cannot be registered.
    """
    from fae.analysis.champion import register
    from fae.runs.job import Job, new_folder
    from fae.runs.run import train

    if config.repeats != 1:
        raise ConfigError(f"repeats={config.repeats}: fit trains one run; call it for each seed")
    place = Path(folder).absolute() if folder else new_folder()
    overrides = overrides_of(config)
    result = train(config, Job(run_name(config, overrides), place, command_line(overrides)))
    register(result, config)
    return result


def load_runs(
    where: str | None = None, *, sweep: str | None = None, tracking: TrackingConfig | None = None
) -> "pd.DataFrame":
    """The runs in a store, one row per run, oldest first; the index is the run's id.

    Columns are ``name``, ``status``, ``started`` and ``ended`` (UTC), ``folder``, then each
    parameter and the last value of each metric by their names, such as ``hidden`` and
    ``test/mse``. What a run does not have is missing there.

    Args:
        where: conditions on settings, such as ``hidden=64,128 optimizer=adam``; None: all runs.
        sweep: the name of a sweep, or the beginning of its id; None: of all sweeps and none.
        tracking: the store; None: that of the commands here.

    Raises:
        ConfigError: there is no such sweep or parameter.
        StoreError: there is no store, or it cannot be read.
    """
    import pandas as pd

    from fae.reports.selection import find_sweep, matching

    archive = _archive(tracking)
    if sweep is None:
        runs = archive.runs("run")
    else:
        runs = archive.runs_of(find_sweep(sweep, archive.runs("sweep")))
    if where is not None:
        runs = matching(runs, where, archive)
    index = pd.Index([run.id for run in runs], name="run")
    frame = pd.DataFrame([_row(run) for run in runs], index=index)
    for time in frame.columns.intersection(["started", "ended"]):
        frame[time] = pd.to_datetime(frame[time], unit="ms", utc=True)
    return frame.infer_objects()


def load_model(run: str, *, tracking: TrackingConfig | None = None) -> "Network":
    """A trained network, in evaluation mode on the CPU.

    It takes images (batch, pixels), float32 in [0, 1], and gives their reconstructions. No code
    that the store holds is run.

    Args:
        run: its run: an id, or the beginning of one; ``latest`` or ``best``; or a version of a
            registered model, ``models:/NAME@champion``; see ``fae.analysis.named``.
        tracking: the store; None: that of the commands here.

    Raises:
        ConfigError: there is not one such run.
        StoreError: there is no store, or the network cannot be read.
    """
    from fae.analysis.named import named_run

    return named_run(run, _archive(tracking)).network


def write_report(
    *overrides: str,
    sweep: str | Sequence[str] = (),
    where: str | None = None,
    out: str | Path | None = None,
) -> "Report":
    """Write the report of a sweep, or of runs that match conditions, as ``python -m fae.report``.

    Args:
        overrides: of the report command, such as ``report.tolerance=0.01``.
        sweep: sweeps by name or by the beginning of their id; none: the latest, or with ``where``
            all runs.
        where: conditions on settings, such as ``hidden=64,128 optimizer=adam``.
        out: folder; None: ``reports/NAME``.

    Raises:
        ConfigError: there are no such runs, or ``out`` is not the folder of a report.
        DataError: the data set is not available.
        StoreError: the store cannot be read.
    """
    from fae.reports.config import ReportConfig
    from fae.reports.write import make_report

    sweeps = [sweep] if isinstance(sweep, str) else list(sweep)
    given = {"sweep": sweeps, "where": where, "out": None if out is None else str(out)}
    return make_report(compose_as("report", ReportConfig, *overrides, **given))


def _archive(tracking: TrackingConfig | None) -> "Archive":
    from fae.tracking.archive import Archive

    return Archive(tracking or compose().tracking)


def _row(run: "StoredRun") -> dict[str, object]:
    return {
        "name": run.name,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "folder": run.tags.get("fae.folder"),
        **{name: _number(value) for name, value in run.parameters.items()},
        **run.metrics,
    }


def _number(text: str) -> object:
    """A parameter as a number, where it is one."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
