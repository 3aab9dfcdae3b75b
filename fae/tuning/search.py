"""A search, as each of the processes that work on its study sees it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fae.cli.compose import compose
from fae.cli.overrides import assignment, study_name, without
from fae.config import Config, fingerprint_fields
from fae.errors import StoreError
from fae.runs.fingerprint import fingerprint_with
from fae.runs.initial_weights import with_full_id
from fae.runs.job import Job
from fae.runs.run import prepare
from fae.tracking import address
from fae.training.prerequisites import check_trainer
from fae.tuning.space import Dimension, Range, SearchConfig
from fae.tuning.study import Study


class Search:
    """This process's part of a search; other processes may work on the same study.

    Attributes:
        study: the study.
        job: of the study's run.
        subject: what only one process at a time may compute: the study's run.
        fixed_parameters: of the trials, except those that vary.
        lacking: for each run so far, a message about entries that are not in the store yet, or "".

    Args:
        config: configuration of the trials, except the searched values.
        settings: search space and search settings.
        overrides: the command-line overrides that compose ``config``.
        folder: folder for the files of this process.
        command: command line of this search.
        here: the trials are trained on this machine.

    Raises:
        ConfigError: the study cannot be opened, a different one has its name, or trials cannot run
            here.
        DataError: the images are not available.
        StoreError: there is no folder for the store.
    """

    def __init__(
        self,
        config: Config,
        settings: SearchConfig,
        overrides: Sequence[str],
        folder: Path,
        command: str,
        *,
        here: bool = True,
    ) -> None:
        if config.model.weights:
            config = with_full_id(config)
            whole = assignment("model.weights", config.model.weights)
            overrides = [*without(overrides, "model.weights"), whole]
        prepare(config, here=here)
        for dimension in settings.space if here else ():
            for value in dimension.ends if dimension.key.startswith("trainer.") else ():
                check_trainer(compose(*overrides, assignment(dimension.key, value)).trainer)
        self.config = config
        self.settings = settings
        self.overrides = overrides
        self.lacking: list[str] = []
        plain = fingerprint_fields(config)
        fixed = {key: value for key, value in plain.items() if not settings.varies(key)}
        self.fixed_parameters = config.as_parameters(fixed)
        self.study = Study(
            settings.name or study_name(config, overrides),
            settings,
            storage=settings.storage or _default_storage(config.tracking.uri),
            integer_keys=frozenset(dim.key for dim in settings.space if _has_integers(dim, plain)),
            fingerprint=fingerprint_with(config, fixed),
            epochs=config.epochs,
        )
        self.subject = f"study {self.study.name} {self.study.storage}"
        self.job = Job(self.study.name, folder, command)

    def with_values(self, values: Mapping[str, object]) -> list[str]:
        """The overrides that compose a configuration with these values."""
        return [*self.overrides, *(assignment(key, value) for key, value in values.items())]


def _has_integers(dimension: Dimension, plain: Mapping[str, object]) -> bool:
    """Whether a range has integers only: its key's value is one or, without a value, its bounds."""
    if not isinstance(dimension, Range):
        return False
    value = plain.get(dimension.key)
    ends = (dimension.low, dimension.high)
    return all(type(number) is int for number in (ends if value is None else (value,)))


def _default_storage(uri: str) -> str:
    """URL of the default database of studies, next to the store.

    Raises:
        StoreError: the store's folder does not exist.
    """
    file = address.file_of(uri)
    folder = file.parent if file else Path.cwd()
    if not folder.is_dir():
        raise StoreError(f"tracking.uri={uri}: there is no folder {folder}; create it")
    return address.of_file(folder / "optuna.db")
