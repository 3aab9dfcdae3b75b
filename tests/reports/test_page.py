"""The page: complete, escaped, and self-contained."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from records import gallery, pca, record, summary

from fae.drawing import figures
from fae.drawing.chart import Chart
from fae.drawing.pictures import grey, tiles
from fae.reports import charts, table
from fae.reports.catalogue import Content
from fae.reports.page import page
from fae.reports.selection import Excluded
from fae.reports.summary import Summary


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
    svgs = {chart.name: figures.as_svg(figures.draw(chart)) for chart in drawn}
    return page(Content(found, [], pca(record(64, 0, 0.04)), galleries), drawn, svgs)


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
        self.text += data


def test_it_needs_nothing_else(paper: Summary) -> None:
    elements = Elements(made(paper))
    assert elements.addresses
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", a) for a in elements.addresses)
    assert not {"link", "iframe", "script", "button"} & set(elements.tags)


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
    run = Excluded("0123456789", "a run", "FAILED", "failed: nan")
    text = re.sub(r"\s+", " ", Elements(made(replace(paper, excluded=[run], missing=3))).text)
    assert "a run (01234567, FAILED): failed: nan" in text
    assert "3 more planned, but not in the store" in text


def test_names_are_escaped(paper: Summary) -> None:
    evil = "</script><script>alert(1)</script><img src=x>"
    run = Excluded(evil, evil, "FAILED", evil)
    rows = [replace(row, title=evil, others={evil: evil}) for row in paper.rows]
    harmless = Elements(made(paper)).tags
    odd = Elements(made(replace(paper, name=evil, rows=rows, excluded=[run])))
    assert "script" not in odd.tags
    assert odd.tags.count("img") == harmless.count("img")
    assert "x" not in odd.addresses


def test_what_is_not_printable_is_escaped(paper: Summary) -> None:
    evil = "\x1b[2J\u202e"
    rows = [replace(row, title=evil, others={evil: 1}) for row in paper.rows]
    source = made(replace(paper, name=evil, rows=rows))
    assert not {"\x1b", "\u202e"} & set(source)
    assert r"\x1b[2J\u202e" in source
    assert not {"\x1b", "\u202e"} & set("".join(svgs(source).values()))


def test_pictures_are_those_of_the_gallery(paper: Summary) -> None:
    shown = gallery("n = 64", 0.5)
    source = made(paper)

    def picture(alt: str) -> Image.Image:
        found = re.search(rf'alt="{alt}" src="data:image/png;base64,(.+?)"', source)
        assert found
        return Image.open(io.BytesIO(base64.b64decode(found[1])))

    np.testing.assert_array_equal(picture("Shirt, n = 64"), grey(shown.panel.reconstructions[0]))
    units = picture("weights of the hidden units, n = 64").convert("RGB")
    np.testing.assert_array_equal(units, tiles(shown.weights))


def svgs(source: str) -> dict[str, str]:
    """The drawn charts, by their alternative texts."""
    found = re.findall(r'alt="([^"]+)" src="data:image/svg\+xml;base64,(.+?)"', source)
    return {alt: base64.b64decode(content).decode() for alt, content in found}


def test_charts_are_those_of_the_files_with_heading_and_caption(paper: Summary) -> None:
    drawn = charts.times_by_size(paper)
    source = made(paper)
    assert svgs(source)[drawn.heading] == figures.as_svg(figures.draw(drawn))
    assert f"<h2>{drawn.heading}</h2>" in source
    assert drawn.caption in source
