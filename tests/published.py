"""Files in the formats of published data sets, with few images, made by hand."""

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fae.data.published import Published, PublishedFiles

Bytes = NDArray[np.uint8]


def random_bytes(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(count: int) -> Bytes:
    """Each of ten classes in turn, from 9 down to 0."""
    return (9 - np.arange(count) % 10).astype(np.uint8)


def idx(array: Bytes) -> bytes:
    """An array as IDX, the format of MNIST."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist(train: int, test: int) -> dict[str, bytes]:
    """The packed files of MNIST, by their names, with so many images."""
    parts = {"train": train, "t10k": test}
    images = {f"{part}-images-idx3-ubyte": random_bytes(n, 28, 28) for part, n in parts.items()}
    classes = {f"{part}-labels-idx1-ubyte": labels(n) for part, n in parts.items()}
    return {f"{name}.gz": gzip.compress(idx(a)) for name, a in {**images, **classes}.items()}


def short_text(text: bytes) -> bytes:
    """A byte string of Python 2, as its protocol 2 pickles it."""
    return b"U" + bytes([len(text)]) + text


def batch(pixels: Bytes, classes: Sequence[int]) -> bytes:
    """A batch of CIFAR-10 as Python 2 pickled it, opcode by opcode; without its file names.

    ``pixels`` are (images, 3072).
    """
    content = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short_text(b"b")
        + b"\x87R(K\x01J" + struct.pack("<i", len(pixels)) + b"M\x00\x0c\x86cnumpy\ndtype\n"
        + short_text(b"u1") + b"K\x00K\x01\x87R(K\x03" + short_text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T" + struct.pack("<i", len(content)) + content + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([number]) for number in classes) + b"e"
    items = {b"batch_label": short_text(b"made by hand"), b"labels": numbers, b"data": array}
    return b"\x80\x02}(" + b"".join(short_text(k) + v for k, v in items.items()) + b"u."


def cifar10(batches: Mapping[str, bytes]) -> bytes:
    """The archive of CIFAR-10, with its batches out of order as in the published one."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in sorted(batches, reverse=True):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(batches[name])
            archive.addfile(member, io.BytesIO(batches[name]))
    return content.getvalue()


def small_cifar10(train: int, test: int) -> bytes:
    """The archive with so many images per training batch and in the test batch."""
    sizes = {**{f"data_batch_{number}": train for number in range(1, 6)}, "test_batch": test}
    parts = {
        name: batch(random_bytes(size, 3072, seed=seed), labels(size).tolist())
        for seed, (name, size) in enumerate(sizes.items())
    }
    return cifar10({"batches.meta": b"not read", **parts})


def offered(
    files: PublishedFiles,
    contents: Mapping[str, bytes],
    training_images: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Make files of these contents, by the names on a server, the official ones of a data set."""
    published = {}
    for name, content in contents.items():
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        if name in files.FILES:
            published[name] = Published(size, sha256)
        else:
            inside = gzip.decompress(content)
            of_inside = len(inside), hashlib.sha256(inside).hexdigest()
            published[name.removesuffix(".gz")] = Published(*of_inside, size, sha256)
    assert published.keys() == files.FILES.keys()
    monkeypatch.setattr(files, "FILES", published)
    monkeypatch.setattr(files, "training_images", training_images)


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
