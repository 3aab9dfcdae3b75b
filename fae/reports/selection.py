"""Which runs a report is about: chosen, grouped into settings, or excluded with a reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fae.config import fingerprint_fields, shown
from fae.errors import ConfigError, DataError, StoreError
from fae.reports.settings import Setting, group
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive, UnreadableError
from fae.tracking.stored_run import StoredRun

PLANNED = "fae.planned_runs"
"""Tag of a sweep with the number of its runs."""
SHARED_BY, FIRST_ROW = "fae.decided_rows", "fae.first_row"
"""Tags of a sweep with ``repeats=auto``: how many decisions share its error probability, and the
fingerprint of a run of the setting that others are compared with, if any are."""
KEPT_PARAMETERS = 50_000_000
"""Of the networks that are kept in memory after they have been checked: 200 MB."""


@dataclass(frozen=True)
class Excluded:
    """A run that is excluded from a report, and why.

    Attributes:
        replaced: whether another run of the same configuration is counted in its place.
        fingerprint: the same for all attempts at a run.
    """

    id: str
    name: str
    status: str
    reason: str
    replaced: bool = False
    fingerprint: str = ""


@dataclass(frozen=True)
class SequentialDesign:
    """That seeds were added until all was decided.

    Attributes:
        decisions: how many share the error probability, as the sweeps say.
        first: fingerprint of a run of the setting that others are compared with; "": none are.
    """

    decisions: int
    first: str = ""


@dataclass(frozen=True)
class Selection:
    """The runs of a report.

    Attributes:
        name: what was selected.
        sweep: the one sweep to which all of these runs belong, if there is one.
        runs: finished runs; no two have the same configuration.
        excluded: the others.
        missing: runs that the sweeps planned and the store does not have.
        commands: that make them: the sweeps', or else the runs' own.
        rounds: None where the number of seeds was fixed in advance.
    """

    name: str
    sweep: StoredRun | None
    runs: list[TrainedRun]
    excluded: list[Excluded]
    missing: int = 0
    commands: Sequence[str] = ()
    rounds: SequentialDesign | None = None

    @cached_property
    def settings(self) -> list[Setting]:
        """The runs by their settings; see ``fae.reports.settings.group``."""
        return group(self.runs)

    @property
    def decisions(self) -> int | None:
        """How many decisions share the error probability; None without rounds."""
        if self.rounds is None:
            return None
        return max(1, self.rounds.decisions, len(self.settings) - bool(self.rounds.first))

    @property
    def lacking(self) -> int:
        """Number of runs without a result, however often each was attempted."""
        return self.missing + len({run.fingerprint for run in self.excluded if not run.replaced})


def select(
    archive: Archive, sweeps: Sequence[str], where: str | None, data_root: Path | None = None
) -> Selection:
    """Select the runs of a report.

    Args:
        sweeps: names, or beginnings of ids; none: the latest sweep or, with ``where``, all runs.
        where: conditions on settings, ``hidden=64,128 optimizer.momentum=0.9``.
        data_root: where the images are; None: where they are found.

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
    chosen = _chosen(known, sweeps) if sweeps or where is None else []
    theirs = {sweep.id: archive.runs_of(sweep) for sweep in chosen}
    of_chosen = {run.id: run for found in theirs.values() for run in found}
    runs = [*of_chosen.values()] if chosen else archive.runs("run")
    runs.sort(key=lambda run: run.started)  # several sweeps may be named in any order
    runs = runs if where is None else matching(runs, where, archive)
    if not runs and where is not None:
        raise ConfigError(f"where={where}: no run matches")
    if not runs:
        raise ConfigError(f"sweep={chosen[0].name}: none of its runs is in the store")
    counted, excluded = exclude(archive, runs, data_root)
    return Selection(
        name=" + ".join([sweep.name for sweep in chosen] + ([where] if where else [])),
        sweep=chosen[0] if len(chosen) == 1 and where is None else None,
        runs=counted,
        excluded=excluded,
        missing=sum(_missing(s, theirs[s.id]) for s in chosen) if where is None else 0,
        commands=[_command(run) for run in (chosen if where is None else counted)],
        rounds=_rounds(chosen or _parents(known, counted)),
    )


