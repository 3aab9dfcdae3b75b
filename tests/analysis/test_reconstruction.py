"""Image files through a trained network: read as training images are, written whole or not."""

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forking
import numpy as np
import photographs
import pytest
import torch
from conftest import NO_LOCAL, OF_TRAINED, environment
from numpy.typing import NDArray
from PIL import Image

from fae.analysis import reconstruction_folder
from fae.analysis.reconstruction import ReconstructedImage, files_for, reconstruct
from fae.analysis.reconstruction_folder import KIND, write
from fae.cli.compose import compose
from fae.cli.options import new_folder
from fae.data.folder import reading, streaming
from fae.data.folder.config import FolderConfig
from fae.data.folder.streaming import ImageFiles, image_paths
from fae.drawing import sheets
from fae.drawing.pictures import error_map
from fae.errors import ConfigError, DataError
from fae.runs.stored import TrainedRun

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return photographs.photographs(tmp_path / "photos", 12)


@pytest.fixture
def command(tmp_path: Path, store_uri: str, trained: TrainedRun) -> Command:
    """Starts ``fae.reconstruct`` about the trained run in the test's folder."""

    def begin(*arguments: str) -> "subprocess.Popen[str]":
        words = [trained.id[:8], *arguments, f"tracking.experiment={OF_TRAINED}", NO_LOCAL]
        return forking.Popen(
            [sys.executable, "-m", "fae.reconstruct", *words],
            cwd=tmp_path,
            env=environment(store_uri),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as opened:
        return np.asarray(opened)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_files_become_the_pixels_that_training_images_become(
    photos: Path, fit: str, colour: bool
) -> None:
    overrides = "data=folder", f"data.root='{photos}'", "data.side=8", "batch_size=1"
    own = f"data.fit={fit}", f"data.colour={str(colour).lower()}"
    config = compose(NO_LOCAL, *overrides, *own).data
    assert isinstance(config, FolderConfig)
    trained = {row.tobytes() for row in config.read().pixels}
    files = ImageFiles(image_paths([photos]), 8, colour, config.fit)
    assert {row.tobytes() for row in files} == trained
    assert len(trained) == 12


def test_a_network_gets_images_of_its_own_size(trained: TrainedRun) -> None:
    files = files_for(trained, [])
    assert (files.side**2, files.colour, files.fit) == (trained.config.data.pixels, False, "crop")


@pytest.mark.parametrize("invert", [False, True])
def test_the_folder_has_what_the_network_makes_of_each_image(
    trained: TrainedRun, photos: Path, tmp_path: Path, invert: bool
) -> None:
    paths = image_paths([photos / "dogs", photos / "cars" / "000.jpg"])
    files = files_for(trained, paths)
    rows = np.stack([*files])
    pixels = torch.from_numpy(255 - rows if invert else rows) / 255
    outputs = trained.network(pixels).detach()
    errors = (outputs - pixels).square().mean(dim=1).tolist()

    mean = write(tmp_path / "out", reconstruct(trained.network, files, invert=invert), 4, "title")
    assert mean == pytest.approx(np.mean(errors), rel=1e-5)
    with (tmp_path / "out" / "mse.csv").open() as file:
        table = [*csv.DictReader(file)]
    assert [row["image"] for row in table] == [str(path) for path in paths]
    assert [float(row["mse"]) for row in table] == pytest.approx(errors, rel=1e-5)
    assert [row["file"] for row in table] == ["1_002.png", "2_006.png", "3_010.png", "4_000.png"]
    for row, original, output in zip(table, pixels, outputs, strict=True):
        for part, values in {"original": original, "reconstruction": output}.items():
            found = picture(tmp_path / "out" / part / row["file"]).ravel()
            assert np.abs(found - values.numpy().clip(0, 1) * 255).max() <= 0.51
        wanted = error_map(original.numpy(), output.numpy())
        assert (picture(tmp_path / "out" / "error" / row["file"]) == wanted).all()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("error", "mse.csv", "original", "panel.png", "reconstruction")
    ]


def test_the_panel_shows_the_first_ones_and_says_of_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def drawn(panel: object, heading: str) -> object:
        shown.append(heading)
        return sheets.reconstructed(panel, heading)  # type: ignore[arg-type]

    monkeypatch.setattr(reconstruction_folder, "reconstructed", drawn)
    monkeypatch.setattr(reconstruction_folder, "SHOWN", 2)
    grey = np.full(4, 0.5, np.float32)
    images = [ReconstructedImage(Path(f"{name}.png"), grey, grey, 0.0) for name in "abc"]
    write(tmp_path / "few", images[:2], 2, "network")
    write(tmp_path / "more", images, 3, "network")
    assert shown == ["network", "network: the first 2 of 3 images"]


