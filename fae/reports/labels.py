"""Short labels of settings in figures: by as few of their values as tell them apart."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from fae.reports.rows import Row
from fae.reports.settings import Setting

FIRST = ("optimizer.name", "model.name", "lr", "dropout")
"""Keys by which people tell settings apart, if these suffice."""
MOST = 3
"""Values in a label; where more are needed, it has all."""


def others(settings: Sequence[Setting] | Sequence[Row]) -> dict[str, str]:
    """The values that tell settings with the same n apart, such as ``optimizer=adam``, by title."""
    keys = list(dict.fromkeys(key for setting in settings for key in setting.others))
    keys.sort(key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))
    chosen = (some for count in range(MOST + 1) for some in combinations(keys, count))
    for telling in (*chosen, tuple(keys)):
        found = {s.title: _described(s.others, telling) for s in settings}
        if len({(s.hidden, found[s.title]) for s in settings}) == len(settings):
            return found
    raise AssertionError("two settings have the same title")


def labels(settings: Sequence[Setting] | Sequence[Row]) -> dict[str, str]:
    """``n = 64 optimizer=adam``, by title."""
    found = others(settings)
    return {s.title: f"n = {s.hidden} {found[s.title]}".strip() for s in settings}


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of different n that have the same values otherwise, by these values."""
    groups: dict[str, list[Row]] = {}
    found = others(rows)
    for row in rows:
        groups.setdefault(found[row.title], []).append(row)
    return groups


def _described(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    shown = {key.removesuffix(".name"): values[key] for key in keys if key in values}
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in shown.items()
    )
