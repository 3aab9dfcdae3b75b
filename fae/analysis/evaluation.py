"""Errors of a trained network on images: of each image, and their means by class."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from fae.analysis.splits import Source, Split
from fae.data.datamodule import EvalBatches
from fae.data.images import Images
from fae.data.shape import shape_of
from fae.models.network import Network
from fae.runs.stored import TrainedRun
from fae.runtime.console import track
from fae.runtime.formatting import format_error
from fae.runtime.intervals import Estimate, estimate
from fae.training.evaluation import mse_per_image

EVERY = "all"
"""Class of all images together."""
SIGMA, WINDOW = 1.5, 11
"""Of SSIM: standard deviation and side of its Gaussian window, in pixels (Wang et al. 2004)."""
PART = 100
"""Images whose SSIM is computed at a time: of 1000 the memory would be ten times as much."""

Errors = Mapping[str, NDArray[np.float64]]
"""``mse``, ``psnr`` and, of images that are large enough, ``ssim`` of each image, (images,)."""


@dataclass(frozen=True)
class ErrorRow:
    """The errors of the images of a class, or of all.

    Attributes:
        split: which images, such as ``test``.
        shows: their class, or ``EVERY``.
        means: of ``Errors``, with the 95 % interval over images.
    """

    split: str
    shows: str
    n: int
    means: Mapping[str, Estimate]


def evaluate(network: Network, source: Source, splits: Sequence[Split]) -> list[ErrorRow]:
    """The errors on some splits of a data set, each over all its images, and then by class."""
    rows: list[ErrorRow] = []
    for split in splits:
        images = source.images(split)
        fitted = source.is_own and split == "train"
        errors, classes = errors_of(network, images), source.data_set.classes
        rows += by_class(split, errors, images.labels, classes, fitted=fitted)
    return rows


def remarks(run: TrainedRun, rows: Sequence[ErrorRow]) -> list[str]:
    """What is to be said about the errors of a run on its own images."""
    return [remark for remark in (differs(run, rows), seen_less(run, rows)) if remark]


def differs(run: TrainedRun, rows: Sequence[ErrorRow]) -> str:
    """How the error on a run's own test images differs from what the run stored.

    Empty if it does not, as the table prints it, or if they are not among the rows.
    """
    stored = format_error(run.metrics.get("test/mse", 0))
    for row in rows:
        if (row.split, row.shows) == ("test", EVERY) and format_error(
            row.means["mse"].mean
        ) != stored:
            trainer = run.config.trainer
            return (
                f"the run stored test/mse {stored}, measured with precision {trainer.precision}"
                f" on {trainer.limit_batches or 'all'} batches of its test images"
            )
    return ""


def seen_less(run: TrainedRun, rows: Sequence[ErrorRow]) -> str:
    """That a run saw only a part of its training and validation images, if these are shown."""
    batches, shown = run.config.trainer.limit_batches, {row.split for row in rows}
    if batches is None or shown == {"test"}:
        return ""
    return (
        f"the run was trained and validated on {batches} batches (trainer.limit_batches); train "
        "and val have all images of the split"
    )


def errors_of(network: Network, images: Images) -> Errors:
    """The errors of each image.

    Reconstructions are compared as the network gives them; pixels that leave [0, 1] are not
    clipped. The range of the data is 1.
    """
    channels, side = shape_of(images.pixels.shape[1])
    parts: dict[str, list[Tensor]] = {"mse": [], "psnr": [], "ssim": []}
    with torch.inference_mode():
        for originals in _batches(images):
            outputs = network(originals)
            parts["mse"].append(mse_per_image(outputs, originals))
            parts["psnr"].append(psnr(outputs, originals))
            if side >= WINDOW:
                shape = -1, channels, side, side
                parts["ssim"].append(ssim(outputs.view(shape), originals.view(shape)))
    return {name: torch.cat(found).double().numpy() for name, found in parts.items() if found}


def _batches(images: Images) -> Iterator[Tensor]:
    batches = (part for batch in EvalBatches(images) for part in batch.split(PART))
    return iter(track("evaluating", batches, -(-len(images) // PART)))


def psnr(outputs: Tensor, originals: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, 10 log10(1 / MSE), (batch,).

    Infinite where there is no error.
    """
    found: Tensor = peak_signal_noise_ratio(
        outputs, originals, data_range=1.0, reduction="none", dim=1
    )
    return found


def ssim(outputs: Tensor, originals: Tensor) -> Tensor:
    """Structural similarity of each image, (batch, channels, side, side) to (batch,).

    The mean over channels and over the places where the whole window lies in the image, as in
    Wang, Bovik, Sheikh and Simoncelli (2004), *Image quality assessment: from error visibility to
    structural similarity*. Torchmetrics itself would add the places at the border, with images
    that are mirrored there.
    """
    _, everywhere = structural_similarity_index_measure(
        outputs, originals, sigma=SIGMA, data_range=1.0, reduction="none", return_full_image=True
    )
    border = WINDOW // 2
    inside: Tensor = everywhere[..., border:-border, border:-border]
    return inside.flatten(1).mean(dim=1)


def by_class(
    split: str, errors: Errors, labels: Tensor, classes: Sequence[str], *, fitted: bool
) -> Iterator[ErrorRow]:
    """The mean errors of all images, and then those of each class that has any.

    Args:
        labels: (images,), of the images.
        classes: their names, by label.
        fitted: whether the network was trained on these images, so that they are no sample of
            images in general, and means have no interval.
    """
    of_image = labels.numpy()
    chosen = [(EVERY, np.ones(len(of_image), bool))]
    if len(classes) > 1:
        names = [f"class {name}" if name == EVERY else name for name in classes]
        chosen += [(names[label], of_image == label) for label in np.unique(of_image).tolist()]
    for shows, those in chosen:
        means = {name: _mean(values[those], fitted) for name, values in errors.items()}
        yield ErrorRow(split, shows, int(those.sum()), means)


def _mean(values: NDArray[np.float64], fitted: bool) -> Estimate:
    with np.errstate(invalid="ignore"):  # of the PSNR of an image without an error
        found = estimate(values.tolist())
    return replace(found, low=None, high=None) if fitted or np.isinf(found.mean) else found
