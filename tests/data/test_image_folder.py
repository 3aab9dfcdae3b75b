"""A folder of images: what is listed, how it becomes pixels, what is refused, what is cached."""

import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import photographs
import pytest
from conftest import NO_LOCAL
from damage import damaged
from PIL import Image

from fae.cli.compose import compose
from fae.config import Config, fingerprint_fields
from fae.data.folder import reading
from fae.data.folder.listing import listing
from fae.data.folder.picture import BrokenError, Fit, pixels
from fae.data.own import known
from fae.errors import ConfigError, DataError
from fae.runs.fingerprint import fingerprint

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing kept in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reading._read.cache_clear()
    return tmp_path / "cache" / "fae"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photographs.photographs(tmp_path / "photos", 40)


def composed(root: Path, *overrides: str) -> Config:
    return compose(
        NO_LOCAL, "data=folder", f"data.root='{root}'", "data.side=8", "batch_size=1", *overrides
    )


def digest(root: Path, *overrides: str) -> str:
    reading._read.cache_clear()
    return composed(root, *overrides).data.build().digest


def saved(image: Image.Image, path: Path, **how: object) -> bytes:
    image.save(path, **how)  # type: ignore[arg-type]
    return path.read_bytes()


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (16, 16), left)
    image.paste(right, (8, 0, 16, 16))
    return image


def colours(content: bytes, side: int = 2, fit: Fit = "crop") -> list[list[int]]:
    """The colours of an image's pixels, row by row."""
    found: list[list[int]] = pixels(content, side, True, fit).reshape(3, -1).T.tolist()
    return found


def near(found: list[list[int]], wanted: list[tuple[int, int, int]]) -> bool:
    """Whether colours are the same, as far as JPEG and resizing leave them."""
    return bool(np.abs(np.array(found) - np.array(wanted)).max() <= 30)


@pytest.mark.parametrize("ending", [*photographs.ENDINGS, "jfif", "pgm"])
def test_a_file_becomes_a_square_of_bytes(tmp_path: Path, ending: str) -> None:
    content = saved(Image.new("L", (9, 5), 51), tmp_path / f"a.{ending}")
    found = pixels(content, 4, False, "crop")
    assert found.dtype == np.uint8
    assert found.shape == (16,)
    assert abs(found.astype(int) - 51).max() <= 1
    assert pixels(content, 4, True, "crop").shape == (48,)


def test_channels_come_first(tmp_path: Path) -> None:
    found = pixels(saved(Image.new("RGB", (4, 4), (1, 2, 3)), tmp_path / "a.png"), 2, True, "crop")
    assert found.tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_a_square_is_the_middle_or_all_of_it(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 8), RED)
    image.paste(BLUE, (8, 0, 24, 8))
    content = saved(image, tmp_path / "a.png")
    assert colours(content, 1, "crop") == [[*BLUE]]
    assert colours(content, 1, "stretch") != [[*BLUE]]


def test_an_image_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    content = saved(halves(RED, BLUE), tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert near(colours(content), [RED, RED, BLUE, BLUE])


def test_cmyk_16_bits_and_transparency_are_handled(tmp_path: Path) -> None:
    cmyk = saved(halves(RED, BLUE).convert("CMYK"), tmp_path / "a.jpg", quality=100)
    assert near(colours(cmyk), [RED, BLUE] * 2)
    deep = Image.fromarray(np.array([[0, 65535], [32768, 257]], np.uint16))
    for ending in ("png", "tiff"):
        assert pixels(saved(deep, tmp_path / f"b.{ending}"), 2, False, "crop").tolist() == [
            *[0, 255],
            *[128, 1],
        ]
    portable = b"P5\n2 2\n65535\n" + np.array([0, 65535, 32768, 257], ">u2").tobytes()
    assert pixels(portable, 2, False, "crop").tolist() == [0, 255, 128, 1]
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.paste((*BLUE, 255), (0, 0, 4, 2))
    for number, image in enumerate([clear, clear.quantize(4)]):
        content = saved(image, tmp_path / f"{number}.png")
        assert near(colours(content), [BLUE, BLUE, *[(255, 255, 255)] * 2])


def test_the_first_picture_of_a_camera_s_file_counts(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE))
    content = saved(red, tmp_path / "a.mpo", save_all=True, append_images=[blue])
    assert near(colours(content, 1), [RED])


