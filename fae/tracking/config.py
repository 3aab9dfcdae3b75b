"""What is written where."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from fae.errors import ConfigError
from fae.runtime import paths
from fae.runtime.fields import STRICT, Name, Switch
from fae.tracking import address


def _addressable(name: str) -> str:
    """A name that MLflow's registry takes, and that ``models:/NAME@champion`` means."""
    if re.search(r"[/:@?;]", name) or name.startswith((".", " ")) or name.endswith(" "):
        raise PydanticCustomError(
            "registered_model",
            "Input should have no slash, colon, at sign, question mark or semicolon, no dot at its "
            "beginning and no blank at either end",
        )
    return name


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrackingConfig:
    """Settings of the MLflow store."""

    uri: Annotated[
        str, StringConstraints(strict=True, min_length=1), AfterValidator(address.of_store)
    ]
    """The MLflow store; a database file or a server."""
    experiment: Name
    """Name of the MLflow experiment."""
    silence_s: Annotated[float, Field(strict=True, ge=10, le=86_400)]
    """Seconds without a sign of life after which a run of another machine counts as crashed, and is
    taken over; the same for all that share a store."""
    checkpoint_s: Annotated[float, Field(strict=True, ge=1, le=86_400)] | None
    """Seconds between two uploads of a run's newest checkpoint to a server, from which machines
    that do not see its folder resume it; null: none."""
    system_metrics: Switch
    """Record CPU, memory and (installed with the extra ``gpu``) GPU load during the run."""
    register: Annotated[Name, AfterValidator(_addressable)] | None = None
    """Name of a registered model. Once the runs of a command are finished and reported, the one
    with the lowest validation error becomes its champion, if it is better; null: none does."""

    @model_validator(mode="after")
    def _surroundings_are_usable(self) -> "TrackingConfig":
        if flaw := paths.flaw(Path.cwd()):
            raise ConfigError(f"working folder {paths.shown(Path.cwd())}: {flaw}")
        number = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if number and not os.environ.get("MLFLOW_EXPERIMENT_NAME"):
            raise ConfigError(
                f"MLFLOW_EXPERIMENT_ID={number}: an experiment goes by its name here; set "
                "MLFLOW_EXPERIMENT_NAME instead"
            )
        return self
