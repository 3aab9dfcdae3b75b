"""Data sets: read as torchvision reads them, verified, fetched once."""

import gzip
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import URLError

import pytest
import torch
import torchvision
import torchvision.datasets.utils
from torchvision.datasets.mnist import read_image_file, read_label_file

from fae.config import SyntheticConfig
from fae.errors import DataError
from fae.sources import SHA256, FashionMNIST, Images, Synthetic


def synthetic(split_seed: int = 0) -> Synthetic:
    return Synthetic(
        SyntheticConfig(name="synthetic", side=4, train=50, val=20, test=10, split_seed=split_seed)
    )


def test_the_first_of_each_class_in_the_order_of_the_classes() -> None:
    images = Images(torch.arange(5).view(5, 1), torch.tensor([2, 0, 2, 1, 0]))
    assert images.first_of_each_class().tolist() == [1, 3, 0]


def test_pixels_become_floats_from_0_to_1() -> None:
    images = Images(torch.tensor([[0, 51, 255]], dtype=torch.uint8), torch.tensor([0]))
    assert images.as_floats().pixels.tolist() == [[0.0, pytest.approx(0.2), 1.0]]


def test_synthetic_images_have_all_classes_and_a_digest_of_their_settings() -> None:
    images = synthetic().test()
    assert images.pixels.shape == (10, 16)
    assert images.labels.unique().tolist() == list(range(10))
    assert synthetic(0).digest != synthetic(1).digest
    assert not torch.equal(synthetic(0).test().pixels, synthetic(1).test().pixels)


def test_the_real_images_are_read_as_torchvision_reads_them(
    fashion_mnist: FashionMNIST, tmp_path: Path
) -> None:
    for part, images in (("train", fashion_mnist.training()), ("t10k", fashion_mnist.test())):
        for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
            packed = fashion_mnist.folder / f"{name}.gz"
            (tmp_path / name).write_bytes(gzip.decompress(packed.read_bytes()))
        expected = read_image_file(str(tmp_path / f"{part}-images-idx3-ubyte"))
        assert torch.equal(images.pixels, expected.flatten(1))
        labels = read_label_file(str(tmp_path / f"{part}-labels-idx1-ubyte"))
        assert torch.equal(images.labels, labels)


def test_good_files_are_verified_without_writing(
    fashion_mnist: FashionMNIST, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = FashionMNIST(tmp_path)
    shutil.copytree(fashion_mnist.folder, copy.folder)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("wrote into the folder"))
    before = sorted(copy.folder.iterdir())
    copy.verify()
    assert sorted(copy.folder.iterdir()) == before


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_file_is_refused(
    fashion_mnist: FashionMNIST, tmp_path: Path, damage: str
) -> None:
    copy = FashionMNIST(tmp_path)
    shutil.copytree(fashion_mnist.folder, copy.folder)
    victim = copy.folder / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(victim.read_bytes())
    if damage == "truncated":
        del content[-1]
    else:
        content[100] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: not the official file"):
        copy.verify()


def test_no_data_and_no_network_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", unreachable)
    with pytest.raises(DataError, match=r"set FAE_DATA or data\.root"):
        FashionMNIST(tmp_path).verify()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="no Fashion-MNIST in"):
        FashionMNIST(tmp_path / "file").verify()


@pytest.fixture
def mirror(fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The published files on a server of this machine; the requests it got."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            asked.append(self.path)

    folder = str(fashion_mnist.folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_processes_that_start_at_once_download_each_file_once(
    mirror: list[str], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: FashionMNIST(tmp_path).verify(), range(4)))
    names = [f"{name}-ubyte.gz" for name in SHA256]
    asked = [f"/{name}" for name in names for _ in ("whether it moved", "for itself")]
    assert sorted(mirror) == sorted(asked)
    left = {path.name for path in FashionMNIST(tmp_path).folder.iterdir()}
    assert left - {".lock"} == set(names)


def test_only_what_is_absent_is_downloaded(
    mirror: list[str], fashion_mnist: FashionMNIST, tmp_path: Path
) -> None:
    copy = FashionMNIST(tmp_path)
    shutil.copytree(fashion_mnist.folder, copy.folder)
    copy.folder.chmod(0o755)
    (copy.folder / "t10k-labels-idx1-ubyte.gz").unlink()
    copy.verify()
    assert set(mirror) == {"/t10k-labels-idx1-ubyte.gz"}
