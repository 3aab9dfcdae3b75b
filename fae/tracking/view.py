"""Saved views: what MLflow's page of an experiment shows of some runs, made from code.

A saved view is a tag of the experiment: the page's state as JSON, deflated. The format is private
to MLflow (3.15 and later; read in the bundled JavaScript of 3.17); ``tests/tracking/test_view.py``
opens the page in a browser. What of a state a page does not know, it ignores.
"""

import base64
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fae.runtime.digest import short_digest
from fae.tracking import ui

TAG = "mlflow.sharedViewState."
"""Precedes a view's key in the name of the experiment's tag."""
OURS = "fae-"
"""Precedes the key of a view that was made here."""
KEPT = 10
"""Views of ours that an experiment keeps; MLflow's page lets users save more up to 40 in all."""
CARD = {"deleted": False, "isGenerated": False}
ERRORS = {
    "type": "LINE",
    "scaleType": "log",
    "lineSmoothness": 0,
    "xAxisKey": "step",
    "useGlobalXaxisKey": False,
}
"""As they were measured: MLflow smooths curves if it is not told otherwise."""
PICTURE_HEIGHT = 540
"""Pixels of the card with reconstructions, enough for two rows of networks."""


@dataclass(frozen=True)
class View:
    """A view of some runs, lowest error first.

    Attributes:
        name: in the page's menu of views.
        shown: search condition that the runs fulfil.
        columns: of the list: ``params.KEY``, ``metrics.KEY`` or ``tags.KEY``.
        error: metric by which the runs are sorted.
        sections: charts by the headings of their sections.
    """

    name: str
    shown: str
    columns: Sequence[str]
    error: str
    sections: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def key(self) -> str:
        """Names the view in an address; the same for the same runs."""
        return OURS + short_digest(self.shown)[:12]

    def tag(self, now: int) -> str:
        """The value of the experiment's tag.

        Args:
            now: milliseconds since the epoch.
        """
        state = base64.b64encode(zlib.compress(json.dumps(self.state()).encode())).decode()
        about = {"name": self.name, "createdAt": now, "updatedAt": now}
        return json.dumps({**about, "state": f"deflate;{state}"})

    def state(self) -> dict[str, Any]:
        """The state of MLflow's page."""
        charts = [
            {**CARD, **chart, "uuid": f"{section}-{number}", "metricSectionId": section}
            for section, its in self.sections.items()
            for number, chart in enumerate(its)
        ]
        return {
            "searchFilter": self.shown,
            "orderByKey": _quoted("metrics", self.error),
            "orderByAsc": True,
            "selectedColumns": [_quoted(*column.split(".", 1)) for column in self.columns],
            "runsHiddenMode": "FIRST_20_RUNS",
            "compareRunSections": [_section(*section) for section in self.sections.items()],
            "compareRunCharts": charts,
            "isAccordionReordered": True,
        }

    def address(self, uri: str, experiment_id: str) -> str:
        """Where a store's page opens with the view, once its tag is set."""
        state = {"compareRunsMode": "CHART", "viewStateShareKey": self.key}
        return ui.page(uri, experiment_id, "runs", **state)

    def without_tag(self, uri: str, experiment_id: str) -> str:
        """Where a store's page lists the runs of the view."""
        state = self.state()
        listed = {key: state[key] for key in ("searchFilter", "orderByKey")}
        return ui.page(uri, experiment_id, "runs", **listed, orderByAsc="true")


def outdated(tags: Mapping[str, str]) -> list[str]:
    """Which tags of an experiment are views of ours that are not among the last few.

    Args:
        tags: all of the experiment's, which anyone may have written.
    """
    ours = {name: _updated(tag) for name, tag in tags.items() if name.startswith(TAG + OURS)}
    return sorted(ours, key=lambda name: ours[name], reverse=True)[KEPT:]


def _updated(tag: str) -> float:
    try:
        return float(json.loads(tag)["updatedAt"])
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return 0.0


def of_parent(run_id: str) -> str:
    """The condition for the runs nested in a run."""
    return f"tags.`mlflow.parentRunId` = '{run_id}'"


def of_runs(run_ids: Collection[str]) -> str:
    """The condition for these runs."""
    return f"attributes.run_id IN ({', '.join(repr(run_id) for run_id in run_ids)})"


def of_sweep(name: str, shown: str, varied: Sequence[str], epochs: int) -> View:
    """The view of a sweep: its errors, curves, and reconstructions side by side.

    Args:
        varied: parameters that differ from run to run.
        epochs: of the longest run, after which the pictures are shown first.
    """
    settings = dict.fromkeys(["hidden", "lr", "optimizer", *varied])
    metrics = "test/mse", "val/mse", "time/fit_s"
    columns = [*(f"params.{key}" for key in settings), *(f"metrics.{key}" for key in metrics)]
    sections = {
        "Error": [
            _curves("train/mse", "val/mse"),
            {"type": "BAR", "metricKey": "test/mse"},
        ],
        "Reconstructions": [_pictures(epochs)],
    }
    return View(name, shown, columns, "test/mse", sections)


def of_search(name: str, shown: str, searched: Mapping[str, bool]) -> View:
    """The view of a search: its trials' errors against the searched parameters.

    Without trials that diverged, beside which no others could be told apart: an error of 1 or more
    is worse than that of any picture.

    Args:
        searched: parameters, and whether their values are spread on a logarithmic scale. These have
            no chart of their own, as MLflow's has no such scale; the study's figures show them.
    """
    columns = [*(f"params.{key}" for key in searched), "metrics.val/mse"]
    every = {
        "type": "PARALLEL",
        "selectedParams": [*searched],
        "selectedMetrics": ["val/mse"],
        "showAllRuns": True,
    }
    linear = [key for key, logarithmic in searched.items() if not logarithmic]
    sections = {
        "Error by value": [*map(_scatter, linear), every],
        "Error by epoch": [_curves("val/mse")],
    }
    trials = f"{_quoted('tags', 'fae.kind')} = 'trial' AND {_quoted('metrics', 'val/mse')} < 1"
    return View(name, f"{shown} AND {trials}", [*columns, "tags.fae.pruned"], "val/mse", sections)


def _section(name: str, charts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    height = {"cardHeight": PICTURE_HEIGHT} if charts[0]["type"] == "IMAGE" else {}
    return {
        "uuid": name,
        "name": name,
        "display": True,
        "isReordered": True,
        "columns": min(len(charts), 3),
        **height,
    }


def _curves(*metrics: str) -> dict[str, Any]:
    return {**ERRORS, "metricKey": metrics[0], "selectedMetricKeys": [*metrics]}


def _scatter(parameter: str) -> dict[str, Any]:
    return {
        "type": "SCATTER",
        "xaxis": {"key": parameter, "type": "PARAM"},
        "yaxis": {"key": "val/mse", "type": "METRIC"},
        "runsCountToCompare": 100,
    }


def _pictures(step: int) -> dict[str, Any]:
    return {
        "type": "IMAGE",
        "imageKeys": ["reconstructions"],
        "step": step,
        "showRunParams": False,
    }


def _quoted(kind: str, key: str) -> str:
    return f"{kind}.`{key}`"
