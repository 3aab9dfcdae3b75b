"""What was found inside a network as one self-contained HTML page: no network, no other file.

``explore.html`` has the headings and the layout, and ``explore.js`` shows the image of a point.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from fae.analysis import inside
from fae.analysis.code_plot import CodePlot, plotted
from fae.analysis.exploration import Exploration
from fae.analysis.named import described
from fae.analysis.sprite import sprite
from fae.drawing import html, looks
from fae.drawing.tables import Columns
from fae.runtime.formatting import format_error, format_share

TEMPLATE = Path(__file__).with_name("explore.html")
SCRIPT = Path(__file__).with_name("explore.js")


def page(found: Exploration) -> str:
    """The whole page as HTML; every text in it is escaped, and printable."""
    script = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    colours = looks.of_classes(found.groups)
    inputs, probe = found.inputs, found.probe
    return html.template(TEMPLATE, {}).render(
        name=described(found.run),
        script=Markup(script),  # the project's own, and of this hash
        script_hash=f"sha256-{digest}",
        conclusion=_conclusion(found),
        in_words=_in_words(found),
        about_space=inside.about_space(found),
        variance=_variance(found),
        axes=_axes(found),
        plot=(plot := _plot(found)),
        points=_points(found, plot.points),
        keys=[{"name": name, "colour": look.colour} for name, look in colours.items()],
        places=_places(found),
        sprite=sprite(inputs.test.pixels[inputs.shown].numpy()),
        about_probe=inside.about_probes(found),
        probes=inside.probes([found]) if probe else None,
        about_between=inside.BETWEEN if found.interpolations else inside.NO_BETWEEN,
        interpolations=found.interpolations,
        heads=inside.HEADS,
        about_samples=inside.DRAWN if len(found.samples) else inside.NO_DRAWN,
        samples=found.samples,
        about=_about(found),
    )


def _conclusion(found: Exploration) -> str:
    share = format_share(sum(found.space.explained), ".0f")
    of_two = f"Along two directions lie {share} of the variance of its codes. "
    return f"{of_two if found.run.config.hidden > 2 else ''}{inside.accuracy(found)}"


def _plot(found: Exploration) -> CodePlot:
    """The code space; the number of the class, which stands beside a single unit, has no scale."""
    made = plotted(found.space.positions)
    return replace(made, up=[]) if found.run.config.hidden == 1 else made


def _variance(found: Exploration) -> str:
    constant = found.space.constant
    of = f"{constant} of {found.run.config.hidden} units"
    units = f"; {of} are the same for all test images" if constant else ""
    along = (
        f"Along the axes: {inside.variance(found.space)} of the codes of all test images{units}."
    )
    return f"{along} {inside.about_few_units(found.run.config.hidden)}".strip()


def _axes(found: Exploration) -> tuple[str, str]:
    if found.run.config.hidden == 1:
        return "the code", "number of the class"
    return "first component", "second component"


def _points(found: Exploration, places: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Of each image that is shown: its place, the number of its class's colour, and its own."""
    masks = np.stack(list(found.groups.values()))
    groups = masks.argmax(axis=0).tolist()
    return [
        {"x": x, "y": y, "group": group, "image": image}
        for (x, y), group, image in zip(places, groups, found.inputs.shown.tolist(), strict=True)
    ]


def _in_words(found: Exploration) -> str:
    return (
        f"{len(found.inputs.shown)} test images by two principal components of their codes, "
        f"coloured by {len(found.groups)} classes; where these are is in the table below"
    )


def _places(found: Exploration) -> Columns:
    """The mean place of each class."""
    means = {name: found.space.positions[which].mean(0) for name, which in found.groups.items()}
    return {
        "class": list(means),
        "images": [str(int(which.sum())) for which in found.groups.values()],
        "first": [f"{x:.2f}" for x, _ in means.values()],
        "second": [f"{y:.2f}" for _, y in means.values()],
    }


def _about(found: Exploration) -> dict[str, list[str]]:
    run = found.run
    return {
        "network": [f"{run.config.model.name}, n = {run.config.hidden}, seed {run.seed}"],
        "images": [run.config.data.title],
        "test error": [format_error(run.test_mse)],
        "run": [run.id],
        "commit": [run.tags.get("fae.commit", "unknown")],
    }
