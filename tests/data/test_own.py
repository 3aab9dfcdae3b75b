"""What is stored of runs on a user's own images: read again without them, and told apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import photographs
import pytest
from conftest import NO_LOCAL
from records import record, stored

from fae.cli.compose import compose
from fae.data.fashion_mnist.config import FashionMNISTConfig
from fae.data.own import known
from fae.reports.settings import group
from fae.runs.stored_config import _checked


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A place with images, by the data set's name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.savez(tmp_path / "a.npz", images=np.zeros((40, 8, 8), np.uint8))
    folder = photographs.photographs(tmp_path / "photos", 40)
    return {"folder": folder, "npz": tmp_path / "a.npz"}


def plain(name: str, root: Path) -> dict[str, Any]:
    return compose(NO_LOCAL, f"data={name}", f"data.root='{root}'").plain()


@pytest.mark.parametrize("name", ["folder", "npz"])
def test_a_stored_configuration_is_read_without_the_images(own: dict[str, Path], name: str) -> None:
    values = plain(name, own[name])
    values["data"]["root"] = "/nowhere"
    found = _checked(values).data
    assert (found.train, found.val) == (32, 4)
    for key in ("train", "val", "test", "side", "colour"):
        data = {**values["data"], key: None}
        with pytest.raises(ValueError, match="data: has no numbers of images"):
            _checked({**values, "data": data})
    assert not known.is_known(Path("/nowhere"))


def test_settings_on_other_images_are_told_apart() -> None:
    """By the digest, where nothing else differs."""
    runs = [
        record(64, 0, 0.04, run=stored(f"{n}" * 16, data_digest=digest))
        for n, digest in enumerate("ab")
    ]
    assert [setting.title for setting in group(runs)] == [
        "n = 64 data.digest=a",
        "n = 64 data.digest=b",
    ]
    others = [
        record(64, 0, 0.04, run=stored("2" * 16, data_digest="a"), lr=0.1),
        record(64, 0, 0.04, run=stored("3" * 16, data_digest="b"), lr=0.2),
    ]
    assert [setting.title for setting in group(others)] == ["n = 64 lr=0.1", "n = 64 lr=0.2"]


def test_published_images_are_found_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report does so; of a user's own images the environment says nothing."""
    config = compose(NO_LOCAL, "data.root=/theirs").data
    assert isinstance(config, FashionMNISTConfig)
    monkeypatch.setenv("FAE_DATA", "/here")
    assert config.with_root(None) == replace(config, root=Path("/here"))
    assert config.with_root(Path("/there")) == replace(config, root=Path("/there"))
