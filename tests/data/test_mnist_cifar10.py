"""MNIST and CIFAR-10, from files in the published formats, with few images.

What all published files share is tested with those of Fashion-MNIST.
"""

import gzip
import os
import pickle
import re
import tarfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import published
import pytest
import torch
import torchvision
from conftest import NO_LOCAL
from serving import Request, serving

from fae.cli.compose import compose
from fae.data.cifar10.files import ARCHIVE
from fae.data.cifar10.files import files as cifar10_files
from fae.data.cifar10.images import CIFAR10, luma
from fae.data.fashion_mnist.files import files as fashion_mnist_files
from fae.data.images import DataSet
from fae.data.mnist.files import files as mnist_files
from fae.data.mnist.images import MNIST
from fae.data.published import PublishedFiles
from fae.errors import ConfigError, DataError

MNIST_FILES = published.mnist(20, 10)
CIFAR10_FILES = {ARCHIVE: published.small_cifar10(4, 10)}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both data sets with 20 training and 10 test images."""
    published.offered(mnist_files, MNIST_FILES, 20, monkeypatch)
    published.offered(cifar10_files, CIFAR10_FILES, 20, monkeypatch)


def data_set(name: str, root: Path, *overrides: str) -> DataSet:
    split = ("data.train=15", "data.val=5", "batch_size=5")
    return compose(NO_LOCAL, f"data={name}", f"data.root={root}", *split, *overrides).data.build()


SETS = pytest.mark.parametrize(
    ("name", "files", "contents"),
    [("mnist", mnist_files, MNIST_FILES), ("cifar10", cifar10_files, CIFAR10_FILES)],
    ids=["mnist", "cifar10"],
)


@SETS
def test_missing_files_are_downloaded_into_the_layout_of_torchvision(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    files: PublishedFiles,
    contents: Mapping[str, bytes],
) -> None:
    def answer(request: Request) -> None:
        content = contents[request.path.removeprefix("/")]
        request.begin(200, Content_Length=len(content))
        request.wfile.write(content)

    with serving(answer) as (server, asked):
        monkeypatch.setattr(files, "SERVERS", [server])
        found = data_set(name, tmp_path)
        assert found.missing() == f"{found.folder} lacks {len(contents)} of {len(contents)} files"
        found.verify()
        assert found.missing() == ""
        found.verify()
    assert sorted(asked) == [f"/{offered} bytes=0-" for offered in sorted(contents)]
    where = tmp_path / "MNIST" / "raw" if name == "mnist" else tmp_path
    assert found.folder == where
    assert {path.name for path in where.iterdir()} == {*contents, ".lock"}


@SETS
def test_no_data_and_no_network_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    files: PublishedFiles,
    contents: Mapping[str, bytes],
) -> None:
    monkeypatch.setattr(files, "SERVERS", ["http://127.0.0.1:1/"])
    with pytest.raises(DataError) as error:
        data_set(name, tmp_path).verify()
    first, _, last = str(error.value).splitlines()
    assert first.startswith(f"data.root: no {files.title} in {tmp_path}")
    assert last.endswith(f"a folder that holds {files.layout}")
    assert len(contents) in (1, 4)


@SETS
def test_another_file_is_refused(
    tmp_path: Path, name: str, files: PublishedFiles, contents: Mapping[str, bytes]
) -> None:
    found = data_set(name, tmp_path)
    assert found.folder
    published.write(found.folder, contents)
    assert len(files.FILES) == len(contents)
    victim = found.folder / min(contents)
    victim.write_bytes(victim.read_bytes()[:-9])
    for check in (found.verify, found.missing, found.test):
        with pytest.raises(DataError, match=f"{re.escape(str(victim))}: not the official file"):
            check()
    assert {path.name for path in found.folder.iterdir()} == {*contents}


@SETS
def test_the_split_must_be_of_all_images(
    name: str, files: PublishedFiles, contents: Mapping[str, bytes]
) -> None:
    assert len(contents) == len(files.FILES)
    with pytest.raises(ConfigError, match="must add up to the 20 images of the training"):
        data_set(name, Path("/data"), "data.val=6")


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_as_torchvision_reads_it(tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "MNIST" / "raw"
    unpacked = {name[:-3]: gzip.decompress(content) for name, content in MNIST_FILES.items()}
    published.write(folder, MNIST_FILES if packed else unpacked)
    ours = MNIST(tmp_path)
    images = ours.training(), ours.test()
    published.write(folder, unpacked)  # which torchvision looks for
    for found, train in zip(images, (True, False), strict=True):
        theirs = torchvision.datasets.MNIST(str(tmp_path), train=train)
        assert torch.equal(found.pixels, theirs.data.flatten(1))
        assert torch.equal(found.labels, theirs.targets)
        assert found.labels.dtype == torch.int64
    assert [*ours.classes] == [name[0] for name in theirs.classes]
    assert images[1].labels.tolist() == [*range(9, -1, -1)]


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    published.write(tmp_path, CIFAR10_FILES)
    return tmp_path


def test_cifar10_is_read_as_torchvision_reads_it(
    archived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has the colours last, and calls its files official ones by their MD5."""
    ours = CIFAR10(archived, grey=False)
    with tarfile.open(archived / ARCHIVE) as archive:
        archive.extractall(archived, filter="data")
    theirs = torchvision.datasets.CIFAR10
    monkeypatch.setattr(theirs, "_check_integrity", lambda _: True)
    monkeypatch.setattr(theirs, "_load_meta", lambda _: None)
    for found, train in ((ours.training(), True), (ours.test(), False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, about old pickles
            expected = theirs(str(archived), train=train)
        rows = expected.data.transpose(0, 3, 1, 2).reshape(-1, 3072)
        assert torch.equal(found.pixels, torch.from_numpy(rows))
        assert (found.pixels.dtype, found.labels.dtype) == (torch.uint8, torch.int64)
        assert found.labels.tolist() == expected.targets
    assert (len(ours.training()), len(ours.test())) == (20, 10)


def test_grey_is_the_rounded_luma_of_the_colours(archived: Path) -> None:
    colour, grey = CIFAR10(archived, grey=False), CIFAR10(archived, grey=True)
    weights = np.array([0.299, 0.587, 0.114])
    colours = colour.test().pixels.numpy().reshape(10, 3, 1024)
    exact = np.tensordot(colours, weights, ([1], [0]))
    found = grey.test().pixels
    assert (found.dtype, found.shape) == (torch.uint8, (10, 1024))
    assert np.abs(found.numpy() - exact).max() <= 0.5 + 1e-9
    assert colour.digest != grey.digest
    assert torch.equal(grey.test().labels, colour.test().labels)


@pytest.mark.parametrize(
    ("rgb", "grey"),
    [((0, 0, 0), 0), ((255, 255, 255), 255), ((255, 0, 0), 76), ((0, 0, 250), 29)],
)
def test_luma_of_a_pixel(rgb: tuple[int, int, int], grey: int) -> None:
    """The last one is 28.5, which is rounded upwards."""
    assert luma(torch.tensor([rgb], dtype=torch.uint8)).tolist() == [[grey]]


def test_the_settings_of_cifar10_tell_its_size_and_title(archived: Path) -> None:
    split = ("data=cifar10", f"data.root={archived}", "data.train=15", "data.val=5", "batch_size=5")
    colour = compose(NO_LOCAL, *split)
    grey = compose(NO_LOCAL, *split, "data.grey=true")
    assert (colour.data.pixels, colour.data.title) == (3072, "CIFAR-10")
    assert (grey.data.pixels, grey.data.title) == (1024, "CIFAR-10 in grey")
    assert grey.parameters()["data.grey"] == "true"


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (pickle.dumps({"data": Attack(), "labels": []}, protocol=2), "posix.mkdir"),
        (b"\x80\x02cnumpy\nload\nU\x01x\x85R.", "numpy.load"),
        (b"\x80\x02cbuiltins\neval\nU\x011\x85R.", "builtins.eval"),
    ],
)
def test_a_batch_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: bytes, named: str
) -> None:
    """Though its archive counts as official here."""
    monkeypatch.chdir(tmp_path)
    contents = {ARCHIVE: published.cifar10({"test_batch": hostile})}
    published.offered(cifar10_files, contents, 20, monkeypatch)
    published.write(tmp_path, contents)
    with pytest.raises(DataError, match=f"a batch of CIFAR-10 names {named}: not loaded"):
        CIFAR10(tmp_path, grey=False).test()
    assert not (tmp_path / "attacked").exists()


def test_the_published_checksums_are_of_sha256() -> None:
    """And the sizes those of as many images."""
    for files in (fashion_mnist_files, mnist_files, cifar10_files):
        for name, file in files.FILES.items():
            digests = [file.sha256, *([file.packed_sha256] if file.packed_sha256 else [])]
            assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests), name
