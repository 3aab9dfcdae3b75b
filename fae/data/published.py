"""Files of published data sets: finding, downloading, checking and reading them.

Light at import (no torch), as settings look for the files; data sets make tensors of them.
"""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from platformdirs import user_cache_path

from fae.errors import DataError
from fae.runtime.console import console, say

if TYPE_CHECKING:
    from rich.progress import Progress

LOCAL_FOLDERS = ["data", "../data", "../shared/data"]
"""Folders that may hold the files, relative to the working directory."""
ADVICE = (
    "to train without it: python -m fae.train -m experiment=digits, or data=digits batch_size=100\n"
    "to use it: set FAE_DATA or data.root to a folder that holds "
)


@dataclass(frozen=True)
class Published:
    """A file as it was published.

    Attributes:
        size, sha256: of its content.
        packed_size, packed_sha256: of the gzip file ``<name>.gz`` that servers offer in its place;
            0 and empty if they offer the file itself.
    """

    size: int
    sha256: str
    packed_size: int = 0
    packed_sha256: str = ""


@dataclass
class PublishedFiles:
    """The files of a data set.

    Attributes:
        title: what a reader calls the data set.
        subfolder: of the data root, with the files; the one that torchvision has.
        layout: what a data root holds, in words.
        training_images: number of images to train and validate on.
        FILES: by their names.
        SERVERS: URLs that end in a slash, tried in this order; each offers all files.
    """

    title: str
    subfolder: str
    layout: str
    training_images: int
    FILES: Mapping[str, Published]
    SERVERS: Sequence[str]

    def root(self) -> Path:
        """The first of ``LOCAL_FOLDERS`` that holds all files, or a folder in the user's cache.

        Without a home directory there is no cache; files are then downloaded into the first of
        ``LOCAL_FOLDERS``.
        """
        for place in map(Path, LOCAL_FOLDERS):
            with suppress(OSError):  # no permission to read the folder
                if not self.missing(self.folder(place)):
                    return place.resolve()
        with suppress(RuntimeError):  # raised by some versions of platformdirs; others return ~
            cache = user_cache_path("fae")
            if cache.is_absolute():
                return cache
        return Path(LOCAL_FOLDERS[0])

    def root_if_unset(self, path: object) -> object:
        """A data root as it was given, or where it was not, ``root()``."""
        return self.root() if path in (None, "") else path

    def folder(self, root: Path) -> Path:
        """Folder of the files below the data root."""
        return root / self.subfolder

    def missing(self, folder: Path) -> list[str]:
        """Names of the files that are present neither packed nor unpacked.

        Raises:
            OSError: the folder cannot be read.
        """
        return [name for name in self.FILES if not _path(folder, name).is_file()]

    def check(self, folder: Path, name: str) -> None:
        """Check a file against the published SHA-256.

        Raises:
            DataError: its content differs, or it cannot be read.
        """
        path, published = _path(folder, name), self.FILES[name]
        with _reading(path), path.open("rb") as file:
            content = file.read(published.packed_size + 1)
        if hashlib.sha256(content).hexdigest() != published.packed_sha256:
            self.read(folder, name)  # never packed, unpacked, or packed again

    def read(self, folder: Path, name: str) -> bytearray:
        """The content of a file, unpacked and checked.

        Reads no more than the published size, so that a decompression bomb is harmless.

        Raises:
            DataError: its content differs from what was published, or it cannot be read.
        """
        path, published = _path(folder, name), self.FILES[name]
        content = bytearray(published.size + 1)
        with _reading(path), path.open("rb") if path.name == name else gzip.open(path) as file:
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

    def fetch(self, folder: Path) -> None:
        """Download the missing files, each atomically; one process at a time.

        Raises:
            DataError: a file cannot be downloaded, or the folder is not writable.
        """
        from fae.data.download import DownloadError

        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._exclusive(folder), _progress() as progress:
                self._fetch(folder, progress)
        except DownloadError as error:
            raise self._lacking(folder, f"downloading it failed ({error})") from error
        except OSError as error:
            problem = f"cannot be downloaded there ({error.strerror or error})"
            raise self._lacking(folder, problem) from error

    def _fetch(self, folder: Path, progress: "Progress") -> None:
        from fae.data.download import download

        servers = [*self.SERVERS]
        for name in self.missing(folder):
            published, offered = self.FILES[name], name
            size, sha256 = published.size, published.sha256
            if published.packed_size:
                offered = f"{name}.gz"
                size, sha256 = published.packed_size, published.packed_sha256
            addresses = [server + offered for server in servers]
            show = _bar(progress, offered, size)
            number = download(folder / offered, addresses, size, sha256, show)
            servers = servers[number:] + servers[:number]

    def _lacking(self, folder: Path, problem: str) -> DataError:
        return DataError(
            f"data.root: no {self.title} in {folder}; {problem}\n{ADVICE}{self.layout}"
        )

    def _exclusive(self, folder: Path) -> AbstractContextManager[object]:
        """Hold the lock of a folder's downloads; waits for another process to finish."""
        from filelock import FileLock, Timeout

        lock = FileLock(folder / ".lock")
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting for another process that is downloading {self.title} into {folder}")
            return lock.acquire()


class PublishedDataSet:
    """What a ``DataSet`` of published files does with its files.

    Args:
        root: the data root.
    """

    files: ClassVar[PublishedFiles]

    def __init__(self, root: Path) -> None:
        self.folder: Path = self.files.folder(root)

    def missing(self) -> str:
        try:
            absent = self.files.missing(self.folder)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be read ({error.strerror})") from error
        for name in self.files.FILES.keys() - absent:
            self.files.check(self.folder, name)
        count = len(self.files.FILES)
        return f"{self.folder} lacks {len(absent)} of {count} files" if absent else ""

    def verify(self) -> None:
        """Check the files, after downloading missing ones.

        Raises:
            DataError: a file is damaged, or missing and cannot be downloaded.
        """
        if self.missing():
            self.files.fetch(self.folder)
            for name in self.files.FILES:
                self.files.check(self.folder, name)


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
