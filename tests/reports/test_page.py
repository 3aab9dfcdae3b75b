"""The page: complete, escaped, and self-contained."""

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import NEEDS_BROWSER, in_browser
from inner import Known, inputs, run_of
from PIL import Image
from records import gallery, pca, record, summary

from fae.analysis.decoding import Interpolation
from fae.analysis.exploration import explore
from fae.drawing import figures
from fae.drawing.chart import Chart, curves
from fae.drawing.pictures import Example, Panel, picture, tiles
from fae.reports import charts, table
from fae.reports.catalogue import CHARTS, Content
from fae.reports.description import Assumption
from fae.reports.page import page
from fae.reports.selection import Excluded
from fae.reports.settings import group
from fae.reports.summary import Summary

AXE = Path(__file__).with_name("axe.cjs")


@pytest.fixture
def paper() -> Summary:
    runs = [record(64, seed, error) for seed, error in enumerate([0.0413, 0.0414, 0.0415])]
    return summary(*runs, record(128, 0, 0.0331))


def made(found: Summary) -> str:
    errors = pca(record(64, 0, 0.04))
    drawn = [charts.errors_by_size(found, errors), charts.times_by_size(found)]
    return page_of(found, *drawn)


def page_of(found: Summary, *drawn: Chart, addresses: Mapping[str, str] | None = None) -> str:
    galleries = [gallery("n = 64", 0.5), gallery("n = 128", 0.25)]
    svgs = {chart.name: figures.as_svg(figures.draw(chart)) for chart in drawn}
    content = Content(found, [], pca(record(64, 0, 0.04)), galleries, addresses=addresses or {})
    return page(content, drawn, svgs)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its visible text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(source)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, {name: value or "" for name, value in attrs}))
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.all]

    def values(self, name: str, tag: str | None = None) -> list[str]:
        """Of an attribute, wherever there is one."""
        return [a[name] for of, a in self.all if name in a and tag in (None, of)]


def test_it_needs_nothing_else(paper: Summary) -> None:
    elements = Elements(made(paper))
    pictures = elements.values("src")
    assert pictures
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", address) for address in pictures)
    assert all(address.startswith("#") for address in elements.values("href"))
    assert not {"link", "iframe", "script", "button"} & set(elements.tags)
    assert "url(" not in made(paper)


def test_it_begins_with_the_conclusion(paper: Summary) -> None:
    source = made(paper)
    assert f"<h1>{paper.title}</h1>" in source
    text = Elements(source).text
    assert text.index(paper.title) < text.index(paper.conclusion.split(";")[0])
    assert text.index(paper.conclusion.split(";")[0]) < text.index("Results")


def test_it_says_what_was_trained(paper: Summary) -> None:
    text = Elements(made(paper)).text
    assert "4 networks were trained, with 2 settings, and compared" in text
    for facts in (paper.training, paper.origin):
        for what, values in facts.items():
            assert f"{what} {'varies: ' * (len(values) > 1)}{'; '.join(values)}" in text
    for assumption in paper.assumptions:
        assert f"{assumption.what} {' '.join(assumption.choices)} {assumption.reason}" in text


def test_of_many_values_the_first_and_the_last_are_shown(paper: Summary) -> None:
    many = replace(paper, training={"seeds": [str(seed) for seed in range(20)]})
    assert "seeds varies: 0; 1; …; 19" in Elements(made(many)).text


def test_each_heading_is_in_the_contents(paper: Summary) -> None:
    elements = Elements(made(replace(paper, missing=1)))
    headings = [a["id"] for tag, a in elements.all if tag == "h2"]
    assert [address.removeprefix("#") for address in elements.values("href")] == headings
    assert elements.values("aria-labelledby", "section") == headings
    assert [elements.tags.count(tag) for tag in ("header", "nav", "main", "h1")] == [1] * 4


def test_tables_have_captions_and_each_heading_its_scope(paper: Summary) -> None:
    source = made(paper)
    tables = re.findall(r"<table.*?</table>", source, re.DOTALL)
    assert len(tables) == 6
    for found in tables:
        assert re.search(r"<caption>.+</caption>", found)
        assert set(re.findall(r"<th\b(.*?)>", found)) == {' scope="col"', ' scope="row"'}
        for row in re.findall(r"<tr>(.*?)</tr>", found.partition("<tbody>")[2], re.DOTALL):
            assert row.startswith('<th scope="row">')


def test_the_verdict_is_the_second_column(paper: Summary) -> None:
    assert re.search(r'<tr><th scope="row">n = 64</th><td class="verdict \w', made(paper))


