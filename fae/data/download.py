"""Download of a published file: tries several servers, resumes, and limits time and size.

The choice of the file, and locking against other processes, are left to the caller.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO
from urllib.parse import urlsplit

import requests

from fae.runtime import files

TIMEOUT_S = 20.0
"""Seconds in which a server must begin its response, and for which it may send nothing."""
MIN_BYTES_PER_S = 10_000
"""Minimum average rate of a server."""
ATTEMPTS = 3
"""Maximum number of requests to one server; given up earlier if a request makes no progress."""
CHUNK = 2**16

Received = SimpleQueue[tuple[int, bytes] | Exception | None]
"""Offset in the file and bytes; at the end None, or the error."""


class DownloadError(Exception):
    """No server delivered the file; the message has a reason for each."""


class AnswerError(Exception):
    """A response is not the file, or is incomplete."""


def download(
    path: Path, addresses: Sequence[str], size: int, sha256: str, show: Callable[[int], object]
) -> int:
    """Download a file atomically.

    Partial content is kept next to ``path``; the next call resumes from it.

    Args:
        addresses: URLs of the file, tried in this order.
        size: size of the file in bytes; no more are read.
        show: called with the number of bytes downloaded so far.

    Returns:
        Index of the address that delivered the file.

    Raises:
        DownloadError: no address delivered it.
        OSError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    problems = []
    for number, address in enumerate(addresses):
        problem = ""
        for _ in range(ATTEMPTS):
            before = _size(part)
            try:
                _fetch(part, address, size, sha256, show)
            except AnswerError as error:
                problem = str(error)
                if _size(part) == before:
                    break
            else:
                files.sync(part)
                os.replace(part, path)
                files.sync(path.parent)
                return number
        problems.append(f"{urlsplit(address).netloc}: {problem}")
    raise DownloadError("; ".join(problems))


def _fetch(part: Path, address: str, size: int, sha256: str, show: Callable[[int], object]) -> None:
    """Complete a file from one server, and check it; what is wrong as a whole is removed.

    Raises:
        AnswerError: it is not whole, or not the file.
    """
    with open(part, "ab", opener=_of_the_folder) as file:
        _complete(file, address, size, show)
    if hashlib.sha256(part.read_bytes()).hexdigest() != sha256:
        part.unlink()
        raise AnswerError("sent content with another SHA-256")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _of_the_folder(path: str, flags: int) -> int:
    """Open a regular file only: a link may lead anywhere, and a pipe may block forever."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def _complete(file: IO[bytes], address: str, size: int, show: Callable[[int], object]) -> None:
    """Download the rest of a partial file, or all of it if the server cannot resume.

    A thread receives, so that the time is bounded whatever the server does: requests has a timeout
    for each wait, but not for their sum over DNS, several addresses, redirects and headers.
    """
    there = file.tell()
    if there > size:
        there = file.truncate(0)
    arrived: Received = SimpleQueue()
    if there < size:
        Thread(target=_receive, args=(address, there, size, arrived), daemon=True).start()
    began, received = time.monotonic(), 0
    while there < size:
        left = began + TIMEOUT_S + received / MIN_BYTES_PER_S - time.monotonic()
        try:
            item = arrived.get(timeout=max(left, 0))
        except Empty:
            seconds = round(time.monotonic() - began)
            raise AnswerError(f"too slow, {received} bytes in {seconds} s") from None
        if item is None:
            raise AnswerError(f"ended after {there} of {size} bytes")
        if isinstance(item, Exception):
            raise AnswerError(_cause(item)) from item
        place, piece = item
        if place != there:
            file.truncate(place)
        file.write(piece)
        there = place + len(piece)
        received += len(piece)
        show(there)


def _receive(address: str, start: int, size: int, arrived: Received) -> None:
    """Request a file from byte ``start`` on, and put what arrives into the queue."""
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            place = _place(answer, start, size)
            for piece in answer.raw.stream(CHUNK, decode_content=False):
                arrived.put((place, piece[: size - place]))
                place += len(piece)
                if place >= size:
                    break
        arrived.put(None)
    except Exception as error:  # of any library; the other thread raises it
        arrived.put(error)


def _place(answer: requests.Response, start: int, size: int) -> int:
    """Offset in the file at which a response begins.

    Raises:
        AnswerError: the response is for another file or range, or an error.
    """
    if answer.status_code == requests.codes.partial_content:
        part = answer.headers.get("Content-Range")
        if part != f"bytes {start}-{size - 1}/{size}":
            raise AnswerError(f"sent another range than requested ({part!r})")
        return start
    if answer.status_code != requests.codes.ok:
        raise AnswerError(f"responded with status {answer.status_code}")
    length = answer.headers.get("Content-Length", str(size))
    if length != str(size):
        raise AnswerError(f"has another file, of {length!r} bytes instead of {size}")
    return 0


def _cause(error: BaseException) -> str:
    """Message of the innermost of several chained errors."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
