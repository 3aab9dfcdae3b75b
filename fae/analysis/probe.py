"""What a linear classifier finds in codes: a probe (Alain and Bengio 2017, *Understanding
intermediate layers using linear classifier probes*).

Its accuracy is computed when somebody looks, not in training, which it would slow down, and then
stored as a metric of the run, once. A tag says how it was computed; where that changes, it is
computed anew.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fae.drawing.pictures import Floats
from fae.runs.stored import TrainedRun
from fae.runtime.proportions import Proportion

FITTED = 5000
"""Training images that a probe is fitted to, drawn at random; the time grows with their number."""
TAG, CODES, PCA = "fae.probe", "probe/accuracy", "probe/pca_accuracy"
"""Of a run: how the probe was fitted, and the metrics."""
TOLERANCE, STEPS = 1e-3, 2000
"""Of the optimisation: the gradient at which it ends, and its steps at most; it takes hundreds."""

Features = tuple[Floats, Floats]
"""Of the training images and of the test images that a probe sees, (images, features) each."""


@dataclass(frozen=True)
class Labels:
    """The classes of the images that probes see, of two classes at least.

    Attributes:
        train, test: (images,), by label.
        most: the most frequent one among all training images.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    most: int

    @property
    def chance(self) -> Proportion:
        """Test images of the class that is the most frequent one in training: the best guess."""
        return Proportion(int((self.test == self.most).sum()), len(self.test))

    @property
    def method(self) -> str:
        """How a probe is fitted; the same wherever its accuracies are."""
        return (
            f"logistic regression on {len(self.train)} training images, features scaled as a whole"
        )


@dataclass(frozen=True)
class Probe:
    """Test images whose class a linear classifier tells.

    Attributes:
        codes: by their codes.
        pca: by as many principal components of the images.
    """

    codes: Proportion
    pca: Proportion


def fit(features: Features, labels: Labels) -> Proportion:
    """The test images whose class a logistic regression tells, fitted to the training images.

    Features are centred, and scaled by one number to a mean variance of 1; the penalty is half the
    square of all weights. So a rotation of the features changes nothing. Were each of them scaled
    by itself, the last principal components would count as much as the first, and PCA would look
    worse than it is.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = features
    mean, scale = train.mean(0, np.float64), np.sqrt(train.var(0, np.float64).mean()) or 1.0
    train, test = (((part - mean) / scale).astype(np.float32) for part in features)
    with threadpool_limits(1):  # quicker for so few images, and the bits depend on it
        probe = LogisticRegression(tol=TOLERANCE, max_iter=STEPS).fit(train, labels.train)
        right = probe.predict(test) == labels.test
    return Proportion(int(right.sum()), len(right))


def stored(run: TrainedRun, labels: Labels) -> Probe | None:
    """What a run stores of a probe that was fitted in this way; None if nothing, or nonsense."""
    if run.tags.get(TAG) != labels.method:
        return None
    codes, pca = (_counted(run.metrics.get(name), len(labels.test)) for name in (CODES, PCA))
    return Probe(codes, pca) if codes and pca else None


def _counted(share: float | None, n: int) -> Proportion | None:
    """The proportion of so many images that a stored share can only be."""
    if share is None or not 0 <= share <= 1:
        return None
    found = Proportion(round(share * n), n)
    return found if found.share == share else None


def store(run: TrainedRun, probe: Probe, labels: Labels) -> None:
    """Log the accuracies as metrics of their run, unless it has them.

    Raises:
        StoreError: the store does not accept them.
    """
    if stored(run, labels) is None:
        metrics = {CODES: probe.codes.share, PCA: probe.pca.share}
        run.archive.add_metrics(run, metrics, {TAG: labels.method})