def test_pictures_are_told_apart_by_their_alternative_texts(paper: Summary) -> None:
    elements = Elements(made(paper))
    texts = elements.values("alt", "img")
    assert len(texts) == elements.tags.count("img") == len(set(texts))
    assert "Bag, reconstructed by n = 128" in texts
    assert "Difference: worst test image of n = 64, Bag" in texts


def test_a_chart_is_told_in_words(paper: Summary) -> None:
    (text,) = (alt for alt in Elements(made(paper)).values("alt") if alt.startswith("Test error"))
    assert text.startswith("Test error against n: test error against hidden units n. ")
    assert "paper 0.0414 at 64 to 0.0328 at 128" in text


def test_several_plots_are_told_one_by_one(paper: Summary) -> None:
    epochs = [[{"train/mse": 0.3, "val/mse": 0.4}, {"train/mse": 0.1, "val/mse": 0.2}]]
    drawn = curves({"n = 1": epochs, "n = 2": epochs})
    (text,) = (alt for alt in Elements(page_of(paper, drawn)).values("alt") if "epoch" in alt)
    first, last = drawn.plots[0].title, drawn.plots[1].title
    course = "training 0.3 at 1 to 0.1 at 2, validation 0.4 at 1 to 0.2 at 2"
    assert text.endswith(f"against epoch. {first}: {course}. {last}: {course}.")


def test_the_papers_report_is_small_enough_to_be_mailed() -> None:
    """Four settings of five seeds and 30 epochs, with pictures and weights of pure noise."""
    noise = np.random.default_rng(0)
    curve = [(0.1 / epoch, 0.11 / epoch) for epoch in range(1, 31)]
    runs = [record(n, s, 0.04, curve=curve) for n in (64, 128, 256, 512) for s in range(5)]
    found, settings, errors = summary(*runs), group(runs), pca(None)
    images = noise.random((10, 784), np.float32)
    panel = Panel(images, images, images.mean(1), list("0123456789"))
    weights = noise.normal(size=(64, 784)).astype(np.float32)
    example = Example("best", "Bag", images[0], images[1], 0.1)
    galleries = [
        replace(gallery(setting.title, 1), panel=panel, extremes=[example] * 3, weights=weights)
        for setting in settings
    ]
    explored = explore(run_of(Known(2)), "n = 64", inputs(count=2000))
    positions = noise.normal(size=(2000, 2))
    explored = replace(
        explored,
        space=replace(explored.space, positions=positions),
        interpolations=[Interpolation(images[:2], ("Bag", "Shirt"), images[:9])] * 5,
        samples=np.vstack([images, images]),
    )
    linear = {64: images, 512: images}
    content = Content(found, settings, errors, galleries, linear, explorations=[explored] * 4)
    drawn = [drawing for chart in CHARTS if (drawing := chart(content))]
    svgs = {chart.name: figures.as_svg(figures.draw(chart)) for chart in drawn}
    assert 300_000 < len(page(content, drawn, svgs).encode()) < 1_500_000


def test_what_is_inside_the_best_network_is_shown_and_the_probes_of_all(paper: Summary) -> None:
    found = [explore(run_of(Known(n), n), f"n = {n}", inputs()) for n in (1, 2)]
    vars(found[1].run)["epochs"] = [{"train/mse": 0.01, "val/mse": 0.01}]
    found[1] = replace(found[1], samples=np.zeros((20, 4), np.float32))
    galleries = [gallery("n = 1", 0.5)]
    content = Content(paper, [], pca(None), galleries, explorations=found)
    drawn = charts.code_spaces(found)
    source = page(content, [drawn], {drawn.name: figures.as_svg(figures.draw(drawn))})
    elements = Elements(source)
    headings = [a["id"] for tag, a in elements.all if tag == "h2"]
    assert [address.removeprefix("#") for address in elements.values("href")] == headings
    assert {"code_spaces", "probe", "between", "drawn"} <= {*headings}
    assert "n = 1 100.0 % (75.8 to 100.0)" in elements.text
    assert "The network is n = 2, which has the lowest validation error." in elements.text
    texts = elements.values("alt", "img")
    assert len(texts) == len(set(texts))
    (alt,) = (text for text in texts if text.startswith("Code space"))
    (x, y) = found[0].space.positions[::2].mean(0)
    assert f"<b>dark</b> around {x:.2g}, {y:.2g}" in alt
    without = page(replace(content, explorations=[found[0]]), [], {})
    assert 'id="drawn"' not in without