def test_what_is_no_single_picture_of_bytes_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 255)]
    many = {"save_all": True, "append_images": frames[1:]}
    refused = {
        **{
            saved(frames[0], tmp_path / f"a.{ending}", **many): "has 2 pictures in it"
            for ending in ("gif", "png", "webp", "tiff")
        },
        saved(Image.new("F", (4, 4)), tmp_path / "a.tif"): "has 32 bits per pixel",
        saved(Image.new("I", (4, 4)), tmp_path / "b.tif"): "has 32 bits per pixel",
        saved(Image.new("1", (20_000, 5_000)), tmp_path / "b.png"): "more than 89,478,485 pixels",
        saved(Image.new("1", (20_000, 20_000)), tmp_path / "c.png"): "more than 89,478,485 pixels",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "is not an image",
    }
    for content, reason in refused.items():
        with pytest.raises(BrokenError, match=reason):
            pixels(content, 4, False, "crop")


def test_a_wide_photograph_is_read(tmp_path: Path) -> None:
    content = saved(Image.new("L", (20_000, 30), 7), tmp_path / "a.png")
    assert set(pixels(content, 4, False, "stretch").tolist()) == {7}


@pytest.mark.parametrize("ending", photographs.ENDINGS)
@pytest.mark.filterwarnings("ignore")
def test_damage_never_ends_in_another_error(tmp_path: Path, ending: str) -> None:
    for content in damaged(saved(photographs.photograph(1), tmp_path / f"a.{ending}"), 60):
        with suppress(BrokenError):
            assert len(pixels(content, 4, True, "crop")) == 48


def test_images_are_told_by_their_endings(root: Path) -> None:
    photographs.add_broken(root)
    found = listing(root)
    assert len(found.files) == 45
    assert [*found.remarks] == ["left out: 1 other file: .txt (1)"]
    (root / "notes").mkdir()
    (root / "noise.wav").touch()
    assert [*listing(root).remarks] == [
        "left out: 2 other files: .wav (1), .txt (1)",
        "left out: 1 folder has no images: notes",
    ]


def test_classes_are_the_folders_and_what_is_in_folders_of_these(root: Path) -> None:
    (root / "cars" / "old").mkdir()
    (root / "cars" / "000.jpg").rename(root / "cars" / "old" / "000.jpg")
    assert composed(root).data.build().classes == photographs.CLASSES
    single = composed(root / "cats").data.build()
    assert single.classes == ("image",)
    assert single.training().labels.unique().tolist() == [0]


def test_links_are_followed_once(root: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "cats").symlink_to(root / "cats")
    (linked / "cars").mkdir()
    (linked / "cars" / "a.jpg").symlink_to(root / "cars" / "000.jpg")
    assert len(listing(linked).files) == 11
    (linked / "cars" / "loop").symlink_to(linked)
    with pytest.raises(ConfigError, match=r"cars/loop/?: is in it twice, by a link"):
        listing(linked)


def test_classes_may_be_thousands(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number:04}").mkdir()
        Image.new("L", (2, 2), number % 256).save(tmp_path / f"{number:04}" / "a.pgm")
    (tmp_path / "0007" / "a.pgm").rename(tmp_path / "0007" / "b.pgm")
    data_set = composed(tmp_path).data.build()
    assert (len(data_set.classes), data_set.classes[7]) == (2000, "0007")


def refusal(root: Path | str, *overrides: str) -> str:
    with pytest.raises((ConfigError, DataError)) as caught:
        compose(NO_LOCAL, "data=folder", f"data.root='{root}'", *overrides).data.build().verify()
    return str(caught.value)


def test_a_folder_without_images_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert "it has 0 other files" in refusal(tmp_path / "empty")
    (tmp_path / "empty" / "a.heic").touch()
    assert "it has 1 other file: .heic (1)" in refusal(tmp_path / "empty")
    assert refusal(tmp_path / "no").endswith("no: there is no such folder")
    assert refusal(tmp_path / "file").endswith("is not a folder; data=npz reads a .npz file")
    assert "data.root=null: must be given; data.root=PATH" in refusal("", "data.root=null")
    (root / "beside.png").touch()
    assert "has images beside the folders of the classes: beside.png" in refusal(root)


def test_parts_are_no_classes(root: Path) -> None:
    (root / "cars").rename(root / "train")
    (root / "dogs" / "002.webp").rename(root / "train" / "002.webp")
    (root / "cats").rename(root / "Test")
    assert composed(root).data.build().classes == ("Test", "dogs", "train", "trees")
    (root / "dogs").rename(root.parent / "dogs")
    (root / "trees").rename(root.parent / "trees")
    assert "Test, train would be taken for classes" in refusal(root)
    assert refusal(root).endswith(f"data.root={root}/train")