def _parents(sweeps: Sequence[StoredRun], runs: Sequence[StoredRun]) -> list[StoredRun]:
    """The sweeps in which some runs are nested."""
    parents = {run.parent for run in runs}
    return [sweep for sweep in sweeps if sweep.id in parents]


def _rounds(sweeps: Sequence[StoredRun]) -> SequentialDesign | None:
    """How the number of seeds followed from the results of those before, if in any sweep it did."""
    found = [sweep for sweep in sweeps if SHARED_BY in sweep.tags]
    numbers = [sweep.tags[SHARED_BY] for sweep in found]
    decisions = [int(number) for number in numbers if re.fullmatch(r"[1-9]\d{0,5}", number)]
    first = found[0].tags.get(FIRST_ROW, "") if len(sweeps) == len(found) == 1 else ""
    return SequentialDesign(sum(decisions), first) if found else None


def _chosen(known: Sequence[StoredRun], sweeps: Sequence[str]) -> list[StoredRun]:
    """The sweeps that are named, each once; the latest if none is."""
    if sweeps:
        return [*{sweep.id: sweep for sweep in (find_sweep(w, known) for w in sweeps)}.values()]
    if not known:
        raise ConfigError(
            "sweep: there is none yet, only single runs; select some of them, for instance by "
            "where=hidden=64"
        )
    return [known[-1]]


def _missing(sweep: StoredRun, runs: Sequence[StoredRun]) -> int:
    """Runs that a sweep planned and the store does not have; one that was retried is one."""
    different = {_fingerprint(run) for run in runs}
    planned = sweep.tags.get(PLANNED) or sweep.tags.get("fae.planned", "")  # of earlier versions
    return max(0, int(planned) - len(different)) if re.fullmatch(r"\d{1,9}", planned) else 0


