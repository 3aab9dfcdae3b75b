"""The codes that a trained network gives images, and where they lie in two dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fae.data.datamodule import EvalBatches
from fae.data.images import Images
from fae.drawing.pictures import Floats
from fae.runs.stored import TrainedRun
from fae.runs.trained import LARGEST
from fae.tracking.archive import UnreadableError

COLOURED = 10
"""Classes that are told apart by colours at most; of more, the most frequent ones are."""
OTHERS = "other classes"


@dataclass(frozen=True)
class CodeSpace:
    """Codes of images along the two directions in which they vary most.

    Attributes:
        positions: (images, 2), the first two principal components of the codes, in standard
            deviations of the first one. Codes of a single unit have no second one: its place takes
            the number of the class, standardised.
        explained: shares of the variance of the codes along both.
        constant: units whose output is the same for all images.
    """

    positions: NDArray[np.float64]
    explained: tuple[float, float]
    constant: int


def codes_of(run: TrainedRun, images: Images) -> Floats:
    """Codes (images, hidden) that a run's network gives images.

    Raises:
        UnreadableError: the network cannot be read, or some codes are no numbers.
    """
    with torch.inference_mode():
        parts = [run.network.encode(part).clone() for part in EvalBatches(images)]
    codes = torch.cat(parts)
    if not codes.abs().max() < LARGEST:
        raise UnreadableError(run, "its codes may be no numbers")
    return codes.numpy()


def code_space(codes: Floats, labels: NDArray[np.int64]) -> CodeSpace:
    """The code space of images, by principal component analysis of their codes.

    Args:
        codes: (images, hidden).
        labels: (images,), the classes.
    """
    from sklearn.decomposition import PCA

    exact = codes.astype(np.float64)
    constant = int((np.ptp(codes, axis=0) == 0).sum())
    positions, explained = np.zeros((len(codes), 2)), np.zeros(2)
    count = min(2, *codes.shape)
    if constant < codes.shape[1]:
        with threadpool_limits(1):  # the bits depend on the number of threads
            pca = PCA(count, random_state=0).fit(exact)
        deviations = np.sqrt(pca.explained_variance_)
        positions[:, :count] = pca.transform(exact) / deviations[0]
        explained[:count] = pca.explained_variance_ratio_
    if codes.shape[1] == 1:
        positions[:, 1] = (labels - labels.mean()) / (labels.std() or 1)
    return CodeSpace(positions, (float(explained[0]), float(explained[1])), constant)


def by_class(labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Which images are of each class, in the order of the classes; rare ones are one group.

    Args:
        labels: (images,).
        classes: their names, by label.
    """
    found, counts = np.unique(labels, return_counts=True)
    kept = COLOURED if len(found) <= COLOURED else COLOURED - 1
    frequent = np.sort(found[np.argsort(-counts, kind="stable")[:kept]])
    groups = {classes[label]: labels == label for label in frequent.tolist()}
    rare = ~np.isin(labels, frequent)
    return {**groups, OTHERS: rare} if rare.any() else groups
