"""Runs as a store would have them, and pictures of networks, made by hand."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any, cast

import numpy as np
from conftest import NO_LOCAL
from numpy.typing import NDArray
from torch import nn

from fae.cli.compose import compose
from fae.config import Config, TrainingConfig
from fae.drawing.pictures import Example, Gallery, Panel, extremes
from fae.reports.selection import Selection, SequentialDesign
from fae.reports.summary import Summary, summarise
from fae.runs.stored import TrainedRun
from fae.tracking.archive import Archive
from fae.tracking.stored_run import StoredRun

IMAGES = np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4)
ERRORS = np.array([0.01234, 0.5], np.float32)
CURVE = [(0.09, 0.0902), (0.05, 0.0501), (0.04, 0.0404)]


def stored(
    run_id: str = "0123456789abcdef",
    *,
    started: int = 0,
    ended: int | None = 1000,
    status: str = "FINISHED",
    metrics: dict[str, float] | None = None,
    **tags: str,
) -> StoredRun:
    named = {f"fae.{name}": tag for name, tag in {"device": "x", "threads": "2", **tags}.items()}
    return StoredRun(run_id, f"run {run_id}", status, started, ended, {}, metrics or {}, named)


composed = cache(compose)


def training(data: str = "synthetic", **changes: Any) -> TrainingConfig:
    """What a small run trains, or one with the paper's settings; with changes."""
    presets = ["experiment=smoke"] if data == "synthetic" else []
    config: Config = composed(NO_LOCAL, *presets)
    values = {field.name: getattr(config, field.name) for field in fields(TrainingConfig)}
    return TrainingConfig(**{**values, **changes})


def record(
    hidden: int,
    seed: int,
    test: float,
    *,
    fit_s: float = 10.0,
    run: StoredRun | None = None,
    curve: list[tuple[float, float]] = CURVE,
    data: str = "fashion_mnist",
    early_stopping: int | None = None,
    profiler: str | None = None,
    **config_key: Any,
) -> TrainedRun:
    """A finished run of which nothing is read from a store.

    Args:
        config_key: values other than the configuration's, which may be of another version, by
            dotted key with dots written as two underscores.
    """
    trainer = training().trainer
    settings: dict[str, Any] = {"early_stopping": early_stopping, "profiler": profiler}
    metrics = {
        "test/mse": test,
        "time/fit_s": fit_s,
        "weights/dead_units": 1.0,
        "weights/count": 10.0 * hidden,
    }
    made = replace(run or stored(f"{hidden:04d}{seed:04d}"), metrics=metrics)
    record = TrainedRun.of(made, cast(Archive, None))
    vars(record).update(
        config=training(data, hidden=hidden, seed=seed, trainer=replace(trainer, **settings)),
        epochs=[{"train/mse": train, "val/mse": val} for train, val in curve],
        packages={"fae": "0.1", "torch": "2.15.0", "pytorch-lightning": "2.6.6", "mlflow": "3.17"},
    )
    others = {key.replace("__", "."): value for key, value in config_key.items()}
    vars(record).update(config_key={**record.config_key, **others})
    return record


def pca(_: object) -> NDArray[np.float64]:
    """Half an error less with each component."""
    return 0.1 * 0.5 ** np.arange(1025, dtype=np.float64)


def summary(
    *records: TrainedRun,
    tolerance: float = 0.03,
    concurrent_runs: Sequence[StoredRun] = (),
    rounds: SequentialDesign | None = None,
) -> Summary:
    return summarise(
        Selection("name", None, list(records), [], rounds=rounds),
        tolerance=tolerance,
        concurrent_runs=concurrent_runs,
        pca=pca,
        test_images=lambda _: 10_000,
    )


def panel(share: float) -> Panel:
    return Panel(IMAGES, IMAGES * np.float32(share), ERRORS, ["Shirt", "Bag"])


def gallery(title: str, share: float) -> Gallery:
    shown = panel(share)
    found = [
        Example(label, shown.classes[i], IMAGES[i], shown.reconstructions[i], float(ERRORS[i]))
        for label, i in extremes(ERRORS, np.ones_like(ERRORS)).items()
    ]
    weights = np.ones((5, 4), np.float32)
    return Gallery(title, 0, 0.04, shown, found, weights, units=5, dead=2, noise=0.75)


def exported(network: nn.Module, **others: bytes) -> bytes:
    """The part of what ``torch.export.save`` makes of a network that has its weights.

    Args:
        others: more of its records, or other ones, with slashes as two underscores.
    """
    records, described = {"byteorder": b"little"}, {}
    for number, (name, weight) in enumerate(network.state_dict().items()):
        records[f"data/weights/weight_{number}"] = weight.numpy().tobytes()
        meta = {
            "dtype": 7,
            "sizes": [{"as_int": size} for size in weight.shape],
            "strides": [{"as_int": stride} for stride in weight.stride()],
            "storage_offset": {"as_int": 0},
        }
        about = {"path_name": f"weight_{number}", "use_pickle": False, "tensor_meta": meta}
        described[name] = about
    text = json.dumps({"config": described}).encode()
    records["data/weights/model_weights_config.json"] = text
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for name, content in {**records, **_slashed(others)}.items():
            written.writestr(f"model/{name}", content)
    return archive.getvalue()


def _slashed(others: dict[str, bytes]) -> dict[str, bytes]:
    return {name.replace("__", "/"): content for name, content in others.items()}
