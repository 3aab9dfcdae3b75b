"""Images in a NumPy file: which arrays are read, and which are refused, before they are loaded."""

import io
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import NO_LOCAL
from damage import damaged

from fae.cli.compose import compose
from fae.data.config import DataConfig
from fae.data.npz import arrays
from fae.errors import ConfigError, DataError

GREY = np.arange(40 * 9, dtype=np.uint8).reshape(40, 3, 3)
LABELS = np.arange(40) % 3


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arrays._read.cache_clear()


def saved(path: Path, **content: Any) -> Path:
    np.savez(path / "images.npz", **content)
    arrays._read.cache_clear()
    return path / "images.npz"


def composed(path: Path, *overrides: str) -> DataConfig:
    return compose(NO_LOCAL, "data=npz", f"data.root='{path}'", *overrides).data


def test_images_are_read_as_they_are(tmp_path: Path) -> None:
    config = composed(saved(tmp_path, images=GREY, labels=LABELS))
    assert (config.train, config.val, config.pixels) == (32, 4, 9)
    data_set = config.build()
    data_set.verify()
    assert (data_set.side, data_set.classes) == (3, ("0", "1", "2"))
    training, test = data_set.training(), data_set.test()
    assert (len(training), len(test)) == (36, 4)
    found = {
        (row.numpy().tobytes(), label)
        for part in (training, test)
        for row, label in zip(part.pixels, part.labels.tolist(), strict=True)
    }
    assert found == {(row.tobytes(), label) for row, label in zip(GREY, LABELS, strict=True)}


def test_a_file_that_changes_is_noticed_within_a_process(tmp_path: Path) -> None:
    config = composed(saved(tmp_path, images=GREY))
    before = config.build().digest
    assert config.build().digest == before
    np.savez(tmp_path / "images.npz", images=GREY[::-1])
    assert config.build().digest != before


def test_channels_may_be_first_or_last(tmp_path: Path) -> None:
    first = np.random.default_rng(0).integers(256, size=(40, 3, 5, 5)).astype(np.uint8)
    last = np.asfortranarray(first.transpose(0, 2, 3, 1))
    digests = set()
    for images in (first, last):
        config = composed(saved(tmp_path, images=images))
        assert config.pixels == 75
        digests.add(config.build().digest)
    assert len(digests) == 1
    content = arrays.read(tmp_path / "images.npz")
    assert content.pixels[0].tolist() == first[0].ravel().tolist()
    single = composed(saved(tmp_path, images=GREY[..., None]))
    assert single.pixels == 9
    assert single.build().digest == composed(saved(tmp_path, images=GREY)).build().digest


def test_floats_from_0_to_1_become_bytes(tmp_path: Path) -> None:
    digests = {
        composed(saved(tmp_path, images=images)).build().digest
        for images in (GREY, *((GREY / 255).astype(kind) for kind in ("f4", "f8", ">f4")))
    }
    assert len(digests) == 1
    for wrong, shown in ((-0.5, "-0.5 to 1"), (200.0, "0 to 200"), (np.nan, "nan to nan")):
        images = GREY / 255
        images[3, 1, 1] = wrong
        with pytest.raises(DataError, match=f"images has values from {shown}; floats must be"):
            composed(saved(tmp_path, images=images)).build()


def test_test_images_of_the_file_s_own_are_those_to_test_on(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        images=GREY,
        labels=LABELS,
        test_images=GREY[:7],
        test_labels=LABELS[:7],
        classes=np.array(["a", "b\x1b[31m", "c"]),
    )
    config = composed(path)
    assert (config.train, config.val) == (36, 4)
    data_set = config.build()
    data_set.verify()
    assert data_set.classes == ("a", "b\\x1b[31m", "c")
    assert data_set.test().pixels.tolist() == GREY[:7].reshape(7, 9).tolist()
    assert data_set.training().pixels.tolist() == GREY.reshape(40, 9).tolist()
    with pytest.raises(ConfigError, match=r"data\.test=5: must be 7, the number of test images"):
        composed(path, "data.test=5")


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("/nonexistent/ran",)


