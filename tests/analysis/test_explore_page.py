"""The page on a network: complete, escaped, self-contained, and its image is the one pointed at."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import NEEDS_BROWSER, in_browser
from inner import Known, inputs, run_of
from PIL import Image

from fae.analysis import inside
from fae.analysis.code_plot import ABOVE, LEFT, WIDTH, plotted
from fae.analysis.exploration import Exploration, explore
from fae.analysis.explore_folder import PAGE, write
from fae.analysis.explore_page import page
from fae.analysis.sprite import LARGEST, sprite
from fae.drawing.looks import CLASSES as COLOURS

HERE = Path(__file__).parent
AXE = HERE.parent / "reports" / "axe.cjs"


def found(hidden: int = 2, **changes: object) -> Exploration:
    made = explore(run_of(Known(hidden), hidden), f"n = {hidden}", inputs())
    return replace(made, **changes)  # type: ignore[arg-type]


def test_it_needs_nothing_else_and_runs_its_own_script_only() -> None:
    source = page(found())
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rest = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f"content=\"{rest}; script-src 'sha256-{digest}'\"" in source
    addresses = re.findall(r'(?:src|href)="(.*?)"|url\((.*?)\)', source)
    assert all(re.match("#|data:image/(png|jpeg);base64,", "".join(a)) for a in addresses)
    assert "http" not in source.replace("http-equiv", "")


def test_each_image_is_a_point_with_the_colour_of_its_class() -> None:
    source = page(found())
    assert source.count('r="5"') == 12
    points = re.findall(
        r'<circle class="c(\d)" cx="([\d.]+)" cy="([\d.]+)" r="5" data-image="(\d+)"/>', source
    )
    assert [int(image) for *_, image in points] == [*range(12)]
    assert [int(group) for group, *_ in points] == [0, 1] * 6
    assert f".c0 {{ --colour: {COLOURS[0]}; }}" in source
    assert all(LEFT < float(x) < WIDTH and float(y) > ABOVE for _, x, y, _ in points)


def test_it_says_what_was_found() -> None:
    text = re.sub(r"<.*?>", " ", page(found()))
    for said in (
        "tells the class of 100.0\N{NO-BREAK SPACE}% (75.8 to 100.0) of the test images",
        "chance is 50.0\N{NO-BREAK SPACE}%",
        "n = 2: these are the codes themselves, turned.",
        "The 12 test images, by the first two principal components",
        inside.NO_DRAWN.replace("'", "&#39;"),
    ):
        assert said in text


def test_how_much_of_the_variance_is_seen_is_said_of_more_than_two_units() -> None:
    said = "Along two directions lie 100\N{NO-BREAK SPACE}% of the variance of its codes."
    assert said in page(found(3))
    assert said not in page(found(2))


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    made = explore(run_of(Known(1), 1), "n = 1", inputs(("image",)))
    text = page(replace(made, interpolations=[]))
    assert inside.NO_PROBE in text
    assert inside.NO_BETWEEN in text
    assert inside.ONE_UNIT in text
    assert "Accuracy of a linear" not in text


def test_dead_units_are_counted() -> None:
    made = found()
    assert "the same for all test images" not in page(made)
    dead = page(replace(made, space=replace(made.space, constant=1)))
    assert "1 of 2 units are the same for all test images" in dead


def test_samples_are_shown_where_there_are_any() -> None:
    source = page(found(samples=np.zeros((3, 4), np.float32)))
    assert inside.DRAWN in source
    assert source.count("of a code that was drawn") == 3


def test_names_are_escaped() -> None:
    evil = "</script><script>alert(1)</script>\x1b\u202e\"'"
    made = explore(run_of(Known(2)), "n", inputs((evil, "bright")))
    vars(made.run)["name"] = evil
    source = page(made)
    assert source.count("<script>") == 1
    assert not {"\x1b", "\u202e"} & {*source}
    assert "&lt;/script&gt;" in source


def test_places_have_one_scale_and_their_marks() -> None:
    made = plotted(np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.5]]))
    (x0, y0), (x1, y1), (_, top) = made.points
    assert y0 == y1
    assert y0 - top == pytest.approx((x1 - x0) / 4, abs=0.2)
    labels = {tick.label: tick.place for tick in made.across}
    assert labels["0"] == pytest.approx((x0 + x1) / 2, abs=0.1)
    assert labels["\N{MINUS SIGN}1"] == x0
    assert {"0", "0.2", "0.4"} <= {tick.label for tick in made.up}


@pytest.mark.parametrize("positions", [np.zeros((1, 2)), np.array([[0.0, -3.0], [0.0, 3.0]])])
def test_points_without_a_range_have_a_place_as_well(positions: np.ndarray) -> None:
    made = plotted(positions)
    assert all(LEFT <= x <= WIDTH and ABOVE <= y <= made.bottom for x, y in made.points)


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_sprite_has_the_images_row_by_row(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 16), np.uint8)
    made = sprite(images)
    whole = np.asarray(decoded(made.address))
    assert whole.shape == (4 * made.down, 4 * made.across)
    for i, image in enumerate(images):
        top, left = 4 * (i // made.across), 4 * (i % made.across)
        np.testing.assert_array_equal(whole[top : top + 4, left : left + 4], image.reshape(4, 4))


@pytest.mark.parametrize("side", [8, 32, 50])
def test_images_in_colour_have_one_size_and_leave_no_trace_in_the_next(side: int) -> None:
    """A red one beside a blue one beside a white one."""
    colours = np.array([[255, 0, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    made = sprite(np.repeat(colours, side * side, axis=1))
    whole = np.asarray(decoded(made.address).convert("RGB")).astype(int)
    assert whole.shape == (2 * LARGEST, 2 * LARGEST, 3)
    assert np.abs(whole[:LARGEST, :LARGEST] - colours[0]).max() <= 3
    assert np.abs(whole[:LARGEST, LARGEST:] - colours[1]).max() <= 3
    assert np.abs(whole[LARGEST:, :LARGEST] - colours[2]).max() <= 3


def test_large_images_are_shrunk() -> None:
    assert decoded(sprite(np.zeros((5, 100 * 100), np.uint8)).address).size == (96, 64)


def test_the_folder_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write(tmp_path / "a" / "inside", found())
    assert place == tmp_path / "a" / "inside" / PAGE
    assert place.read_text() == page(found())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["inside"]

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "b", found())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.slow
@NEEDS_BROWSER
def test_mouse_touch_and_keyboard_lead_to_the_images(tmp_path: Path) -> None:
    seen = in_browser(HERE / "explore.cjs", write(tmp_path / "inside", found()))
    assert seen["problems"] == []
    assert seen["before"] is True
    assert seen["mouse"] == ["<b>dark</b>, test image 0", "0% 0%"]
    assert seen["touch"] == ["bright, test image 3", "100% 0%"]
    assert seen["ArrowLeft"] != seen["touch"]
    assert seen["dim"] == 6
    assert str(seen["chosen"]).startswith("<b>dark</b>, ")


@pytest.mark.slow
@NEEDS_BROWSER
def test_axe_finds_nothing_on_any_screen(tmp_path: Path) -> None:
    """In light and dark, on a wide screen and on a phone."""
    seen = in_browser(AXE, write(tmp_path / "inside", found()))
    assert [screen["violations"] for screen in seen.values()] == [[]] * 4
    assert [screen["width"] for screen in seen.values()] == [1280, 390] * 2
