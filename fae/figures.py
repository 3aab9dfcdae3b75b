"""The paper's figures: numbers and images in, a matplotlib Figure or an array out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Floats = NDArray[np.float32]


_CURVES: list[tuple[str, str, dict[str, Any]]] = [
    ("train/mse", "training", {"color": "tab:blue", "linewidth": 4, "alpha": 0.45}),
    ("val/mse", "validation", {"color": "black", "linewidth": 1}),
]
"""Validation is drawn thin over training: the two are almost identical."""


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Error against epoch, a panel a network, as in the paper's Figure 1.

    Args:
        histories: title of a panel to its epochs, each with ``train/mse`` and ``val/mse``.
    """
    columns = min(len(histories), 4)
    rows = math.ceil(len(histories) / columns)
    figure = Figure(figsize=(1.2 + 3.2 * columns, 0.6 + 2.8 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for panel, (title, epochs) in zip(panels, histories.items(), strict=False):
        steps = range(1, len(epochs) + 1)
        marker = "." if len(epochs) == 1 else ""
        for metric, label, style in _CURVES:
            panel.plot(steps, [e[metric] for e in epochs], marker=marker, label=label, **style)
        panel.set_title(title, fontsize=10)
        panel.grid(alpha=0.3)
        panel.xaxis.get_major_locator().set_params(integer=True)
    for empty in panels[len(histories) :]:
        empty.set_axis_off()
    panels[0].legend(frameon=False)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("mean squared error", fontsize=10)
    return figure


def reconstructions(
    originals: Floats, networks: Mapping[str, tuple[Floats, Floats]], classes: Sequence[str]
) -> Figure:
    """The same images through several networks, as in the paper's Figure 2.

    Args:
        originals: (images, pixels) in [0, 1], a row each.
        networks: title of a column to its reconstructions (images, pixels) and the mean
            squared error of each, (images,).
        classes: (images,), what each image shows.
    """
    columns = 1 + len(networks)
    figure = Figure(figsize=(0.9 + 1.05 * columns, 0.4 + 1.25 * len(originals)))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
    panels = figure.subplots(len(originals), columns, squeeze=False)
    panels[0, 0].set_title("original", fontsize=9)
    for row, (image, label) in enumerate(zip(originals, classes, strict=True)):
        _show(panels[row, 0], image)
        panels[row, 0].set_ylabel(label, fontsize=8)
    for column, (title, (images, errors)) in enumerate(networks.items(), start=1):
        panels[0, column].set_title(title, fontsize=9)
        for panel, image, error in zip(panels[:, column], images, errors, strict=True):
            _show(panel, image)
            panel.set_xlabel(f"{error:.4f}", fontsize=8, labelpad=2)
    return figure


def pairs(originals: Floats, reconstructed: Floats) -> NDArray[np.uint8]:
    """Images above their reconstructions as one picture, five a row, three times enlarged.

    Nearly square, since the MLflow UI shows it no wider than 256 pixels.

    Args:
        originals, reconstructed: (images, pixels); what leaves [0, 1] is clipped.
    """
    rows = []
    for start in range(0, len(originals), 5):
        for part in (originals, reconstructed):
            row = [_square(image) for image in part[start : start + 5]]
            rows.append(np.hstack(row + [np.zeros_like(row[0])] * (5 - len(row))))
    picture = np.clip(np.vstack(rows), 0, 1).repeat(3, axis=0).repeat(3, axis=1)
    return np.asarray((picture * 255).round(), dtype=np.uint8)


def _show(panel: Axes, image: Floats) -> None:
    panel.imshow(_square(image), cmap="gray", vmin=0, vmax=1)
    panel.set_xticks([])
    panel.set_yticks([])


def _square(image: Floats) -> Floats:
    side = math.isqrt(len(image))
    return image.reshape(side, side)
