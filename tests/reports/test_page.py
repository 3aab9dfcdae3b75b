"""The page: complete, escaped, and self-contained."""

import base64
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image
from records import gallery, pca, record, summary

from fae.drawing.chart import Chart, curves
from fae.drawing.pictures import grey
from fae.reports import charts, table
from fae.reports.catalogue import Content
from fae.reports.page import page
from fae.reports.summary import Summary
from fae.runtime.intervals import Estimate


@pytest.fixture
def paper() -> Summary:
    runs = [record(64, seed, error) for seed, error in enumerate([0.0413, 0.0414, 0.0415])]
    return summary(*runs, record(128, 0, 0.0331))


def made(found: Summary) -> str:
    errors = pca(record(64, 0, 0.04))
    drawn = [charts.errors_by_size(found, errors), charts.times_by_size(found)]
    return page_of(found, *drawn)


def page_of(found: Summary, *drawn: Chart) -> str:
    galleries = [gallery("n = 64", 0.5), gallery("n = 128", 0.25)]
    return page(Content(found, [], pca(record(64, 0, 0.04)), galleries), drawn)


class Elements(HTMLParser):
    """The addresses that a page loads, and its visible text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["script"]:
            self.text += data


def test_it_needs_nothing_else(paper: Summary) -> None:
    elements = Elements(made(paper))
    assert elements.addresses
    assert all(address.startswith("data:image/png;base64,") for address in elements.addresses)
    assert not {"link", "iframe"} & set(elements.tags)


def test_it_shows_the_table_the_answers_and_the_origin(paper: Summary) -> None:
    text = re.sub(r"\s+", " ", Elements(made(paper)).text)
    for cells in (*table.errors(paper).values(), *table.details(paper).values()):
        for cell in cells:
            assert cell in text
    for answer in paper.claims:
        assert answer.question in text
        assert answer.sentence[1:] in text
    for row in paper.rows:
        assert all(run.id in text for run in row.runs)
    assert "no difference can be told from seed noise" in text
    assert "x, 2 threads" in text
    assert "Excluded runs" not in text


def test_only_a_report_beside_published_results_speaks_of_a_paper(paper: Summary) -> None:
    assert "Fredriks, Micucci and Ochotorena: Red feed-forward" in Elements(made(paper)).text
    text = Elements(made(summary(record(64, 0, 0.04, data="synthetic")))).text
    assert "paper" not in text.lower()
    assert "publish" not in text.lower()


def test_it_names_the_excluded_runs(paper: Summary) -> None:
    run = {"id": "0123456789", "name": "a run", "status": "FAILED", "reason": "failed: nan"}
    text = re.sub(r"\s+", " ", Elements(made(replace(paper, excluded=[run], missing=3))).text)
    assert "a run (01234567, FAILED): failed: nan" in text
    assert "3 more planned, but not in the store" in text


def test_names_are_escaped(paper: Summary) -> None:
    evil = "</script><script>alert(1)</script><img src=x>"
    run = {"id": evil, "name": evil, "status": "FAILED", "reason": evil}
    rows = [replace(row, title=evil, others={evil: evil}) for row in paper.rows]
    harmless = Elements(made(paper)).tags
    odd = Elements(made(replace(paper, name=evil, rows=rows, excluded=[run])))
    assert odd.tags.count("script") == harmless.count("script")
    assert odd.tags.count("img") == harmless.count("img")
    assert "x" not in odd.addresses


def test_what_is_not_printable_is_escaped(paper: Summary) -> None:
    evil = "\x1b[2J\u202e"
    rows = [replace(row, title=evil, others={evil: 1}) for row in paper.rows]
    source = made(replace(paper, name=evil, rows=rows))
    assert not {"\x1b", "\u202e"} & set(source.partition("<script>")[0])
    names = [
        trace["name"] for plot in plots(source)["error_by_size"]["plots"] for trace in plot["data"]
    ]
    assert r"\x1b[2J\u202e=1" in names


def test_pictures_are_those_of_the_gallery(paper: Summary) -> None:
    shown = gallery("n = 64", 0.5)
    source = re.search(r'alt="Shirt, n = 64" src="data:image/png;base64,(.+?)"', made(paper))
    assert source
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source[1]))))
    np.testing.assert_array_equal(picture, grey(shown.panel.reconstructions[0]))


def plots(source: str) -> dict[str, Any]:
    found = re.search(r"const charts = (\[.*\]);", source)
    assert found
    return {chart["name"]: chart for chart in json.loads(found[1])}


def test_charts_have_the_values_and_a_common_range(paper: Summary) -> None:
    chart = plots(made(paper))["error_by_size"]
    ours = chart["plots"][0]["data"][0]
    assert ours["x"] == [64, 128]
    assert ours["y"] == [row.test.mean for row in paper.rows]
    assert ours["error_y"]["array"] == [paper.rows[0].test.half, 0]
    for scale, of in (("linear", float), ("log", math.log10)):
        low, high = chart["ranges"][scale]
        assert low == pytest.approx(of(0.95 * 0.1 * 0.5**128))
        assert high == pytest.approx(of(1.05 * 0.1))


def test_an_interval_that_reaches_below_zero_leaves_a_logarithmic_axis_upright(
    paper: Summary,
) -> None:
    """Its lower end has no place there."""
    wide = Estimate(mean=0.05, n=2, low=-0.1, high=0.2)
    rows = [replace(row, test=wide) for row in paper.rows]
    chart = plots(made(replace(paper, rows=rows)))["error_by_size"]
    assert chart["ranges"]["linear"] == pytest.approx([-0.105, 0.21])
    assert chart["ranges"]["log"][1] == pytest.approx(math.log10(0.21))
    assert chart["ranges"]["log"][0] < chart["ranges"]["log"][1]


def test_curves_can_be_switched_to_a_logarithmic_scale(paper: Summary) -> None:
    epochs = [[{"train/mse": 0.3, "val/mse": 0.4}], [{"train/mse": 0.1, "val/mse": 0.2}]]
    source = page_of(paper, curves({"n = 64": epochs}))
    assert "switchScale(this, 'curves')" in source
    band, mean = plots(source)["curves"]["plots"][0]["data"][:2]
    assert (band["fill"], band["y"]) == ("toself", [0.3, 0.1])
    assert mean["y"] == pytest.approx([0.2])