def member(shape: str, content: bytes = b"", descr: str = "'|u1'") -> bytes:
    """An array's file with a header of one's own."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


BAD: dict[str, dict[str, Any]] = {
    "has no array images; it has x, y.npy.txt": {"x": GREY, "y.npy.txt": b""},
    "has no array images; it has no array at all": {},
    "images is int64 (40, 3, 3), must be (images, side, side)": {"images": GREY.astype(int)},
    "images is uint8 (40, 3, 2), must be": {"images": GREY[..., :2]},
    "images is uint8 (3, 3), must be": {"images": GREY[0]},
    "images is uint8 (), must be": {"images": np.uint8(3)},
    "images is uint8 (0, 3, 3), must be": {"images": GREY[:0]},
    "images is uint8 (40, 3, 3, 4), must be": {"images": np.zeros((40, 3, 3, 4), np.uint8)},
    "images is complex128 (40, 3, 3), must be": {"images": GREY.astype(complex)},
    "images holds Python objects, which are not read": {"images": np.array([Runs()] * 9)},
    "classes holds Python objects": {
        "images": GREY,
        "labels": LABELS,
        "classes": np.array([Runs(), Runs()]),
    },
    "labels is float64 (40,), must be 40 whole numbers": {
        "images": GREY,
        "labels": LABELS.astype(float),
    },
    "labels is int64 (39,), must be 40 whole": {"images": GREY, "labels": LABELS[1:]},
    "labels are from 0 to 2; must be from 0 to 1, as there are so many classes": {
        "images": GREY,
        "labels": LABELS,
        "classes": np.array(["a", "b"]),
    },
    "labels are from -1 to 1": {"images": GREY, "labels": LABELS - 1},
    "labels are from 0 to 2000000000": {"images": GREY, "labels": LABELS * 10**9},
    "classes is int64 (3,), must be a list of texts": {
        "images": GREY,
        "labels": LABELS,
        "classes": np.arange(3),
    },
    "has classes, but not labels": {"images": GREY, "classes": np.array(["a"])},
    "must have test_labels where": {"images": GREY, "labels": LABELS, "test_images": GREY},
    "images and test_images differ": {"images": GREY, "test_images": np.zeros((4, 2, 2))},
    "of 1,073,741,824 bytes, 1,000,000,000 at most": {"images": member("(1048576, 32, 32)")},
    "images is damaged: it has not as many bytes": {"images": member("(40, 3, 3)", bytes(9))},
    "is not a file of numpy.savez, or damaged": {"images": member("(40, 3, 3")},
    "images is damaged: its header cannot be read": {"images": member("-" * 9000 + "1")},
    "has 70000 classes; at most 65536 are possible": {
        "images": GREY,
        "labels": LABELS,
        "classes": np.zeros(70_000, "<U0"),
    },
    "it has not as many bytes as its shape": {"images": member("(-40, 3, 3)", bytes(360))},
}


@pytest.mark.parametrize("said", BAD)
def test_other_arrays_are_refused(tmp_path: Path, said: str) -> None:
    path = tmp_path / "images.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in BAD[said].items():
            content = io.BytesIO(array if isinstance(array, bytes) else b"")
            if not isinstance(array, bytes):
                np.save(content, array)
            archive.writestr(name if "." in name else f"{name}.npy", content.getvalue())
    with pytest.raises((ConfigError, DataError), match=re.escape(said)) as caught:
        composed(path).build()
    assert f"data.root={path}: " in str(caught.value)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Runs()))
    np.save(tmp_path / "one.npy", GREY)
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("text.npz", "pickle.npz", "one.npy", "pipe.npz", "/dev/zero"):
        with pytest.raises(ConfigError, match=f"{name}: (is not a file|cannot be read)"):
            composed(tmp_path / name)
    with pytest.raises(ConfigError, match=r"no.npz: cannot be read \(No such file or directory\)"):
        composed(tmp_path / "no.npz")
    with pytest.raises(ConfigError, match="data=folder reads a folder of images"):
        composed(tmp_path)


def test_a_bomb_is_harmless(tmp_path: Path) -> None:
    """Many zeros, as an array's header or behind its end, are not unpacked."""
    path = tmp_path / "images.npz"
    for start in (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", member("(40, 3, 3)")):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", start + bytes(2**26))
        with pytest.raises(ConfigError, match="damaged"):
            composed(path)


@pytest.mark.filterwarnings("ignore")
def test_damage_never_ends_in_another_error(tmp_path: Path) -> None:
    whole = saved(tmp_path, images=GREY, labels=LABELS, classes=np.array(["a", "b", "c"]))
    refused = 0
    for content in damaged(whole.read_bytes(), 200):
        whole.write_bytes(content)
        arrays._read.cache_clear()
        try:
            assert arrays.read(whole).pixels.tobytes() == GREY.tobytes()
        except (ConfigError, DataError):
            refused += 1
    assert refused > 100


def test_side_and_colour_are_those_of_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, images=GREY)
    for override, said in (
        ("data.side=4", "data.side=4: it is 3 for the images in"),
        ("data.colour=true", "data.colour=true: it is false for the images in"),
    ):
        with pytest.raises(ConfigError, match=said):
            composed(path, override)
    config = composed(path)
    saved(tmp_path, images=np.zeros((40, 4, 4), np.uint8))
    with pytest.raises(ConfigError, match=r"data\.side=3: it is 4"):
        config.build()


def test_a_file_that_has_other_images_by_now_is_refused(tmp_path: Path) -> None:
    config = composed(saved(tmp_path, images=GREY))
    saved(tmp_path, images=GREY[:30])
    with pytest.raises(DataError, match=r"must add up to the 30 images in .*; write data.train=22"):
        config.build().verify()
