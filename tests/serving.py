"""A server on this machine whose answers are good or bad, as a test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """A request; ``answer`` is what becomes of it."""

    answer: Answer
    over: Event
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        with suppress(ConnectionError):  # the client may go when it likes
            type(self).answer(self)

    def begin(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is for failures."""


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """The server's address, which ends in a slash, and the requests that it got."""
    over, asked = Event(), list[str]()
    handler = type("Handler", (Request,), {"answer": answer, "over": over, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
