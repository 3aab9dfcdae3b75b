"""The page: complete, escaped, and in need of nothing else."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image
from records import pca, record, summary
from test_figures import gallery

from fae.drawing import chart as charts
from fae.drawing.pictures import grey
from fae.reports import table
from fae.reports.page import page
from fae.reports.summary import Summary


@pytest.fixture
def paper() -> Summary:
    runs = [record(64, seed, error) for seed, error in enumerate([0.0413, 0.0414, 0.0415])]
    return summary(*runs, record(128, 0, 0.0331))


def made(found: Summary) -> str:
    drawn = [charts.errors_by_size(found, pca(record(64, 0, 0.04))), charts.times_by_size(found)]
    return page(found, drawn, [gallery("n = 64", 0.5), gallery("n = 128", 0.25)])


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
    assert "Runs that are not counted" not in text


def test_it_names_the_runs_that_do_not_count(paper: Summary) -> None:
    apart = {"id": "0123456789", "name": "a run", "status": "FAILED", "reason": "failed: nan"}
    text = re.sub(r"\s+", " ", Elements(made(replace(paper, apart=[apart], missing=3))).text)
    assert "a run (01234567, FAILED): failed: nan" in text
    assert "3 more that were planned and are not in the store" in text


def test_names_are_escaped(paper: Summary) -> None:
    evil = "</script><script>alert(1)</script><img src=x>"
    apart = {"id": evil, "name": evil, "status": "FAILED", "reason": evil}
    rows = [replace(row, title=evil, others=evil) for row in paper.rows]
    harmless = Elements(made(paper)).tags
    odd = Elements(made(replace(paper, name=evil, rows=rows, apart=[apart])))
    assert odd.tags.count("script") == harmless.count("script")
    assert odd.tags.count("img") == harmless.count("img")
    assert "x" not in odd.addresses


def test_what_is_not_printable_is_escaped(paper: Summary) -> None:
    evil = "\x1b[2J\u202e"
    rows = [replace(row, title=evil, others=evil) for row in paper.rows]
    source = made(replace(paper, name=evil, rows=rows))
    assert not {"\x1b", "\u202e"} & set(source.partition("<script>")[0])
    names = [
        trace["name"] for plot in plots(source)["error_by_size"]["plots"] for trace in plot["data"]
    ]
    assert r"\x1b[2J\u202e" in names


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
    low, high = chart["range"]
    assert low == pytest.approx(0.95 * 0.1 * 0.5**128)
    assert high == pytest.approx(1.05 * 0.1)


def test_curves_can_be_switched_to_a_logarithmic_scale(paper: Summary) -> None:
    epochs = [[{"train/mse": 0.3, "val/mse": 0.4}], [{"train/mse": 0.1, "val/mse": 0.2}]]
    source = page(paper, [charts.curves({"n = 64": epochs})], [gallery("n = 64", 1)])
    assert "switchScale(this, 'curves')" in source
    band, mean = plots(source)["curves"]["plots"][0]["data"][:2]
    assert (band["fill"], band["y"]) == ("toself", [0.3, 0.1])
    assert mean["y"] == pytest.approx([0.2])