def find_sweep(wanted: str, known: Sequence[StoredRun]) -> StoredRun:
    """The newest sweep of this name, or the only one whose id begins with it."""
    if named := [sweep for sweep in known if wanted == sweep.name]:
        return named[-1]
    found = [sweep for sweep in known if sweep.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{sweep.name} ({sweep.id[:8]})" for sweep in (found or known)[-3:][::-1])
    if found:
        raise ConfigError(f"sweep={wanted}: {len(found)} sweeps have ids that begin so: {shown}")
    hint = f"the latest are {shown}" if shown else "there is none yet"
    raise ConfigError(f"sweep={wanted}: no such sweep; {hint}")


def matching(runs: Sequence[StoredRun], where: str, archive: Archive) -> list[StoredRun]:
    """The runs whose settings fulfil all conditions, ``hidden=64,128 optimizer.momentum=0.9``.

    A setting is named as the parameter of runs, or by its key. If no parameter of a run has that
    name, its stored configuration counts. ``momentum`` is enough if no other key ends so.

    Raises:
        ConfigError: a condition is none, or no run has such a setting, or it is ambiguous.
    """
    runs, where = _by_id(runs, where)
    conditions = [condition.partition("=") for condition in where.split()]
    for key, _, values in conditions:
        if not key or not values:
            raise ConfigError(
                f"where={where}: must be conditions like hidden=64,128 optimizer=adam"
            )
    keys = {key for key, _, _ in conditions}
    settings = [
        run.parameters if keys <= run.parameters.keys() else _settings(run, archive) for run in runs
    ]
    wanted = [
        (_known_name(key, runs, settings, where), [values, *values.split(",")])
        for key, _, values in conditions
    ]
    return [
        run
        for run, its in zip(runs, settings, strict=True)
        if all(any(_same(its.get(name, ""), value) for value in values) for name, values in wanted)
    ]


def _by_id(runs: Sequence[StoredRun], where: str) -> tuple[list[StoredRun], str]:
    """The runs that conditions like ``run=31f1a576`` allow (beginnings of ids), and the others."""
    words = where.split()
    ids = [word for word in words if re.match("run=[^,]", word)]
    allowed = [tuple(filter(None, word.removeprefix("run=").split(","))) for word in ids]
    chosen = [run for run in runs if all(map(run.id.startswith, allowed))]
    return chosen, " ".join(word for word in words if word not in ids)


def _settings(run: StoredRun, archive: Archive) -> dict[str, str]:
    """All settings of a run by their keys, and its parameters; only these if it has no others."""
    try:
        fields = fingerprint_fields(TrainedRun.of(run, archive).config)
    except UnreadableError:
        fields = {}
    return {**{key: str(shown(value)) for key, value in fields.items()}, **run.parameters}


def _known_name(
    key: str, runs: Sequence[StoredRun], settings: Sequence[Mapping[str, str]], where: str
) -> str:
    """The name of the setting that a condition means."""
    names = {name for its in settings for name in its}
    if key in names or not runs:
        return key
    ends = sorted(name for name in names if name.endswith(f".{key}"))
    if not ends:
        parameters = sorted({name for run in runs for name in run.parameters})
        raise ConfigError(f"where={where}: no parameter {key}; choose from {', '.join(parameters)}")
    if len(ends) > 1:
        raise ConfigError(f"where={where}: {key} may be {' or '.join(ends)}; write one of them")
    return ends[0]


def _same(stored: str, wanted: str) -> bool:
    """Whether two values are equal, as numbers where they are: 0.001 and 1e-3."""
    try:
        return float(stored) == float(wanted)
    except ValueError:
        return stored == wanted


def exclude(
    archive: Archive, runs: Sequence[StoredRun], data_root: Path | None = None
) -> tuple[list[TrainedRun], list[Excluded]]:
    """The newest readable finished run of each configuration, and the others with the reason.

    Args:
        runs: oldest first.
        data_root: where their images are; None: where they are found.
    """
    counted: dict[tuple[Any, ...], TrainedRun] = {}
    reasons: dict[str, str] = {}
    replaced, kept = set(), 0
    for run in (TrainedRun.of(stored, archive) for stored in reversed(runs)):
        if reason := _unusable(run, data_root):
            reasons[run.id] = reason
            continue
        key = run.seed, *sorted(run.config_key.items())
        if newest := counted.get(key):
            reasons[run.id] = f"replaced by {newest.id[:8]}, newer, of the same configuration"
            replaced.add(run.id)
            counted[key] = counted.pop(key)  # in the order of their first runs
        elif reason := _unreadable(run):
            reasons[run.id] = reason
        else:
            counted[key] = run
            kept += run.parameter_count
            if kept > KEPT_PARAMETERS:
                run.release()
    fingerprints = {_fingerprint(run) for run in counted.values()}
    return [*reversed(counted.values())], [
        _excluded(run, reasons[run.id], run.id in replaced or _fingerprint(run) in fingerprints)
        for run in runs
        if run.id in reasons
    ]


def _excluded(run: StoredRun, reason: str, replaced: bool) -> Excluded:
    return Excluded(run.id, run.name, run.status, reason, replaced, _fingerprint(run))


def _unusable(run: TrainedRun, data_root: Path | None) -> str | None:
    """Why a run cannot be counted, as far as its status, configuration and images tell."""
    if run.status == "RUNNING":
        return "still running, or crashed"
    if run.status == "KILLED":
        return "interrupted"
    if run.status != "FINISHED":
        return f"failed: {run.cause}"
    try:
        here = run.config.data.with_root(data_root).build().digest
    except UnreadableError as problem:
        return problem.reason
    except (ConfigError, DataError) as problem:
        return str(problem)
    stored = run.tags.get("fae.data_digest")
    if stored != here:
        return f"its images (digest {stored!r:.50}) differ from those here ({here})"
    return None


def _unreadable(run: TrainedRun) -> str | None:
    """Why a run's result cannot be read, if it cannot."""
    try:
        run.check()
    except UnreadableError as problem:
        return problem.reason
    return None


def _command(run: StoredRun) -> str:
    return run.tags.get("fae.command", "unknown")


def _fingerprint(run: StoredRun) -> str:
    """The same for runs of the same configuration, data and code."""
    return run.tags.get("fae.fingerprint", run.id)
