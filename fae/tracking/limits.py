"""What an answer of a server may cost: MLflow itself waits and reads on while anything comes."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWaiting
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

ANSWER_S = 60.0
"""Seconds for one answer, its repetitions included, unless MLFLOW_HTTP_REQUEST_TIMEOUT is more."""
ANSWER_BYTES = 100_000_000
"""A page of 1000 runs, the most that is ever asked for, takes a few million."""
CHUNK = 1 << 16

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns, which is left behind in its thread if it takes longer.

    Raises:
        TimeoutError: it does.
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
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None


@cache
def limit_answers() -> None:
    """Hold MLflow's requests to these limits, files that it uploads or downloads excepted.

    MLflow sends by an adapter of its own, which is private to it.
    """
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT
    from mlflow.utils.request_utils import TCPKeepAliveHTTPAdapter as Adapter

    unlimited = Adapter.send

    def send(
        self: Adapter, request: "PreparedRequest", stream: bool = False, **more: Any
    ) -> "Response":
        if request.method == "PUT":
            return unlimited(self, request, stream=stream, **more)

        def answer() -> "Response":
            response = unlimited(self, request, stream=True, **more)
            if not stream or response.is_redirect:
                response._content = _whole(response)
            return response

        return within(max(ANSWER_S, MLFLOW_HTTP_REQUEST_TIMEOUT.get()), answer)

    Adapter.send = send  # type: ignore[method-assign, assignment]


def _whole(response: "Response") -> bytes:
    content = bytearray()
    for chunk in response.iter_content(CHUNK):
        content += chunk
        if len(content) > ANSWER_BYTES:
            response.close()
            raise OSError(f"its answer is longer than {ANSWER_BYTES} bytes")
    return bytes(content)
