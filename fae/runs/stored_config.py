"""The configuration of a stored run, which anyone may have written: plain values, checked."""

from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from fae.config import NOT_IN_FINGERPRINT, TrainingConfig
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun

FILE = "config.yaml"
FILLED_IN = ("train", "val", "test", "side", "colour")
"""Settings of a data set that a stored run has; where they are null, files would be looked at."""
LARGEST = 100_000
"""Bytes that are read."""


def stored_config(archive: Archive, run: StoredRun) -> TrainingConfig:
    """What a run trained, checked as a command line is.

    Raises:
        UnreadableError: its configuration is gone, or is none of this version's or earlier.
    """
    with archive.reading(run, FILE):
        return _checked(yaml.load(archive.text(run, FILE, LARGEST), _Loader))


class _Loader(yaml.SafeLoader):
    """YAML of plain values, as large as its text: no part of it can be named again elsewhere."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a part of it stands for another")
        return super().compose_node(parent, index)


def _checked(values: Any) -> TrainingConfig:
    """A configuration as a run of this version or an earlier one stored it.

    Raises:
        ValueError: names each key that is wrong.
    """
    if not isinstance(values, dict):
        raise ValueError("not keys and values")
    settings = {key: value for key, value in values.items() if key not in NOT_IN_FINGERPRINT}
    data = settings.get("data")
    if isinstance(data, dict) and any(data.get(key, key) is None for key in FILLED_IN):
        raise ValueError("data: has no numbers of images")
    model = settings.get("model")
    if isinstance(model, dict) and model.get("name") in {"autoencoder", "deep"}:
        settings["model"] = {"initialisation": "uniform", **model}  # before there was a choice
    try:
        return TypeAdapter(TrainingConfig).validate_python(settings)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise ValueError(
            "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in found[:3])
        ) from error
