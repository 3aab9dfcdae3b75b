"""One published file over the net: from several servers, resumed, bounded in time and size.

Leaves to others which file that is, and that one process at a time fetches it.
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

PATIENCE_S = 20.0
"""Seconds within which a server has to begin its answer, and for which it may fall silent."""
SLOWEST = 10_000
"""Bytes per second that a server has to send, on average."""
TRIES = 3
"""Requests to one server, as long as each changes what is there."""
CHUNK = 2**16

Arrived = SimpleQueue[tuple[int, bytes] | Exception | None]
"""Where in the file some bytes belong, and these; at the end None, or what went wrong."""


class DownloadError(Exception):
    """No server gave the file; the text says of each why."""


class AnswerError(Exception):
    """An answer is not the file, or not all of it."""


def download(
    path: Path, addresses: Sequence[str], size: int, sha256: str, show: Callable[[int], object]
) -> int:
    """Fetch a file, whole or not at all.

    What has arrived of it lies beside ``path``, and is where the next call resumes.

    Args:
        addresses: of the file, asked in this order.
        size: of the file, in bytes; no more are read.
        show: is called with the number of bytes that are there.

    Returns:
        which address gave the file, from 0.

    Raises:
        DownloadError: none did.
        OSError: the folder does not take the file.
    """
    part = path.with_name(f".{path.name}.part")
    problems = []
    for number, address in enumerate(addresses):
        problem = ""
        for _ in range(TRIES):
            before = _size(part)
            try:
                _fetch(part, address, size, sha256, show)
            except AnswerError as error:
                problem = str(error)
            else:
                files.sync(part)
                os.replace(part, path)
                files.sync(path.parent)
                return number
            if _size(part) == before:
                break
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
        raise AnswerError("sent other bytes than were published")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _of_the_folder(path: str, flags: int) -> int:
    """Opens a file of the folder itself: a link may lead anywhere, a pipe wait for ever."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def _complete(file: IO[bytes], address: str, size: int, show: Callable[[int], object]) -> None:
    """Append what is missing of a file, or begin it anew where the server can't resume.

    A thread receives, so that time is bounded whatever the server does: requests bounds each
    wait, but not their sum over a name's look-up, several addresses, redirects and headers.
    """
    there = file.tell()
    if there > size:
        there = file.truncate(0)
    arrived: Arrived = SimpleQueue()
    if there < size:
        Thread(target=_receive, args=(address, there, size, arrived), daemon=True).start()
    began, received = time.monotonic(), 0
    while there < size:
        left = began + PATIENCE_S + received / SLOWEST - time.monotonic()
        try:
            found = arrived.get(timeout=max(left, 0))
        except Empty:
            seconds = round(time.monotonic() - began)
            raise AnswerError(f"too slow, {received} bytes in {seconds} s") from None
        if found is None:
            raise AnswerError(f"ended after {there} of {size} bytes")
        if isinstance(found, Exception):
            raise AnswerError(_cause(found)) from found
        place, piece = found
        if place != there:
            file.truncate(place)
        file.write(piece)
        there = place + len(piece)
        received += len(piece)
        show(there)


def _receive(address: str, start: int, size: int, arrived: Arrived) -> None:
    """Ask for a file from a byte on, and pass on what comes, up to its size."""
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=PATIENCE_S) as answer:
            place = _place(answer, start, size)
            for piece in answer.raw.stream(CHUNK, decode_content=False):
                arrived.put((place, piece[: size - place]))
                place += len(piece)
                if place >= size:
                    break
        arrived.put(None)
    except Exception as error:  # of whichever library; the other thread tells it
        arrived.put(error)


def _place(answer: requests.Response, start: int, size: int) -> int:
    """Where in the file an answer begins.

    Raises:
        AnswerError: it is of another file.
    """
    if answer.status_code == requests.codes.partial_content:
        part = answer.headers.get("Content-Range")
        if part != f"bytes {start}-{size - 1}/{size}":
            raise AnswerError(f"sent another part than was asked for ({part!r})")
        return start
    if answer.status_code != requests.codes.ok:
        raise AnswerError(f"answered with status {answer.status_code}")
    length = answer.headers.get("Content-Length", str(size))
    if length != str(size):
        raise AnswerError(f"has another file, of {length!r} bytes instead of {size}")
    return 0


def _cause(error: BaseException) -> str:
    """What is at the bottom of an error that several libraries have wrapped."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