def test_broken_files_are_named_or_left_out(root: Path) -> None:
    photographs.add_broken(root)
    lines = refusal(root).splitlines()
    assert lines[0] == (
        f"data.root={root}: 5 of 45 images cannot be used; repair or remove what is named here, or "
        "leave it out by data.skip_broken=true"
    )
    assert len(lines) == 6
    for line, (name, reason) in zip(lines[1:], photographs.BROKEN.items(), strict=True):
        assert line.startswith(f"  {name}: {reason}")
    config = composed(root, "data.skip_broken=true")
    assert (config.data.train, config.data.val) == (32, 4)
    assert len(config.data.build().training()) == 36
    assert config.data.build().digest == digest_without_broken(root)


def digest_without_broken(root: Path) -> str:
    for name in ("cats/cut.jpg", "cats/empty.png", "dogs/moving.gif", "dogs/text.png"):
        (root / name).unlink()
    (root / "trees" / "\x1b[31m\nred.jpg").unlink()
    return digest(root)


def test_ten_of_many_broken_files_are_named(root: Path) -> None:
    for number in range(12):
        (root / "cats" / f"{number}.png").touch()
    assert refusal(root).splitlines()[-2:] == ["  cats/7.png: is empty", "  and 2 more"]


def test_folders_of_nothing_but_broken_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert "1 of 1 images cannot be used\n  a.png: is empty" in refusal(
        tmp_path, "data.skip_broken=true"
    )


