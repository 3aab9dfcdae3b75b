"""The four files of Fashion-MNIST: finding, downloading, checking and reading them.

Light at import (no torch), as ``fae.config`` looks for the files; ``images`` makes tensors of them.
"""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from fae.errors import DataError
from fae.runtime.console import console, say

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True)
class Published:
    """A file as Zalando Research published it.

    Attributes:
        size, sha256: of the IDX file (LeCun's format).
        packed_size, packed_sha256: of the gzip file that servers offer.
    """

    size: int
    sha256: str
    packed_size: int
    packed_sha256: str


FILES = {
    "train-images-idx3-ubyte": Published(
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    "train-labels-idx1-ubyte": Published(
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    "t10k-images-idx3-ubyte": Published(
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    "t10k-labels-idx1-ubyte": Published(
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
SERVERS = [
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
]
"""The publisher's servers; each offers ``<name>.gz``."""
LOCAL_FOLDERS = ["data", "../data", "../shared/data"]
"""Folders that may hold the files, relative to the working directory."""
ADVICE = (
    "to train without it: python -m fae.train -m experiment=digits, or data=digits batch_size=100\n"
    "to use it: set FAE_DATA or data.root to a folder that holds the four files in "
    "FashionMNIST/raw"
)


def root() -> Path:
    """The first of ``LOCAL_FOLDERS`` that holds all files, or else a folder in the user's cache.

    Without a home directory there is no cache; files are then downloaded into the first of
    ``LOCAL_FOLDERS``.
    """
    for place in map(Path, LOCAL_FOLDERS):
        with suppress(OSError):  # no permission to read the folder
            if not missing(folder(place)):
                return place.resolve()
    with suppress(RuntimeError):  # raised by some versions of platformdirs; others return ~
        cache = user_cache_path("fae")
        if cache.is_absolute():
            return cache
    return Path(LOCAL_FOLDERS[0])


def folder(root: Path) -> Path:
    """Folder of the files below the data root, as in torchvision."""
    return root / "FashionMNIST" / "raw"


def missing(folder: Path) -> list[str]:
    """Names of the files that are present neither packed nor unpacked.

    Raises:
        OSError: the folder cannot be read.
    """
    return [name for name in FILES if not _path(folder, name).is_file()]


def check(folder: Path, name: str) -> None:
    """Check a file against the published SHA-256.

    Raises:
        DataError: its content differs, or it cannot be read.
    """
    path, published = _path(folder, name), FILES[name]
    with _reading(path), path.open("rb") as file:
        content = file.read(published.packed_size + 1)
    if hashlib.sha256(content).hexdigest() != published.packed_sha256:
        read(folder, name)  # unpacked, or packed again


def read(folder: Path, name: str) -> bytearray:
    """The content of a file, unpacked and checked.

    Reads no more than the published size, so that a decompression bomb is harmless.

    Raises:
        DataError: its content differs from what was published, or it cannot be read.
    """
    path, published = _path(folder, name), FILES[name]
    content = bytearray(published.size + 1)
    with _reading(path), gzip.open(path) if path.suffix else path.open("rb") as file:
        try:
            del content[file.readinto(content) :]
        except (EOFError, gzip.BadGzipFile, zlib.error):
            content.clear()
    if hashlib.sha256(content).hexdigest() != published.sha256:
        raise DataError(
            f"{path}: not the official file (its content has another SHA-256); "
            "delete it to download it again, or set data.root"
        )
    return content


def fetch(folder: Path) -> None:
    """Download the missing files, each atomically; one process at a time.

    Raises:
        DataError: a file cannot be downloaded, or the folder is not writable.
    """
    from fae.data.download import DownloadError, download

    servers = SERVERS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder), _progress() as progress:
            for name in missing(folder):
                published, packed = FILES[name], f"{name}.gz"
                number = download(
                    folder / packed,
                    [server + packed for server in servers],
                    published.packed_size,
                    published.packed_sha256,
                    _bar(progress, packed, published.packed_size),
                )
                servers = servers[number:] + servers[:number]
    except DownloadError as error:
        problem = f"downloading it failed ({error})"
        raise DataError(f"data.root: no Fashion-MNIST in {folder}; {problem}\n{ADVICE}") from error
    except OSError as error:
        problem = f"cannot be downloaded there ({error.strerror or error})"
        raise DataError(f"data.root: no Fashion-MNIST in {folder}; {problem}\n{ADVICE}") from error


def _path(folder: Path, name: str) -> Path:
    """Path of the packed file, or of the unpacked one if only that is present."""
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() else folder / name


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _exclusive(folder: Path) -> AbstractContextManager[object]:
    """Hold the lock of a folder's downloads; waits for another process to finish."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        say(f"waiting for another process that is downloading Fashion-MNIST into {folder}")
        return lock.acquire()


def _progress() -> "Progress":
    """Progress bars, on a terminal only."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console(),
        transient=True,
        disable=not console().is_terminal,
    )


def _bar(progress: "Progress", name: str, size: int) -> Callable[[int], None]:
    """Add the progress bar of a file; returns a function that sets the number of bytes."""
    task = progress.add_task(name, total=size)
    return lambda completed: progress.update(task, completed=completed)
