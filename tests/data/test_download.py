"""Downloads: whole, resumed or not at all, whatever the server does."""

import hashlib
import os
import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import Answer, Request, serving

from fae.data import download as module
from fae.data.download import DownloadError, download

CONTENT = random.Random(0).randbytes(300_000)
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = 150_000


@pytest.fixture
def answer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """A bad one; slow ones are not waited for long."""
    if request.param in SLOW:
        monkeypatch.setattr(module, "TIMEOUT_S", 1.0)
    bad: Answer = request.param
    return bad


def fetch(path: Path, *answers: Answer) -> list[list[str]]:
    """What was asked of servers with these answers, one each."""
    shown: list[int] = []
    with ExitStack() as until_end:
        servers = [until_end.enter_context(serving(answer)) for answer in answers]
        addresses = [f"{address}file" for address, _ in servers]
        download(path, addresses, SIZE, SHA256, shown.append)
    assert path.read_bytes() == CONTENT
    assert shown[-1] == SIZE
    assert os.listdir(path.parent) == [path.name]
    return [asked for _, asked in servers]


def whole(request: Request) -> None:
    """As a server does that knows nothing of ranges."""
    request.begin(200, Content_Length=SIZE)
    request.wfile.write(CONTENT)


def start_of(request: Request) -> int:
    return int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))


def part(request: Request) -> None:
    start = start_of(request)
    content_range = f"bytes {start}-{SIZE - 1}/{SIZE}"
    request.begin(206, Content_Length=SIZE - start, Content_Range=content_range)
    request.wfile.write(CONTENT[start:])


def cut_off(request: Request) -> None:
    """After half of the file; the rest when asked for it."""
    if start_of(request):
        return part(request)
    request.begin(200, Content_Length=SIZE)
    request.wfile.write(CONTENT[:HALF])
    return None


def always_cut_off(request: Request) -> None:
    request.begin(200, Content_Length=SIZE)
    request.wfile.write(CONTENT[:HALF])


def ended_early(request: Request) -> None:
    """Without a length, as if that were all."""
    request.begin(200)
    request.wfile.write(CONTENT[:HALF])


def absent(request: Request) -> None:
    request.begin(404, Content_Length=0)


def wrong(request: Request) -> None:
    request.begin(200, Content_Length=SIZE)
    request.wfile.write(CONTENT[::-1])


def another_page(request: Request) -> None:
    """As networks that want a login first."""
    request.begin(200, Content_Length=5)
    request.wfile.write(b"login")


def another_part(request: Request) -> None:
    request.begin(206, Content_Length=SIZE, Content_Range=f"bytes 7-{SIZE - 1}/{SIZE}")
    request.wfile.write(CONTENT)


def endless(request: Request) -> None:
    request.begin(200)
    while True:
        request.wfile.write(CONTENT[::-1])


def silent(request: Request) -> None:
    request.over.wait()


def silent_halfway(request: Request) -> None:
    always_cut_off(request)
    request.over.wait()


def dripping(request: Request) -> None:
    request.begin(200, Content_Length=SIZE)
    while not request.over.wait(0.05):
        request.wfile.write(b"x")


