"""A study: trials of a configuration, whose values Optuna chooses and keeps in a database.

Several processes may work on one study. What Optuna draws for a trial depends on the trial's
number and on the results so far, so that a study that was cut short goes on as if it had not been.
"""

import math
import platform
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.importance import get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from platformdirs import user_state_path

from fae.cli.overrides import rounded_assignment
from fae.errors import ConfigError, StoreError
from fae.runtime.digest import short_digest
from fae.tracking.address import file_of, without_password
from fae.tracking.lock import is_alive, run_lock
from fae.tuning.space import Choices, Dimension, SearchConfig

LOCK = "trial.lock"
LEAST_EPOCHS = 3
"""Epochs before which no trial is pruned."""
LEAST_TRIALS = 10
"""Completed trials from which the importance of a key is told."""
BEGINNING_S = 60.0
"""A live process that has begun a trial records its host and folder within this time."""
ONE_OF = 3
"""Of so many trials that have trained as long, the best one goes on."""


@dataclass(frozen=True)
class Tried:
    """A trial that has ended.

    Attributes:
        values: of the keys that vary.
        error: ``val/mse`` of its network; None if it failed.
        pruned: whether it was given up early.
    """

    number: int
    values: Mapping[str, object]
    error: float | None
    pruned: bool

    @property
    def name(self) -> str:
        return " ".join(rounded_assignment(key, value) for key, value in self.values.items())


@dataclass(frozen=True)
class UnderWay:
    """A trial that a process is at.

    Attributes:
        host: where that process is.
    """

    number: int
    host: str


