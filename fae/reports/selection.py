"""Which runs a report is about: chosen, grouped into settings, and set apart with a reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fae.config import TrainingConfig, determines_result
from fae.errors import ConfigError, StoreError
from fae.runs.stored_config import stored_config
from fae.runs.trained import trained_network
from fae.tracking.archive import Archive, StoredRun, UnreadableError, is_measured

MEASURED = ("test/mse", "time/fit_s")


@dataclass(frozen=True)
class Apart:
    """A run that is not counted, and why.

    Attributes:
        replaced: whether another run of the same configuration is counted in its place.
    """

    run: StoredRun
    reason: str
    replaced: bool = False


@dataclass(frozen=True)
class Record:
    """A finished run with its configuration and its curves.

    Attributes:
        config: what it trained.
        choices: what determines its result but the seed, by dotted key.
        epochs: ``train/mse`` and ``val/mse`` after each epoch.
    """

    run: StoredRun
    config: TrainingConfig
    choices: Mapping[str, Any]
    epochs: list[dict[str, float]]

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def tested(self) -> dict[str, float]:
        """The epoch that was tested: the best with early stopping, else the last."""
        if self.config.trainer.early_stopping is None:
            return self.epochs[-1]
        return min(self.epochs, key=lambda epoch: epoch["val/mse"])


@dataclass(frozen=True)
class Selection:
    """The runs of a report.

    Attributes:
        name: what was selected.
        sweep: the one sweep whose runs these all are, if so.
        records: finished runs; no two have the same configuration.
        apart: the others.
        missing: runs that the sweeps planned and the store does not have.
    """

    name: str
    sweep: StoredRun | None
    records: list[Record]
    apart: list[Apart]
    missing: int = 0

    def settings(self) -> dict[str, list[Record]]:
        """Records that differ in nothing but their seed, by what sets them apart: ``n = 64``.

        Ordered by the number of hidden units, then as they were run.
        """
        groups: dict[tuple[tuple[str, Any], ...], list[Record]] = {}
        for record in self.records:
            groups.setdefault(tuple(sorted(record.choices.items())), []).append(record)
        ordered = sorted(groups.values(), key=lambda group: int(group[0].choices["hidden"]))
        titles = _titles([group[0].choices for group in ordered])
        assert len(set(titles)) == len(titles)
        return {
            title: sorted(group, key=lambda record: record.seed)
            for title, group in zip(titles, ordered, strict=True)
        }


def select(archive: Archive, sweeps: Sequence[str], where: str | None) -> Selection:
    """Find the runs of a report.

    Args:
        sweeps: names, or beginnings of ids; none: the latest sweep or, with ``where``, all runs.
        where: conditions on parameters, ``hidden=64,128 optimizer=adam``.

    Raises:
        ConfigError: there is no such sweep, parameter or run.
        StoreError: there is no run at all, or the store cannot be read.
    """
    known = archive.runs("sweep")
    if not known and not archive.runs("run"):
        raise StoreError(
            f"tracking.uri={archive.uri}: no run of fae is stored there; python -m fae.train -m "
            "hidden=64,128,256,512 makes four"
        )
    chosen = list({sweep.id: sweep for sweep in (_sweep(w, known) for w in sweeps)}.values())
    if not sweeps and where is None:
        if not known:
            raise ConfigError(
                "sweep: there is none yet, only single runs; choose among them, for instance "
                "by where=hidden=64"
            )
        chosen = known[-1:]
    theirs = {sweep.id: archive.runs_of(sweep) for sweep in chosen}
    runs = list({run.id: run for found in theirs.values() for run in found}.values())
    if not chosen:
        runs = archive.runs("run")
    runs.sort(key=lambda run: run.started)  # several sweeps may be named in any order
    if where is not None:
        runs = _matching(runs, where)
    if not runs:
        raise ConfigError(
            f"where={where}: no run is like that"
            if where is not None
            else f"sweep={chosen[0].name}: none of its runs is in the store"
        )
    records, apart = set_apart(archive, runs)
    missing = sum(_missing(sweep, theirs[sweep.id]) for sweep in chosen)
    return Selection(
        name=" + ".join([sweep.name for sweep in chosen] + ([where] if where else [])),
        sweep=chosen[0] if len(chosen) == 1 and where is None else None,
        records=records,
        apart=apart,
        missing=missing if where is None else 0,
    )


def _missing(sweep: StoredRun, runs: Sequence[StoredRun]) -> int:
    """Runs that a sweep planned and the store does not have; one that was retried is one."""
    different = {_fingerprint(run) for run in runs}
    planned = sweep.tags.get("fae.planned", "")
    return max(0, int(planned) - len(different)) if re.fullmatch(r"\d{1,9}", planned) else 0


def _titles(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings in the paper's words: ``n = 64 dropout=0.2``.

    Told are the keys whose values differ among the settings that have them, or, where that
    does not tell all settings apart, also those that only some settings have.
    """
    keys = list(dict.fromkeys(key for choices in settings for key in choices if key != "hidden"))
    values = {key: {choices[key] for choices in settings if key in choices} for key in keys}
    varying = [key for key in keys if len(values[key]) > 1]
    titles = [_title(choices, varying) for choices in settings]
    if len(set(titles)) == len(titles):
        return titles
    partial = [key for key in keys if any(key not in choices for choices in settings)]
    everything = [key for key in keys if key in {*varying, *partial}]
    return [_title({**dict.fromkeys(partial, "unset"), **c}, everything) for c in settings]