def test_what_is_no_file_or_cannot_be_read_is_broken(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may read anything, the refusal is simulated."""
    os.mkfifo(root / "cats" / "pipe.png")
    (root / "cats" / "lost.png").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root / "cats")
        listener.bind("socket.png")
    monkeypatch.setattr(reading, "LARGEST", 100_000)
    (root / "cats" / "vast.png").write_bytes(bytes(100_001))
    opened = os.open

    def refuse(path: Path, flags: int, *mode: int) -> int:
        if Path(path).name == "001.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse)
    assert re.findall(r"^  (.*)", refusal(root), re.MULTILINE) == [
        "cats/001.png: cannot be read (Permission denied)",
        "cats/lost.png: cannot be read (No such file or directory)",
        "cats/pipe.png: is not a file",
        "cats/socket.png: cannot be read (No such device or address)",
        "cats/vast.png: has 100,001 bytes, 100,000 at most",
    ]


def test_the_images_are_split_by_seed(root: Path) -> None:
    config = composed(root)
    assert (config.data.train, config.data.val, config.data.pixels) == (32, 4, 64)
    whole = reading.read(root, 8, False, "crop").content
    images = {row.tobytes() for row in whole.pixels}
    parts = [config.data.build().training(), config.data.build().test()]
    assert [len(part) for part in parts] == [36, 4]
    assert {row.numpy().tobytes() for part in parts for row in part.pixels} == images
    other = composed(root, "data.split_seed=1").data.build().test()
    assert config.data.build().test().pixels.equal(parts[1].pixels)
    assert not other.pixels.equal(parts[1].pixels)


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        ([], (32, 4, 4)),
        (["data.val=8"], (28, 8, 4)),
        (["data.val=8", "data.test=1"], (31, 8, 1)),
        (["data.train=20", "data.val=10", "data.test=10"], (20, 10, 10)),
    ],
)
def test_nobody_has_to_count_files(
    root: Path, overrides: list[str], sizes: tuple[int, int, int]
) -> None:
    data = composed(root, *overrides).plain()["data"]
    assert (data["train"], data["val"], data["test"]) == sizes


def test_numbers_that_do_not_add_up_are_refused_with_the_right_one(root: Path) -> None:
    said = (
        f"data.train=20, data.val=4 and data.test=4: must add up to the 40 images in {root}, not "
        "to 28; write data.train=32, or leave it out"
    )
    assert refusal(root, "data.train=20") == said
    assert refusal(root, "data.train=20", "data.val=4", "data.test=4") == said
    assert "40 images, too few for data.val=36, data.test=4" in refusal(root, "data.val=36")
    assert "batch_size=33: must be at most data.train=32" in refusal(root, "batch_size=33")


def test_too_many_images_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fae.data.own.config.MAX_PIXELS", 100_000)
    assert refusal(root, "data.side=64") == (
        f"data.root={root}: 40 images of 4096 values are too many; at most 24 are kept in memory"
    )


def test_the_digest_is_that_of_the_images_and_classes(root: Path, tmp_path: Path) -> None:
    first = digest(root)
    assert re.fullmatch("[0-9a-f]{16}", first)
    moved = root.rename(tmp_path / "elsewhere")
    (moved / "cats" / "001.png").rename(moved / "cats" / "zzz.png")
    assert digest(moved) == first
    assert digest(moved, "data.side=9") != first
    assert digest(moved, "data.fit=stretch") != first
    assert digest(moved, "data.colour=true") != first
    (moved / "cats" / "zzz.png").rename(moved / "dogs" / "zzz.png")
    assert digest(moved) != first


def test_where_images_are_does_not_identify_a_run(root: Path, tmp_path: Path) -> None:
    before = composed(root)
    moved = root.rename(tmp_path / "elsewhere")
    after = composed(moved, "data.skip_broken=true")
    assert fingerprint_fields(before) == fingerprint_fields(after)
    assert not {"data.root", "data.skip_broken"} & fingerprint_fields(after).keys()
    reading._read.cache_clear()
    root.symlink_to(moved)
    assert fingerprint(before) == fingerprint(after)


def test_a_file_that_changes_is_noticed_within_a_process(root: Path) -> None:
    config = composed(root)
    before = {config.data.build().digest, fingerprint(config)}
    assert {config.data.build().digest, fingerprint(config)} == before
    Image.new("L", (8, 8)).save(root / "cats" / "001.png")
    assert not before & {config.data.build().digest, fingerprint(config)}


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by an entry for each file that is decoded from now on."""
    found: list[int] = []

    def counted(content: bytes, *how: object, **more: object) -> object:
        found.append(len(content))
        return pixels(content, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "pixels", counted)
    return found


def test_images_are_decoded_once(
    root: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the folder is moved, and its files are touched."""
    files = decoded(monkeypatch)
    first = digest(root)
    assert len(files) == 40
    os.utime(root / "cats" / "001.png")
    moved = root.rename(tmp_path / "elsewhere")
    assert digest(moved) == first
    assert len(files) == 40
    (moved / "cats" / "001.png").unlink()
    assert digest(moved) != first
    assert len(files) == 40 + 39
    for kept in (own_cache / "folder").iterdir():
        kept.write_bytes(next(damaged(kept.read_bytes(), 1)))
    digest(moved)
    assert len(files) == 40 + 39 + 39


def test_files_that_are_known_are_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(root)
    monkeypatch.setattr(reading, "UNCERTAIN_NS", -(10**12))
    digest(root)  # from now on files of any age are known
    content = reading.content_of
    monkeypatch.setattr(reading, "content_of", lambda place: pytest.fail(f"opened {place}"))
    assert digest(root) == first
    monkeypatch.setattr(reading, "content_of", content)
    Image.new("L", (8, 8)).save(root / "cats" / "001.png")
    assert digest(root) != first


def test_without_a_cache_images_are_read_each_time(
    root: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cache.parent.mkdir()
    own_cache.touch()
    files = decoded(monkeypatch)
    assert digest(root) == digest(root)
    assert len(files) == 80


def test_a_folder_that_changes_while_it_is_read_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content: Callable[[Path], bytes] = reading.content_of

    def change(place: Path) -> bytes:
        found = content(place)
        if place.name == "005.gif":
            place.write_bytes(found + b"\0")
        return found

    monkeypatch.setattr(reading, "content_of", change)
    assert refusal(root) == (
        f"data.root: {root}/cats/005.gif has changed while it was being read; start again"
    )


def test_copies_are_told(root: Path) -> None:
    (root / "dogs" / "copy.png").write_bytes((root / "cats" / "001.png").read_bytes())
    assert reading.read(root, 8, False, "crop").content.remarks == (
        "1 image is a copy of another file; training and test images may be the same",
    )


def test_names_of_classes_are_printable(root: Path) -> None:
    (root / "cats").rename(root / "\x1b[2Jcats\n")
    os.rename(root / "dogs", os.fsencode(root) + b"/\xffdogs")
    assert composed(root).data.build().classes == (
        "\\udcffdogs",
        "\\x1b[2Jcats\\n",
        "cars",
        "trees",
    )


def test_a_place_that_a_store_names_counts_only_if_the_user_has_named_it(root: Path) -> None:
    data = composed(root).data
    with pytest.raises(DataError, match=r"^data.root: its images are not known here; data.root="):
        data.with_root(None)
    data.build()
    assert known.is_known(root)
    assert data.with_root(None) == data
    assert data.with_root(root.parent).data_root == root.parent