class Study:
    """A study, made on first use.

    Attributes:
        claiming: held by a process that begins something; of those on this machine, one at a
            time does.

    Args:
        name: of the study.
        config: what is searched, and how.
        storage: URL of Optuna's database.
        whole: keys whose values are whole numbers.
        fingerprint: of all that determines a trial's result but for the space.
        former: the same in an earlier version.
        epochs: of a trial, at most.

    Raises:
        ConfigError: the database cannot be opened, or has another study of that name.
        StoreError: it is damaged or was lost; also by whatever else reads or writes it, within
            ``reading``.
    """

    def __init__(
        self,
        name: str,
        config: SearchConfig,
        *,
        storage: str,
        whole: frozenset[str],
        fingerprint: str,
        former: str,
        epochs: int,
    ) -> None:
        self.name = name
        self.storage = storage
        self.config = config
        self.whole = whole
        self.epochs = epochs
        identity = short_digest(storage)
        folder = user_state_path("fae", ensure_exists=True)
        self.claiming = FileLock(folder / f"studies-{identity}.lock")
        file = file_of(storage)
        self._base = file.parent if file else Path("/")
        self._seen_at: dict[int, float] = {}
        with self.claiming, self.reading():
            self._study = _open(name, storage, _sampler(config, 0), _pruner(config.pruner, epochs))
            self._check("space", "; ".join(f"{one.key}: {one}" for one in config.space))
            self._check("fingerprint", fingerprint, former)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block, what Optuna's database does not give or take is a ``StoreError``."""
        try:
            yield
        except StorageInternalError as error:
            raise StoreError(_unusable(self.storage, error)) from error

    @property
    def planned(self) -> int:
        """Trials in all: as many as were asked for, or more if more had begun.

        Of a grid no more are begun than it has points.
        """
        asked = self.config.trials
        if self.config.sampler == "grid":
            asked = min(asked, math.prod(len(one.ends) for one in self.config.space))
        return max(asked, len(self._begun))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return self._study.get_trials(deepcopy=False)

    @property
    def tried(self) -> list[Tried]:
        """Those that have ended."""
        return [
            Tried(one.number, one.params, one.value, one.state == TrialState.PRUNED)
            for one in self.trials
            if one.state.is_finished()
        ]

    @property
    def best(self) -> Tried | None:
        """The one with the least error, of those that ran to their end."""
        complete = [
            (one.error, one.number, one)
            for one in self.tried
            if one.error is not None and not one.pruned
        ]
        return min(complete)[2] if complete else None

    @property
    def seconds(self) -> float:
        """What the trials have taken so far."""
        ended = [one.duration for one in self.trials if one.duration]
        return sum(duration.total_seconds() for duration in ended)

    @property
    def epochs_saved(self) -> float:
        """The share of the epochs of all trials, but for failed ones, that pruning saved."""
        ended = [
            one for one in self.trials if one.state in (TrialState.COMPLETE, TrialState.PRUNED)
        ]
        pruned = [one for one in ended if one.state == TrialState.PRUNED]
        saved = sum(self.epochs - max(one.intermediate_values) for one in pruned)
        return saved / (self.epochs * len(ended)) if ended else 0.0

    @property
    def parent(self) -> str | None:
        """Id of the study's run in the store; None before there is one."""
        found: str | None = self._study.user_attrs.get("parent")
        return found

    @parent.setter
    def parent(self, run_id: str) -> None:
        self._study.set_user_attr("parent", run_id)

    @contextmanager
    def claim(self, folder: Path) -> Iterator[tuple[Trial, Path] | None]:
        """The next trial that is to be run and a folder for it, this process's within the block.

        It is one whose process died, or a new one; None where there is none.

        Args:
            folder: of this process's trials.
        """
        with ExitStack() as held:
            with self.claiming:
                dead = next((trial for trial in self.trials if self._is_dead(trial)), None)
                trial = Trial(self._study, dead._trial_id) if dead else self._ask()
                if trial:
                    self._study.sampler = _sampler(self.config, trial.number)
                    home = folder / f"trial-{trial.number}"
                    home.mkdir(parents=True, exist_ok=True)
                    held.enter_context(run_lock(home, LOCK))
                    trial.set_user_attr("host", platform.node())
                    within = home.is_relative_to(self._base)  # and so in a copy of the project
                    place = home.relative_to(self._base) if within else home
                    trial.set_user_attr("folder", str(place))
            if trial is None:
                yield None
                return
            for dimension in self.config.space:
                _suggest(trial, dimension, whole=dimension.key in self.whole)
            yield trial, home

    @property
    def is_over(self) -> bool:
        """Whether all trials have ended."""
        begun = self._begun
        return len(begun) >= self.planned and all(t.state.is_finished() for t in begun)

    @property
    def under_way_elsewhere(self) -> list[UnderWay]:
        """The trials that other processes are at."""
        return [
            UnderWay(one.number, one.user_attrs.get("host", platform.node()))
            for one in self.trials
            if one.state == TrialState.RUNNING and not self._is_dead(one)
        ]

    @property
    def first_failure(self) -> str:
        """Why the first trial that failed did; empty where none did."""
        reasons = [one.user_attrs["error"] for one in self.trials if "error" in one.user_attrs]
        return reasons[0] if reasons else ""

    def is_hopeless(self, trial: Trial, epoch: int, error: float) -> bool:
        """Whether a trial is to be pruned, once its error after an epoch is known."""
        with self.reading():
            if epoch not in self.trials[trial.number].intermediate_values:
                trial.report(error, epoch)
            return trial.should_prune()

    def tell(self, trial: Trial, error: float) -> None:
        """End a trial, whose result this is."""
        self._study.tell(trial, error)

    def fail(self, trial: Trial, reason: str) -> None:
        """End a trial without a result."""
        trial.set_user_attr("error", reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def give_up(self, trial: Trial) -> None:
        """End a trial early; its result is the last error that was told."""
        self._study.tell(trial, state=TrialState.PRUNED)

    def importances(self) -> dict[str, float]:
        """How much of the error's variance each key explains, the greatest first (fANOVA).

        By the trials that ran to their end. Empty where these are too few to tell, or where they
        have the same value of a key.
        """
        complete = [one for one in self.trials if one.state == TrialState.COMPLETE]
        different = [{repr(one.params[of.key]) for one in complete} for of in self.config.space]
        if len(different) < 2 or len(complete) < LEAST_TRIALS or min(map(len, different)) < 2:
            return {}
        found: dict[str, float] = get_param_importances(self._study)
        return found

    @property
    def _begun(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state != TrialState.WAITING]

    def _ask(self) -> Trial | None:
        """A new trial; None if all planned ones have begun.

        Hosts do not share a lock, so another one may ask at the same moment. A trial beyond the
        planned ones goes back to Optuna's queue, which serves it if more trials are planned later.
        """
        planned = self.planned
        if len(self._begun) >= planned:
            return None
        trial = self._study.ask()
        if trial.number < planned:
            return trial
        trial.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        return None

    def _is_dead(self, trial: FrozenTrial) -> bool:
        """Whether no process is at a trial that has not ended.

        One without host and folder for long was begun by a process that died before it recorded
        them. How long is measured here, since clocks and time zones of hosts differ. Whoever can
        write to the study can name any folder: it is only looked at.
        """
        if trial.state != TrialState.RUNNING:
            return False
        host, folder = trial.user_attrs.get("host"), trial.user_attrs.get("folder")
        if isinstance(host, str) and isinstance(folder, str):
            with suppress(ValueError):  # it is no path
                if host != platform.node() or self._is_taken(folder):
                    return False
                return self.trials[trial.number].state == TrialState.RUNNING  # not ended since
        now = time.monotonic()
        return now - self._seen_at.setdefault(trial.number, now) >= BEGINNING_S

    def _is_taken(self, folder: str) -> bool:
        try:
            return is_alive(self._base / folder, LOCK)
        except OSError:  # it may not be entered: another user's, who will know
            return True

    def _check(self, attribute: str, value: str, *former: str) -> None:
        """Make sure that the study is the one that is asked for."""
        known = self._study.user_attrs.get(attribute)
        if known is None:
            self._study.set_user_attr(attribute, value)
        elif known not in {value, *former}:
            what = f"space ({known})" if attribute == "space" else "configuration, data or code"
            raise ConfigError(
                f"search.name={self.name}: this study exists with another {what}; give this one "
                "another search.name"
            )


def _open(name: str, storage: str, sampler: BaseSampler, pruner: BasePruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            study_name=name,
            storage=storage.replace("{", "{{").replace("}", "}}"),  # Optuna formats it
            sampler=sampler,
            pruner=pruner,
            direction="minimize",
            load_if_exists=True,
        )
    except Exception as error:  # whatever a database's driver raises
        raise ConfigError(_unusable(storage, error)) from error


def _unusable(storage: str, error: Exception) -> str:
    """What is wrong with a database, and how to mend it."""
    reason = without_password(str(error.__cause__ or error)).strip().partition("\n")[0]
    problem = f"search.storage={storage}: cannot be used ({reason})"
    file = file_of(storage)
    if file and file.is_file():
        return (
            f"{problem}; if it is damaged, move it away, and the search begins anew, or save what "
            f"is left by sqlite3 {shlex.quote(str(file))} .recover"
        )
    return (
        f"{problem}; name a file in a folder that can be written, or a database that is there and "
        "whose driver is installed"
    )


def _pruner(name: str, epochs: int) -> BasePruner:
    if name == "successive_halving":
        return SuccessiveHalvingPruner(min_resource=LEAST_EPOCHS, reduction_factor=ONE_OF)
    if name == "hyperband":
        return HyperbandPruner(LEAST_EPOCHS, epochs, ONE_OF)
    return NopPruner()


def _sampler(config: SearchConfig, number: int) -> BaseSampler:
    """The sampler of a trial, seeded by its number; a grid is in the same order for all."""
    if config.sampler == "grid":
        choices = {one.key: one.choices for one in config.space if isinstance(one, Choices)}
        return _Grid(choices, seed=0)
    kinds = {"tpe": TPESampler, "random": RandomSampler, "gp": GPSampler}
    (seed,) = np.random.SeedSequence(number).generate_state(1)  # near numbers draw alike
    sampler: BaseSampler = kinds[config.sampler](seed=int(seed))
    return sampler


class _Grid(GridSampler):
    """Optuna's, but for its end, which it knows of within Optuna's own loop only."""

    def after_trial(self, *_: object, **__: object) -> None:
        pass


def _suggest(trial: Trial, dimension: Dimension, *, whole: bool) -> None:
    if isinstance(dimension, Choices):
        trial.suggest_categorical(dimension.key, dimension.choices)
    elif whole:
        low, high = int(dimension.low), int(dimension.high)
        trial.suggest_int(dimension.key, low, high, log=dimension.log)
    else:
        trial.suggest_float(dimension.key, dimension.low, dimension.high, log=dimension.log)