def _title(choices: Mapping[str, Any], keys: Sequence[str]) -> str:
    told = [f"{key.removesuffix('.name')}={choices[key]}" for key in keys if key in choices]
    return " ".join([f"n = {choices['hidden']}", *told])


def _sweep(wanted: str, known: Sequence[StoredRun]) -> StoredRun:
    """The newest sweep of a name, or the only one whose id begins so."""
    if named := [sweep for sweep in known if wanted == sweep.name]:
        return named[-1]
    found = [sweep for sweep in known if sweep.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{sweep.name} ({sweep.id[:8]})" for sweep in (found or known)[-3:][::-1])
    if found:
        raise ConfigError(f"sweep={wanted}: the ids of {len(found)} sweeps begin so, as of {shown}")
    hint = f"the latest are {shown}" if shown else "there is none yet"
    raise ConfigError(f"sweep={wanted}: no such sweep; {hint}")


def _matching(runs: Sequence[StoredRun], where: str) -> list[StoredRun]:
    conditions = [condition.partition("=") for condition in where.split()]
    parameters = {key for run in runs for key in run.parameters}
    for key, _, values in conditions:
        if not key or not values:
            raise ConfigError(
                f"where={where}: must be conditions like hidden=64,128 optimizer=adam"
            )
        if runs and key not in parameters:
            raise ConfigError(
                f"where={where}: no parameter {key}; choose from {', '.join(sorted(parameters))}"
            )
    return [
        run
        for run in runs
        if all(
            any(_same(run.parameters.get(key, ""), value) for value in values.split(","))
            for key, _, values in conditions
        )
    ]


def _same(stored: str, wanted: str) -> bool:
    """Whether two values are the same, as numbers if they are: 0.001 and 1e-3."""
    try:
        return float(stored) == float(wanted)
    except ValueError:
        return stored == wanted


def set_apart(archive: Archive, runs: Sequence[StoredRun]) -> tuple[list[Record], list[Apart]]:
    """The newest finished run of each configuration that can be read, and the others with why."""
    reasons: dict[str, str] = {}
    alike: dict[tuple[tuple[str, Any], ...], list[tuple[StoredRun, TrainingConfig]]] = {}
    for run in runs:
        if run.status != "FINISHED":
            reasons[run.id] = _reason(run)
            continue
        try:
            config = stored_config(archive, run)
        except UnreadableError as problem:
            reasons[run.id] = problem.reason
            continue
        stored, here = run.tags.get("fae.data_digest"), config.data.build().digest
        if stored != here:
            reasons[run.id] = f"its images (digest {stored!r:.50}) are others than here ({here})"
            continue
        key = tuple(sorted(determines_result(config).items()))
        alike.setdefault(key, []).append((run, config))
    records, replaced = [], set()
    for decisive, same in alike.items():
        choices = {key: value for key, value in decisive if key != "seed"}
        newest: Record | None = None
        for run, config in reversed(same):
            if newest:
                reasons[run.id] = f"same configuration and seed as {newest.run.id[:8]}, newer"
                replaced.add(run.id)
                continue
            try:
                newest = _record(archive, run, config, choices)
            except UnreadableError as problem:
                reasons[run.id] = problem.reason
            else:
                records.append(newest)
    counted = {_fingerprint(record.run) for record in records}
    replaced |= {run.id for run in runs if _fingerprint(run) in counted}
    return records, [Apart(r, reasons[r.id], r.id in replaced) for r in runs if r.id in reasons]


def _record(
    archive: Archive, run: StoredRun, config: TrainingConfig, choices: Mapping[str, Any]
) -> Record:
    """A run with all that it stored of its result.

    Raises:
        UnreadableError: names what is gone, damaged, or not what a run stores.
    """
    if not run.metrics.keys() >= {*MEASURED}:
        raise UnreadableError(run, "finished, yet without test error or time")
    for name in MEASURED:
        if not is_measured(run.metrics[name]):
            raise UnreadableError(run, f"{name}={run.metrics[name]:g} cannot be")
    dead = run.metrics.get("hidden/dead", 0)
    if dead not in range(config.hidden + 1):
        raise UnreadableError(run, f"hidden/dead={dead:g} cannot be")
    record = Record(run, config, choices, archive.epochs(run))
    trained_network(archive, run, config)  # it can be read
    return record


def _fingerprint(run: StoredRun) -> str:
    """The same for runs of the same configuration, data and code."""
    return run.tags.get("fae.fingerprint", run.id)


def _reason(run: StoredRun) -> str:
    if run.status == "RUNNING":
        return "still running, or ended without a word"
    if run.status == "KILLED":
        return "interrupted"
    return "failed: " + (run.tags.get("fae.error", "").partition("\n")[0] or "no reason stored")