def dripping_header(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while not request.over.wait(0.05):
        request.wfile.write(b"x")


def redirect(request: Request) -> None:
    if request.path == "/file":
        request.begin(302, Location="/moved", Content_Length=0)
    else:
        part(request)


def endless_redirect(request: Request) -> None:
    request.begin(302, Location=request.path + "x", Content_Length=0)


def no_address(request: Request) -> None:
    request.begin(302, Location="file:///etc/passwd", Content_Length=0)


@pytest.mark.parametrize("good", [whole, part])
def test_a_file_is_fetched(tmp_path: Path, good: Answer) -> None:
    assert fetch(tmp_path / "it", good) == [["/file bytes=0-"]]


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    assert fetch(tmp_path / "it", redirect) == [["/file bytes=0-", "/moved bytes=0-"]]


def test_what_was_cut_off_is_resumed(tmp_path: Path) -> None:
    ((first, second),) = fetch(tmp_path / "it", cut_off)
    assert first == "/file bytes=0-"
    assert 0 < int(second.removeprefix("/file bytes=").removesuffix("-")) <= HALF


@pytest.mark.parametrize("there", [1, HALF, SIZE - 1])
def test_what_an_earlier_command_left_is_resumed(tmp_path: Path, there: int) -> None:
    (tmp_path / ".it.part").write_bytes(CONTENT[:there])
    assert fetch(tmp_path / "it", part) == [[f"/file bytes={there}-"]]


def test_where_a_server_cannot_resume_it_begins_anew(tmp_path: Path) -> None:
    (tmp_path / ".it.part").write_bytes(CONTENT[:HALF])
    assert fetch(tmp_path / "it", whole) == [[f"/file bytes={HALF}-"]]


def test_a_complete_file_is_not_requested(tmp_path: Path) -> None:
    (tmp_path / ".it.part").write_bytes(CONTENT)
    path = tmp_path / "it"
    assert download(path, ["http://127.0.0.1:1/file"], SIZE, SHA256, print) == 0
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * HALF, b"x" * SIZE, b"x" * (SIZE + 1)])
def test_what_was_left_and_is_wrong_is_fetched_anew(tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".it.part").write_bytes(left)
    (asked,) = fetch(tmp_path / "it", part)
    assert asked[-1] == "/file bytes=0-"


BAD: list[tuple[Answer, str]] = [
    (absent, "responded with status 404"),
    (wrong, "sent content with another SHA-256"),
    (endless, "sent content with another SHA-256"),
    (another_page, f"has another file, of '5' bytes instead of {SIZE}"),
    (another_part, "sent another range than requested"),
    (always_cut_off, r"IncompleteRead\("),
    (ended_early, f"ended after {HALF} of {SIZE} bytes"),
    (silent, "timed out|too slow, 0 bytes in 1 s"),
    (silent_halfway, "timed out"),
    (dripping, "too slow"),
    (dripping_header, "too slow, 0 bytes in 1 s"),
    (endless_redirect, "Exceeded 30 redirects"),
    (no_address, "No connection adapters were found for 'file:///etc/passwd'"),
]
SLOW = {silent, silent_halfway, dripping, dripping_header}
NAMES = [answer.__name__ for answer, _ in BAD]


@pytest.mark.parametrize(("answer", "problem"), BAD, ids=NAMES, indirect=["answer"])
def test_a_bad_answer_is_named_and_is_no_file(tmp_path: Path, answer: Answer, problem: str) -> None:
    with serving(answer) as (address, asked), pytest.raises(DownloadError, match=problem) as error:
        download(tmp_path / "it", [f"{address}file"], SIZE, SHA256, lambda _: None)
    host = address.removeprefix("http://").removesuffix("/")
    assert str(error.value).startswith(f"{host}: ")
    assert len([path for path in asked if path.startswith("/file ")]) <= module.ATTEMPTS
    assert not (tmp_path / "it").exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= SIZE


@pytest.mark.parametrize("answer", [bad for bad, _ in BAD], ids=NAMES, indirect=True)
def test_the_next_server_is_asked_then(tmp_path: Path, answer: Answer) -> None:
    fetch(tmp_path / "it", answer, part)


def test_the_server_that_delivered_it_is_returned(tmp_path: Path) -> None:
    with serving(absent) as (first, _), serving(whole) as (second, _):
        addresses: Sequence[str] = [f"{first}file", f"{second}file"]
        assert download(tmp_path / "it", addresses, SIZE, SHA256, lambda _: None) == 1


def test_of_no_server_the_cause_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"^127\.0\.0\.1:1: Connection refused$"):
        download(tmp_path / "it", ["http://127.0.0.1:1/file"], SIZE, SHA256, print)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """Which another user of a shared folder may have put there."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".it.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        download(tmp_path / "data" / "it", ["http://127.0.0.1:1/file"], SIZE, SHA256, print)
    assert victim.read_bytes() == b"precious"


def test_nothing_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".it.part")
    with pytest.raises(OSError, match="No such device"):
        download(tmp_path / "it", ["http://127.0.0.1:1/file"], SIZE, SHA256, print)
