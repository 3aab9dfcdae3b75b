"""What is inside a trained network: its code space, what a linear classifier finds in the codes,
and images of other codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fae.analysis import probe
from fae.analysis.codes import CodeSpace, by_class, code_space, codes_of
from fae.analysis.decoding import Interpolation, interpolations, samples
from fae.analysis.probe import FITTED, Features, Labels, Probe
from fae.data.components import pca_codes
from fae.data.config import DataConfig
from fae.data.images import DataSet, Images, split_at_random
from fae.drawing.pictures import Floats
from fae.runs.stored import TrainedRun

SHOWN = 2000
"""Test images whose codes are drawn; of more, so many at random."""
SEED = 0
"""Of the images that are drawn at random."""


@dataclass(frozen=True)
class Inputs:
    """The images by which networks are explored, the same for all of them.

    Attributes:
        classes: their names, by label.
        train: those that a probe is fitted to, uint8.
        test: all test images, uint8.
        shown: indexes of those whose codes are drawn, in their order.
        labels: for probes; None where there are no two classes in ``train``.
        linear: the coordinates of ``train`` and ``test`` along principal components; as many as
            the largest of the networks has hidden units, or all.
    """

    classes: tuple[str, ...]
    train: Images
    test: Images
    shown: NDArray[np.int64]
    labels: Labels | None
    linear: Features | None


def inputs_of(data_set: DataSet, config: DataConfig, most: int, cache: Path) -> Inputs:
    """The images of a data set by which networks are explored.

    Args:
        config: settings of the data set, with the sizes and the seed of the split.
        most: hidden units of the largest network.
        cache: folder in which principal components are cached.
    """
    every, _ = split_at_random(data_set.training(), config.train, config.val, config.split_seed)
    train, test = every[torch.from_numpy(_drawn(len(every), FITTED))], data_set.test()
    labels = linear = None
    if len(train.labels.unique()) > 1:
        found = int(every.labels.bincount().argmax())
        labels = Labels(train.labels.numpy(), test.labels.numpy(), found)
        ours, theirs = pca_codes(data_set, config, [train, test], most, cache)
        linear = ours, theirs
    return Inputs(data_set.classes, train, test, _drawn(len(test), SHOWN), labels, linear)


def _drawn(count: int, most: int) -> NDArray[np.int64]:
    """Indexes of at most so many of some things, drawn at random, in their order."""
    random = np.random.default_rng(SEED)
    return np.sort(random.choice(count, min(count, most), replace=False))


@dataclass(frozen=True)
class Exploration:
    """What was found inside a network.

    Attributes:
        run: that trained it.
        title: of the network.
        inputs: by which it was explored.
        space: the code space of the test images that are shown.
        probe: None where there are no classes.
        interpolations: none where the network has no ``decode``.
        samples: (images, pixels), no rows where codes have no distribution to draw from.
    """

    run: TrainedRun
    title: str
    inputs: Inputs
    space: CodeSpace
    probe: Probe | None
    interpolations: Sequence[Interpolation]
    samples: Floats

    @property
    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Which of the images that are shown are of each class."""
        labels = self.inputs.test.labels.numpy()[self.inputs.shown]
        return by_class(labels, self.inputs.classes)


def explore(run: TrainedRun, title: str, inputs: Inputs) -> Exploration:
    """Look inside the network of a run.

    Raises:
        UnreadableError: the network cannot be read, or some codes are no numbers.
    """
    codes = codes_of(run, inputs.test)
    space = code_space(codes, inputs.test.labels.numpy())
    shown = CodeSpace(space.positions[inputs.shown], space.explained, space.constant)
    return Exploration(
        run=run,
        title=title,
        inputs=inputs,
        space=shown,
        probe=_probe(run, codes, inputs),
        interpolations=interpolations(run, inputs.test, inputs.classes),
        samples=samples(run),
    )


def _probe(run: TrainedRun, codes: Floats, inputs: Inputs) -> Probe | None:
    """What the run stores, or else a new one."""
    labels, linear, hidden = inputs.labels, inputs.linear, run.config.hidden
    if labels is None or linear is None:
        return None
    if found := probe.stored(run, labels):
        return found
    ours = codes_of(run, inputs.train), codes
    theirs = linear[0][:, :hidden], linear[1][:, :hidden]
    return Probe(probe.fit(ours, labels), probe.fit(theirs, labels))


def keep(found: Exploration) -> None:
    """Store the probe's accuracies as metrics of the run, unless it has them.

    Raises:
        StoreError: the store does not accept them.
    """
    if found.probe and found.inputs.labels:
        probe.store(found.run, found.probe, found.inputs.labels)
