"""Limits to the time and size of a server's answers; MLflow itself reads as long as data arrive."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWaiting
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

ANSWER_S = 60.0
"""Seconds for one answer with its retries, unless MLFLOW_HTTP_REQUEST_TIMEOUT is larger."""
ANSWER_BYTES = 100_000_000
"""A page of 1000 runs, the largest that is requested, takes a few million bytes."""
CHUNK = 1 << 16
SLOWEST = 100_000
"""Bytes per second of a download, in addition to the time for one answer."""

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call, which is abandoned in its thread if it takes longer.

    Raises:
        TimeoutError: it takes longer.
    """
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return outcome.result(seconds)
    except StillWaiting:
        if outcome.done():  # the call's own
            raise
        raise TimeoutError(f"no complete answer within {seconds:g} s") from None


@dataclass
class _Download:
    """What is left of a download's limits, over all of its requests and threads.

    Attributes:
        size: bytes left.
        until: deadline, by ``time.monotonic``.
    """

    size: int
    until: float

    def chunks(self, response: "Response", *_: object, **__: object) -> Iterator[bytes]:
        """Replaces ``response.iter_content``."""
        chunks = type(response).iter_content(response, CHUNK)
        while chunk := within(self.seconds(), lambda: next(chunks, b"")):
            self.size -= len(chunk)
            if self.size < 0:
                response.close()
                raise OSError("it is larger than allowed")
            yield chunk

    def seconds(self) -> float:
        return max(0.0, self.until - time.monotonic())


_downloads: list[_Download] = []
"""The download in progress, if any; global, as MLflow downloads in threads of its own."""


@contextmanager
def downloading(largest: int) -> Iterator[None]:
    """Limit what MLflow downloads within the block, in bytes and in time.

    One block at a time.
    """
    _downloads.append(_Download(largest, time.monotonic() + _answer_s() + largest / SLOWEST))
    try:
        yield
    finally:
        _downloads.clear()


def _answer_s() -> float:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

    return max(ANSWER_S, float(MLFLOW_HTTP_REQUEST_TIMEOUT.get()))


@cache
def limit_answers() -> None:
    """Apply the limits to MLflow's requests, except uploads of files.

    Patches MLflow's HTTP adapter, which is private to MLflow; it has no setting for this.
    """
    from mlflow.utils.request_utils import TCPKeepAliveHTTPAdapter as Adapter

    unlimited = Adapter.send

    def send(
        self: Adapter, request: "PreparedRequest", stream: bool = False, **more: Any
    ) -> "Response":
        if request.method == "PUT":
            return unlimited(self, request, stream=stream, **more)

        download = _downloads[0] if _downloads else None

        def answer() -> "Response":
            response = unlimited(self, request, stream=True, **more)
            if not stream or response.is_redirect:
                response._content = _whole(response)
            elif download:
                response.iter_content = partial(download.chunks, response)  # type: ignore[method-assign]
            return response

        seconds = _answer_s()
        return within(min(seconds, download.seconds()) if download else seconds, answer)

    Adapter.send = send  # type: ignore[method-assign, assignment]


def _whole(response: "Response") -> bytes:
    content = bytearray()
    for chunk in response.iter_content(CHUNK):
        content += chunk
        if len(content) > ANSWER_BYTES:
            response.close()
            raise OSError(f"its answer is longer than {ANSWER_BYTES} bytes")
    return bytes(content)
