"""Optuna studies: trials of a configuration, whose values Optuna suggests and stores.

Several processes may work on one study. What Optuna suggests for a trial depends on the trial's
number and on the results so far, so that a resumed study gives the same trials as an uninterrupted
one.
"""

import math
import platform
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.importance import get_param_importances
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from platformdirs import user_state_path

from fae.cli.overrides import rounded_assignment
from fae.errors import ConfigError, StoreError, without_password
from fae.runtime.digest import short_digest
from fae.runtime.machine import Boot
from fae.tracking.address import file_of
from fae.tracking.liveness import SupersededError
from fae.tracking.lock import is_alive, run_lock
from fae.tuning.sampling import pruner, sampler, suggest
from fae.tuning.space import SearchConfig

LOCK = "trial.lock"
MIN_TRIALS = 10
"""Completed trials that are needed to compute importances."""
IsDead = Callable[[FrozenTrial], bool]
"""Whether the process of a trial that no lock tells of has crashed."""


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial.

    Attributes:
        values: of the searched keys.
        error: ``val/mse`` of its network; None if the trial failed.
        pruned: whether the trial was pruned.
    """

    number: int
    values: Mapping[str, object]
    error: float | None
    pruned: bool

    @property
    def name(self) -> str:
        return " ".join(rounded_assignment(key, value) for key, value in self.values.items())


class Study:
    """A study; created on first use.

    Attributes:
        lock: held while a process on this machine starts a trial or the study's run.

    Args:
        name: of the study.
        config: search space and search settings.
        storage: URL of Optuna's database.
        integer_keys: keys whose values are integers.
        fingerprint: of everything that determines a trial's result, except the search space.
        epochs: maximum epochs of a trial.

    Raises:
        ConfigError: the database cannot be opened, or has a different study of that name.
        StoreError: the database is damaged or was lost. Every other method raises it, too, within
            ``storage_errors``.
    """

    def __init__(
        self,
        name: str,
        config: SearchConfig,
        *,
        storage: str,
        integer_keys: frozenset[str],
        fingerprint: str,
        epochs: int,
    ) -> None:
        self.name = name
        self.storage = storage
        self.config = config
        self.integer_keys = integer_keys
        self.epochs = epochs
        folder = user_state_path("fae", ensure_exists=True)
        self.lock = FileLock(folder / f"studies-{short_digest(storage)}.lock")
        file = file_of(storage)
        self._base = file.parent if file else Path("/")
        with self.lock, self.storage_errors():
            self._study = _open(name, storage, sampler(config, 0), pruner(config.pruner, epochs))
            self._check("space", "; ".join(f"{dim.key}: {dim}" for dim in config.space))
            self._check("fingerprint", fingerprint)

    @contextmanager
    def storage_errors(self) -> Iterator[None]:
        """Turn errors of Optuna's database within the block into ``StoreError``."""
        try:
            yield
        except StorageInternalError as error:
            raise StoreError(_unusable(self.storage, error)) from error

    @property
    def planned(self) -> int:
        """Total number of trials: those requested, or those started if these are more.

        A grid search starts at most one trial per point.
        """
        requested = self.config.trials
        if self.config.sampler == "grid":
            points = math.prod(len(dimension.ends) for dimension in self.config.space)
            requested = min(requested, points)
        return max(requested, len(self._started))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self._study.get_trials(deepcopy=False)

    @property
    def finished(self) -> list[FinishedTrial]:
        """The finished trials, by number."""
        return [
            FinishedTrial(t.number, t.params, t.value, t.state == TrialState.PRUNED)
            for t in self.trials
            if t.state.is_finished()
        ]

    @property
    def best(self) -> FinishedTrial | None:
        """The completed trial with the lowest error."""
        complete = [t for t in self.finished if t.error is not None and not t.pruned]
        return min(complete, key=lambda trial: trial.error or 0.0, default=None)

    @property
    def seconds(self) -> float:
        """Total duration of the finished trials."""
        durations = [trial.duration for trial in self.trials if trial.duration]
        return sum(duration.total_seconds() for duration in durations)

    @property
    def epochs_saved(self) -> float:
        """Share of the epochs of all trials, except failed ones, that pruning saved."""
        states = [trial.state for trial in self.trials]
        trained = states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED)
        pruned = [trial for trial in self.trials if trial.state == TrialState.PRUNED]
        saved = sum(self.epochs - max(trial.intermediate_values) for trial in pruned)
        return saved / (self.epochs * trained) if trained else 0.0

    @property
    def parent(self) -> str | None:
        """Id of the study's run in the store; None if there is none yet."""
        run_id: str | None = self._study.user_attrs.get("parent")
        return run_id

    @parent.setter
    def parent(self, run_id: str) -> None:
        self._study.set_user_attr("parent", run_id)

    @contextmanager
    def claim(self, folder: Path, is_dead: IsDead) -> Iterator[tuple[Trial, Path] | None]:
        """Claim the next trial and a folder for it, for the duration of the block.

        The trial is one whose process crashed, or else a new one. Yields None if none is left.

        Args:
            folder: parent folder of this process's trials.
        """
        with ExitStack() as held:
            with self.lock:
                crashed = next((t for t in self.trials if self._has_crashed(t, is_dead)), None)
                trial = Trial(self._study, crashed._trial_id) if crashed else self._ask()
                if trial:
                    self._study.sampler = sampler(self.config, trial.number)
                    home = folder / f"trial-{trial.number}"
                    home.mkdir(parents=True, exist_ok=True)
                    held.enter_context(run_lock(home, LOCK))
                    trial.set_user_attr("host", platform.node())
                    trial.set_user_attr("boot", str(Boot.current()))
                    within = home.is_relative_to(self._base)  # holds in a copy of the project, too
                    place = home.relative_to(self._base) if within else home
                    trial.set_user_attr("folder", str(place))
            if trial is None:
                yield None
                return
            for dimension in self.config.space:
                suggest(trial, dimension, integer=dimension.key in self.integer_keys)
            yield trial, home

    @property
    def is_over(self) -> bool:
        """Whether all trials are finished."""
        started = self._started
        return len(started) >= self.planned and all(t.state.is_finished() for t in started)

    def running_elsewhere(self, is_dead: IsDead) -> list[FrozenTrial]:
        """The trials that are running in other processes."""
        running = [trial for trial in self.trials if trial.state == TrialState.RUNNING]
        return [trial for trial in running if not self._has_crashed(trial, is_dead)]

    @property
    def first_failure(self) -> str:
        """Error message of the first failed trial; empty if none failed."""
        messages = (trial.user_attrs.get("error", "") for trial in self.trials)
        return next(filter(None, messages), "")

    def should_prune(self, trial: Trial, epoch: int, error: float) -> bool:
        """Report a trial's error after an epoch; return whether to prune the trial.

        Raises:
            SupersededError: another process has finished the trial.
        """
        with self.storage_errors():
            try:
                if epoch not in self.trials[trial.number].intermediate_values:
                    trial.report(error, epoch)
            except UpdateFinishedTrialError as problem:
                name = f"trial {trial.number + 1}"
                raise SupersededError(f"{name}: another process has finished it") from problem
            return trial.should_prune()

    def tell(self, trial: Trial, error: float) -> None:
        """Finish a trial with its error, unless another process has finished it."""
        self._study.tell(trial, error, skip_if_finished=True)

    def fail(self, trial: Trial, reason: str) -> None:
        """Finish a trial as failed."""
        with suppress(UpdateFinishedTrialError):  # by another process
            trial.set_user_attr("error", reason)
        self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def prune(self, trial: Trial) -> None:
        """Finish a trial as pruned; its result is the last reported error."""
        self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def importances(self) -> dict[str, float]:
        """Share of the error's variance that each key explains, largest first (fANOVA).

        Computed from the completed trials. Empty if these are too few, if a key has the same value
        in all of them, or if there is only one key.
        """
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        keys = [dimension.key for dimension in self.config.space]
        distinct = [{repr(trial.params[key]) for trial in complete} for key in keys]
        if len(keys) < 2 or len(complete) < MIN_TRIALS or min(map(len, distinct)) < 2:
            return {}
        importances: dict[str, float] = get_param_importances(self._study)
        return importances

    @property
    def _started(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state != TrialState.WAITING]

    def _ask(self) -> Trial | None:
        """A new trial; None if all planned trials have started.

        Hosts do not share a lock, so another one may ask at the same moment. A surplus trial is
        returned to Optuna's queue, which serves it if more trials are planned later.
        """
        planned = self.planned
        if len(self._started) >= planned:
            return None
        trial = self._study.ask()
        if trial.number < planned:
            return trial
        trial.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        return None

    def _has_crashed(self, trial: FrozenTrial, is_dead: IsDead) -> bool:
        """Whether a trial is unfinished and runs in no process.

        Within one boot of a machine the lock of its folder decides, if that can be seen. The folder
        is untrusted (anyone who can write to the study can name one), so it is only inspected.
        """
        if trial.state != TrialState.RUNNING:
            return False
        folder = trial.user_attrs.get("folder")
        if isinstance(folder, str) and _is_of_this_boot(trial) and self._is_there(folder):
            if self._is_locked(folder):
                return False
            return self.trials[trial.number].state == TrialState.RUNNING  # not finished since
        return is_dead(trial)

    def _is_there(self, folder: str) -> bool:
        try:
            return (self._base / folder).is_dir()
        except (OSError, ValueError):  # not a valid path
            return False

    def _is_locked(self, folder: str) -> bool:
        try:
            return is_alive(self._base / folder, LOCK)
        except OSError:  # not permitted: the folder belongs to another user, so assume it is
            return True

    def _check(self, attribute: str, value: str) -> None:
        """Check that the stored study has this value of an attribute; store it if there is none."""
        known = self._study.user_attrs.get(attribute)
        if known is None:
            self._study.set_user_attr(attribute, value)
        elif known != value:
            what = f"space ({known})" if attribute == "space" else "configuration, data or code"
            raise ConfigError(
                f"search.name={self.name}: this study exists with another {what}; choose another "
                "search.name"
            )