def test_runs_are_linked_where_a_server_has_their_pages(paper: Summary) -> None:
    run = paper.rows[0].runs[0].id
    source = page_of(paper, addresses={run: "http://server/#/runs/1"})
    assert f'<a href="http://server/#/runs/1"><code>{run}</code></a>' in source
    assert source.count("http://") == 1
    assert f"<td><code>{run}</code></td>" in made(paper)


def test_errors_of_all_runs_have_as_many_decimals() -> None:
    source = made(summary(record(64, 0, 0.0410), record(128, 0, 0.00332)))
    assert "<td>0.04100</td>" in source
    assert "<td>0.00332</td>" in source


def test_it_shows_the_table_the_answers_and_the_origin(paper: Summary) -> None:
    text = Elements(made(paper)).text
    for cells in (*table.errors(paper).values(), *table.details(paper).values()):
        for cell in cells:
            assert cell in text
    for answer in paper.claims:
        assert answer.question in text
        assert answer.sentence[1:] in text
    for row in paper.rows:
        assert all(run.id in text for run in row.runs)
    assert "no difference can be told from seed noise" in text
    assert "Excluded runs" not in text


def test_only_a_report_beside_published_results_speaks_of_a_paper(paper: Summary) -> None:
    assert "Fredriks, Micucci and Ochotorena: Red feed-forward" in Elements(made(paper)).text
    text = Elements(made(summary(record(64, 0, 0.04, data="synthetic")))).text
    assert "paper" not in text.lower()
    assert "publish" not in text.lower()


def test_it_names_the_excluded_runs(paper: Summary) -> None:
    run = Excluded("0123456789", "a run", "FAILED", "failed: nan")
    text = Elements(made(replace(paper, excluded=[run], missing=3))).text
    assert "a run (01234567, FAILED): failed: nan" in text
    assert "3 more planned, but not in the store" in text


def test_names_are_escaped(paper: Summary) -> None:
    evil = "</script><script>alert(1)</script><img src=x>\"'"
    run = Excluded(evil, evil, "FAILED", evil)
    rows = [
        replace(row, title=evil, others={evil: evil}, runs=[replace(row.runs[0], id=evil)])
        for row in paper.rows
    ]
    facts = {evil: [evil, evil]}
    odd = replace(
        paper,
        name=evil,
        title=evil,
        conclusion=evil,
        training=facts,
        origin=facts,
        assumptions=[Assumption(evil, [evil], evil)],
        papers={evil: evil},
        rows=rows,
        excluded=[run],
    )
    harmless, elements = Elements(made(paper)), Elements(made(odd))
    assert "script" not in elements.tags
    assert elements.tags.count("img") == harmless.tags.count("img")
    assert "x" not in elements.values("src")


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

    def decoded(alt: str) -> Image.Image:
        found = re.search(rf'alt="{alt}" src="data:image/png;base64,(.+?)"', source)
        assert found
        return Image.open(io.BytesIO(base64.b64decode(found[1])))

    np.testing.assert_array_equal(
        decoded("Shirt, reconstructed by n = 64"), picture(shown.panel.reconstructions[0])
    )
    units = decoded("Weights of the hidden units of n = 64, one tile per unit").convert("RGB")
    np.testing.assert_array_equal(units, tiles(shown.weights))


def svgs(source: str) -> dict[str, str]:
    """The drawn charts, by their alternative texts."""
    found = re.findall(r'alt="([^"]+)" src="data:image/svg\+xml;base64,(.+?)"', source)
    return {alt: base64.b64decode(content).decode() for alt, content in found}


def test_charts_are_those_of_the_files_with_heading_and_caption(paper: Summary) -> None:
    drawn = charts.times_by_size(paper)
    source = made(paper)
    assert figures.as_svg(figures.draw(drawn)) in svgs(source).values()
    assert f'<h2 id="{drawn.name}">{drawn.heading}</h2>' in source
    assert f"<figcaption>{drawn.caption}</figcaption>" in source


@pytest.mark.slow
@NEEDS_BROWSER
def test_axe_finds_nothing_on_any_screen(paper: Summary, tmp_path: Path) -> None:
    """In light and dark, on a wide screen and on a phone, where the verdict is in sight."""
    file = tmp_path / "report.html"
    file.write_text(made(paper))
    found = in_browser(AXE, file)
    assert [screen["violations"] for screen in found.values()] == [[]] * 4
    assert [screen["width"] for screen in found.values()] == [1280, 390] * 2
    assert all(screen["verdict"] <= 390 for name, screen in found.items() if "390" in name)
    assert found["light 390"]["background"] != found["dark 390"]["background"]