def test_few_images_are_in_memory_at_a_time(
    photos: Path, trained: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, no more are read than are asked for soon."""
    read = []

    def counted(path: Path) -> bytes:
        read.append(path)
        return reading.content_of(path)

    monkeypatch.setattr(streaming, "content_of", counted)
    monkeypatch.setattr(reading, "AHEAD", 2)
    monkeypatch.setattr("fae.analysis.reconstruction.BATCH", 3)
    found = reconstruct(trained.network, files_for(trained, image_paths([photos])), invert=False)
    next(found)
    assert len(read) <= 4
    assert len([*found]) == 11


def test_files_that_are_no_images_are_named_and_nothing_is_written(
    photos: Path, tmp_path: Path, command: Command
) -> None:
    photographs.add_broken(photos)
    running = command("photos", "photos/dogs/notes.txt", "gone.png", "--out", "new/out")
    said, told = running.communicate(timeout=100)
    assert running.returncode == 2
    assert told.startswith("fae: 7 of 19 files cannot be used; repair them, or leave them out\n")
    for name, reason in photographs.BROKEN.items():
        assert f"photos/{name}: {reason}" in told
    assert "photos/dogs/notes.txt: is not an image" in told
    assert "gone.png: cannot be read (No such file or directory)" in told
    assert "left out: 1 other file: .txt (1)" in said
    assert not (tmp_path / "new").exists()


def test_a_command_says_which_network_and_where(
    photos: Path, tmp_path: Path, command: Command, trained: TrainedRun
) -> None:
    assert photos
    running = command("photos/cats", "--invert", "photos/cars/000.jpg", "--out", "out")
    said, told = running.communicate(timeout=100)
    assert (running.returncode, told) == (0, "")
    first, second, *rest = said.splitlines()
    assert first == f"network  {trained.name} ({trained.id[:8]})"
    assert second.startswith("images   4, MSE 0.")
    assert rest == [f"panel    {tmp_path}/out/panel.png", f"folder   {tmp_path}/out"]


def test_an_interrupted_command_leaves_nothing(
    photos: Path, tmp_path: Path, command: Command
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number}.jpg").hardlink_to(photos / "cars" / "000.jpg")
    running = command("many", "--out", "made/out")
    while not [*tmp_path.glob("made/.reconstructions-*/new/original/*")]:
        assert running.poll() is None
        time.sleep(0.001)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=100)
    assert (running.returncode, told) == (130, "fae: interrupted by SIGINT\n")
    assert [*(tmp_path / "made").iterdir()] == []


def test_what_a_kill_leaves_is_removed_by_the_next_command_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".reconstructions-killed" / "new" / "original").mkdir(parents=True)
    (tmp_path / ".reconstructions-mine" / "new").mkdir(parents=True)
    (tmp_path / ".reconstructions-mine" / "new" / "thesis.txt").touch()
    grey = np.full(4, 0.5, np.float32)
    write(tmp_path / "out", [ReconstructedImage(Path("a.png"), grey, grey, 0.0)], 1, "title")
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".reconstructions-mine"}


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert new_folder(str(tmp_path / "empty"), KIND) == tmp_path / "empty"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    for given in ("full", "full/thesis.txt"):
        with pytest.raises(ConfigError, match="is there already"):
            new_folder(str(tmp_path / given), KIND)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match=r"has no images; it has 1 other file: .txt"):
        image_paths([tmp_path])


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture any more")
    files = ImageFiles([tmp_path / "a.png"], 8, False, "crop")
    with pytest.raises(DataError, match=r"a.png has changed while it was being read: is not an"):
        list(files)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "the following arguments are required: FILE"),
        (["tracking.uri=sqlite:///x"], "FILE: must be given"),
        (["not/there=1.png"], "not/there: no such key"),
        (
            ["a.png", "lr=0.5"],
            "lr=0.5: a stored run has its own settings; only tracking",
        ),
        (["a.png", "--outt", "x"], "unrecognized arguments: --outt"),
        (["a.png", "--out"], "--out: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], problem: str, tmp_path: Path, store_uri: str
) -> None:
    line = [sys.executable, "-m", "fae.reconstruct", "latest", *arguments]
    done = forking.run(line, cwd=tmp_path, env=environment(store_uri), timeout=100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fae: {problem}")
    assert len(done.stderr.splitlines()) == 1