def _is_of_this_boot(trial: FrozenTrial) -> bool:
    """Whether a trial was last run in this boot; one of an earlier version, on this machine."""
    boot = trial.user_attrs.get("boot")
    if boot is None:
        return bool(trial.user_attrs.get("host") == platform.node())
    return bool(boot == str(Boot.current()))


def _open(
    name: str, storage: str, first_sampler: BaseSampler, study_pruner: BasePruner
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            study_name=name,
            storage=RDBStorage(
                storage.replace("{", "{{").replace("}", "}}"),  # Optuna calls format() on it
                engine_kwargs={"pool_pre_ping": True},  # a server may have been restarted
            ),
            sampler=first_sampler,
            pruner=study_pruner,
            direction="minimize",
            load_if_exists=True,
        )
    except Exception as error:  # each database driver raises its own
        raise ConfigError(_unusable(storage, error)) from error


def _unusable(storage: str, error: Exception) -> str:
    """Error message for an unusable database."""
    reason = without_password(str(error.__cause__ or error)).strip().partition("\n")[0]
    problem = f"search.storage={storage}: cannot be used ({reason})"
    file = file_of(storage)
    if file and file.is_file():
        return (
            f"{problem}; if it is damaged, move it away to start the search anew, or recover its "
            f"content with sqlite3 {shlex.quote(str(file))} .recover"
        )
    return (
        f"{problem}; name a file in a writable folder, or an existing database whose driver is "
        "installed"
    )
