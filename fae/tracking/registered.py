"""Versions of models in MLflow's registry, by the addresses that MLflow's own tools take."""

import re
from typing import TYPE_CHECKING

from fae.errors import ConfigError, StoreError, first_line
from fae.tracking.archive import Archive
from fae.tracking.connection import asking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "models:/"
ADDRESS = re.compile(rf"{SCHEME}([^/@:]+)(?:@([^/@:]+)|/(\d{{1,9}}))")
"""The name of a model, and an alias or the number of a version."""
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""Codes of errors that say that there is no such model, version or alias."""


def registered_run(address: str, archive: Archive) -> str:
    """The id of the run that trained a version of a registered model; empty if it names none.

    Args:
        address: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
        archive: in whose store the registry is.

    Raises:
        ConfigError: the address is neither, or the registry has no such version.
        StoreError: the registry cannot be read.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise ConfigError(f"{address}: must be models:/NAME@ALIAS or models:/NAME/VERSION")
    try:
        with asking(archive.uri, f"cannot look up {address}"):
            return _version(MlflowClient(archive.uri), *parts.groups()).run_id or ""
    except StoreError as problem:
        origin = problem.__cause__
        if isinstance(origin, MlflowException) and origin.error_code in UNKNOWN:
            raise ConfigError(f"{address}: {first_line(origin)}") from origin
        raise


def _version(client: "MlflowClient", name: str, alias: str | None, number: str) -> "ModelVersion":
    if alias:
        return client.get_model_version_by_alias(name, alias)
    return client.get_model_version(name, number)
