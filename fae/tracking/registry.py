"""MLflow's registry: models by their names, each with versions, of which one is the champion.

Names and addresses are those that MLflow's own tools take, such as ``models:/NAME@champion``.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from fae.errors import ConfigError, StoreError, first_line
from fae.tracking.archive import Archive, quoted
from fae.tracking.checkpoints import artifacts_of
from fae.tracking.connection import asking
from fae.tracking.limits import downloading
from fae.tracking.stored_run import StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "models:/"
ADDRESS = re.compile(rf"{SCHEME}([^/@:]+)(?:@([^/@:]+)|/(\d{{1,9}}))")
"""The name of a model, and an alias or the number of a version."""
CHAMPION = "champion"
"""Alias of the version that is in use."""
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""Codes of errors that say that there is no such model, version or alias."""
FOLDER = "registered"
"""Where a run's artifacts have the model as it is registered."""
LARGEST = 4_000_000_000
"""Bytes of a model that is registered."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model, which anyone may have written.

    Attributes:
        run_id: of the run that trained it, or empty.
    """

    number: str
    run_id: str
    tags: Mapping[str, str]


class RegisteredModel:
    """A model in the registry of a store.

    Raises:
        StoreError: by each method: the registry cannot be read or written.
    """

    def __init__(self, name: str, archive: Archive) -> None:
        from mlflow import MlflowClient

        self.name = name
        self._archive = archive
        self._client = MlflowClient(archive.uri)

    def champion(self) -> Version | None:
        """The version that is in use; None if there is none, or no such model."""
        from mlflow.exceptions import MlflowException

        with asking(self._archive.uri, f"cannot look up {SCHEME}{self.name}@{CHAMPION}"):
            try:
                return _of(self._client.get_model_version_by_alias(self.name, CHAMPION))
            except MlflowException as error:
                if error.error_code in UNKNOWN:
                    return None
                raise

    def add(self, run: StoredRun, pixels: int, tags: Mapping[str, str]) -> Version:
        """The version of a run's network: one that it has already, or a new one.

        Processes that do so at the same time for the same run agree on one version.

        Args:
            pixels: of an image.
            tags: of a new version.
        """
        with asking(self._archive.uri, "its registry cannot be written"):
            version = self._version_of(run)
            if version is None:
                own = self._make(run, pixels, tags)
                version = self._version_of(run) or own
                if version.number != own.number:
                    self._client.delete_model_version(self.name, own.number)
        return version

    def crown(self, version: Version) -> None:
        """Make a version the champion."""
        with asking(self._archive.uri, "its registry cannot be written"):
            self._client.set_registered_model_alias(self.name, CHAMPION, version.number)

    def later_than(self, version: Version | None) -> list[Version]:
        """The versions that were made after one, or all if there was none."""
        least = int(version.number) if version else 0
        with asking(self._archive.uri, f"cannot look up {SCHEME}{self.name}"):
            found = map(_of, self._client.search_model_versions(f"name = {quoted(self.name)}"))
            return [other for other in found if int(other.number) > least]

    def _version_of(self, run: StoredRun) -> Version | None:
        """The first version that a run has, of those that were made here."""
        found, ours = self._client.search_model_versions(f"run_id = '{run.id}'"), self._source(run)
        versions = [_of(v) for v in found if (v.name, v.source) == (self.name, ours)]
        return min(versions, key=lambda version: int(version.number), default=None)

    def _make(self, run: StoredRun, pixels: int, tags: Mapping[str, str]) -> Version:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = self._upload_with_signature(run, pixels)
        return _of(self._client.create_model_version(self.name, source, run.id, tags=dict(tags)))

    def _upload_with_signature(self, run: StoredRun, pixels: int) -> str:
        """Store a copy of a run's model that has a signature; returns its address.

        The run's own model has none, as it takes images of several types and shapes. The copy's
        files are the same but for one, and none is unpickled.
        """
        from mlflow.models.model import MLMODEL_FILE_NAME

        self._archive.update_paths()
        artifacts = artifacts_of(self._client, self._client.get_run(run.id))
        with tempfile.TemporaryDirectory() as made:
            with downloading(LARGEST):
                folder = Path(artifacts.download_artifacts("model", made))
            about = folder / MLMODEL_FILE_NAME
            described = {**yaml.safe_load(about.read_text()), "signature": _signature(pixels)}
            about.write_text(yaml.safe_dump(described, sort_keys=False))
            artifacts.log_artifacts(str(folder), FOLDER)
        return self._source(run)

    def _source(self, run: StoredRun) -> str:
        """The address of a run's model with a signature; a version of any other is not ours."""
        from mlflow.utils.uri import append_to_uri_path

        artifacts = self._client.get_run(run.id).info.artifact_uri
        address: str = append_to_uri_path(artifacts, FOLDER)
        return address


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


def _of(version: "ModelVersion") -> Version:
    return Version(str(version.version), version.run_id or "", version.tags)


def _signature(pixels: int) -> dict[str, object]:
    """Of a network: images (batch, pixels), float32, to their reconstructions."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = Schema([TensorSpec(np.dtype(np.float32), (-1, pixels))])
    signature: dict[str, object] = ModelSignature(images, images).to_dict()
    return signature
