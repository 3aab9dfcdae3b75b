"""Arguments of the report command."""

from typing import Annotated

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from fae.config import VerdictConfig
from fae.runtime.fields import Name, Names, OwnFolder
from fae.tracking.config import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class DataRoot:
    """Where data sets lie on this machine, wherever they lay for a run."""

    root: Annotated[OwnFolder | None, BeforeValidator(lambda path: path or None)]
    """Folder of the data set's files; null: ``$FAE_DATA``, or where they are found; your own images
    are found where the runs found them."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Arguments of ``python -m fae.report``. Keys of other commands are ignored, since a user's own
    defaults may hold them."""

    sweep: Names
    """Sweeps by name or by (the beginning of) their run's id; null: the latest, or with
    ``where`` all runs."""
    where: Name | None
    """Conditions on parameters, such as ``hidden=64,128 optimizer=adam``, or runs by the beginning
    of their ids, ``run=31f1a576``; null: all runs."""
    out: OwnFolder | None
    """Folder to write; null: ``reports/<name of the sweep>``."""
    data: DataRoot
    """The images."""
    tracking: TrackingConfig
    """Where runs are stored."""
    report: VerdictConfig
    """How test errors are compared with the paper's."""
