"""What was found inside networks as a table and in words, for pages."""

from collections.abc import Sequence

from fae.analysis.codes import CodeSpace
from fae.analysis.decoding import STEPS
from fae.analysis.exploration import Exploration
from fae.drawing.tables import Columns
from fae.runtime.formatting import format_share
from fae.runtime.proportions import Proportion

HEADS = ("image", *[f"{step / (STEPS - 1):g}" for step in range(STEPS)], "image")
"""Above the images of an interpolation: the share of the second code."""
BETWEEN = (
    "Two test images at the ends, and between them what the network makes of the codes on the "
    "straight line between theirs; 0 and 1 are the reconstructions of both."
)
NO_BETWEEN = "There are none: that takes two test images, and a network with a method decode."
DRAWN = "Images that the network makes of codes drawn from the standard normal distribution."
NO_DRAWN = (
    "There are none: nothing in this network's training says which codes are likely, so that there "
    "is no distribution to draw them from. A variational network (model=variational) has one."
)
ONE_UNIT = "beside the code, which is one number, stands the number of the class."
NO_PROBE = "There is no linear probe: the training images have no classes to be told."


def probes(found: Sequence[Exploration]) -> Columns:
    """The accuracies of the probes, one row per network that has one."""
    known = [(each.title, each.probe, each.inputs.labels) for each in found]
    rows = [(title, made, labels) for title, made, labels in known if made and labels]
    return {
        "network": [title for title, _, _ in rows],
        "codes": [_with_interval(made.codes) for _, made, _ in rows],
        "PCA": [_with_interval(made.pca) for _, made, _ in rows],
        "chance": [format_share(labels.chance.share) for _, _, labels in rows],
    }


def about_probes(found: Exploration) -> str:
    """How the table of probes is to be read."""
    labels = found.inputs.labels
    if labels is None:
        return NO_PROBE
    return (
        "Test images whose class a linear classifier tells: logistic regression on the codes, "
        f"fitted to {len(labels.train):,} training images, and on as many principal components of "
        "the images (PCA); both scaled as a whole, to a mean variance of 1. In brackets the 95 % "
        f"interval (Wilson) over the {len(labels.test):,} test images, for this one network; "
        "chance: always the class that is the most frequent one in training."
    )


def _with_interval(found: Proportion) -> str:
    """``78.1 % (77.3 to 78.9)``."""
    low, high = (100 * end for end in found.interval)
    return f"{format_share(found.share)} ({low:.1f} to {high:.1f})"


def accuracy(found: Exploration) -> str:
    """The accuracies of a network's probe in a sentence, or why there is none."""
    if not found.probe:
        return NO_PROBE
    cells = {name: cells[0] for name, cells in probes([found]).items()}
    return (
        f"By their codes a linear classifier tells the class of {cells['codes']} of the test "
        f"images, by as many principal components {cells['PCA']}; chance is {cells['chance']}."
    )


def about_space(found: Exploration) -> str:
    """What is drawn of a code space."""
    shown, every = len(found.inputs.shown), len(found.inputs.test)
    part = f"{shown:,} of {every:,} test images, drawn at random"
    which = part if shown < every else f"The {every:,} test images"
    return (
        f"{which}, by the first two principal components of their codes, in standard deviations of "
        "the first one. The components are those of the codes of all test images."
    )


def about_few_units(hidden: int) -> str:
    """What the code space of a network with one or two hidden units is; of others nothing."""
    remarks = {
        1: f"n = 1: {ONE_UNIT}",
        2: "n = 2: these are the codes themselves, turned.",
    }
    return remarks.get(hidden, "")


def variance(space: CodeSpace) -> str:
    """``31 % + 12 % of the variance``."""
    first, second = (format_share(share, ".0f") for share in space.explained)
    return f"{first} + {second} of the variance"
