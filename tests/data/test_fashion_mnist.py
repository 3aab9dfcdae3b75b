"""The files of Fashion-MNIST: found, checked, read, and fetched once."""

import gzip
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import NO_LOCAL, PROJECT
from filelock import FileLock
from serving import Request, serving

from fae.cli.compose import compose
from fae.data import published
from fae.data.fashion_mnist.files import files
from fae.data.fashion_mnist.images import FashionMNIST
from fae.errors import DataError

LABELS = "t10k-labels-idx1-ubyte"
PACKED = sorted(f"{name}.gz" for name in files.FILES)


@pytest.fixture
def copy(fashion_mnist: FashionMNIST, tmp_path: Path) -> Path:
    """A folder of files that a test may damage."""
    folder = files.folder(tmp_path)
    shutil.copytree(fashion_mnist.folder, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without data, an empty cache, and servers that are not there."""
    (tmp_path / "project" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FAE_DATA", raising=False)
    monkeypatch.setattr(files, "SERVERS", ["http://127.0.0.1:1/"])
    return tmp_path / "project" / "work"


def composed_root(*overrides: str) -> str:
    return str(compose(NO_LOCAL, *overrides).plain()["data"]["root"])


def test_the_files_are_looked_for_in_this_order(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last place to the first, each before those that were there already."""
    cache = nowhere.parents[1] / "cache" / "fae"
    assert composed_root() == str(cache)
    for place in (nowhere.parent / "shared/data", nowhere.parent / "data", nowhere / "data"):
        files.folder(place).mkdir(parents=True)
        for name in files.FILES:
            assert composed_root() != str(place), "it lacks some yet"
            (files.folder(place) / name).touch()
        assert composed_root() == str(place)
    monkeypatch.setenv("FAE_DATA", "")
    assert composed_root() == str(nowhere / "data")
    monkeypatch.setenv("FAE_DATA", "/theirs")
    assert composed_root() == "/theirs"
    assert composed_root("data.root=mine") == str(nowhere / "mine")
    assert composed_root("data.root=null") == str(nowhere / "data")


def test_who_has_no_home_has_the_files_in_the_project(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert composed_root() == str(nowhere / "data")


def test_a_place_that_cannot_be_looked_into_is_passed_over(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may look anywhere, the refusal is simulated."""

    def refuse(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    assert files.root() == nowhere.parents[1] / "cache" / "fae"


def test_good_files_are_verified_without_writing(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("wrote into the folder"))
    FashionMNIST(copy.parents[1]).verify()
    assert sorted(os.listdir(copy)) == PACKED


@pytest.mark.parametrize("form", ["unpacked", "packed anew"])
def test_the_content_counts_not_its_packing(
    copy: Path, fashion_mnist: FashionMNIST, form: str
) -> None:
    for name in files.FILES:
        packed = copy / f"{name}.gz"
        content = gzip.decompress(packed.read_bytes())
        if form == "unpacked":
            packed.unlink()
            (copy / name).write_bytes(content)
        else:
            packed.write_bytes(gzip.compress(content, compresslevel=1))
    data_set = FashionMNIST(copy.parents[1])
    data_set.verify()
    for ours, theirs in (
        (data_set.training(), fashion_mnist.training()),
        (data_set.test(), fashion_mnist.test()),
    ):
        assert ours.pixels.equal(theirs.pixels)
        assert ours.labels.equal(theirs.labels)


def damage(content: bytes, how: str) -> bytes:
    unpacked = gzip.decompress(content)
    return {
        "truncated": content[:-1],
        "altered": content[:100] + bytes([content[100] ^ 1]) + content[101:],
        "other content": gzip.compress(unpacked[:-1] + b"\xff"),
        "shorter content": gzip.compress(unpacked[:-1]),
        "longer content": gzip.compress(unpacked + b"\0"),
        "not packed": unpacked,
        "empty": b"",
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        *["truncated", "altered", "other content", "shorter content", "longer content"],
        *["not packed", "empty"],
    ],
)
def test_a_damaged_file_is_refused(copy: Path, how: str) -> None:
    victim = copy / f"{LABELS}.gz"
    victim.write_bytes(damage(victim.read_bytes(), how))
    data_set = FashionMNIST(copy.parents[1])
    with pytest.raises(DataError, match=rf"{LABELS}\.gz: not the official file"):
        data_set.verify()
    with pytest.raises(DataError, match=rf"{LABELS}\.gz: not the official file"):
        data_set.test()


def test_a_bomb_is_refused_in_little_memory(copy: Path) -> None:
    """A gigabyte and more in a file of a megabyte; the process may have half of that."""
    zeros = gzip.compress(bytes(2**20))
    (copy / f"{LABELS}.gz").write_bytes(zeros * 1200)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from fae.data.fashion_mnist.files import files\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))\n"
        f"files.check(Path(sys.argv[1]), {LABELS!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(copy)], capture_output=True, text=True, cwd=PROJECT
    )
    assert done.stderr.splitlines()[-1].startswith("fae.errors.DataError: ")
    assert "not the official file" in done.stderr


def test_no_data_and_no_network_says_what_to_do(nowhere: Path) -> None:
    data_set = FashionMNIST(nowhere / "data")
    with pytest.raises(DataError) as error:
        data_set.verify()
    first, second, third = str(error.value).splitlines()
    assert first == (
        f"data.root: no Fashion-MNIST in {data_set.folder}; "
        "downloading it failed (127.0.0.1:1: Connection refused)"
    )
    assert second.startswith("to train without it: python -m fae.train -m experiment=digits, or ")
    assert third.startswith("to use it: set FAE_DATA or data.root to a folder")


def test_a_folder_that_cannot_be_made_is_refused(nowhere: Path) -> None:
    (nowhere / "file").write_text("")
    with pytest.raises(
        DataError, match=r"no Fashion-MNIST in .*cannot be downloaded there \(Not a dir"
    ):
        FashionMNIST(nowhere / "file").verify()


@pytest.fixture
def mirror(fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The published files on a server that comes after one that lacks them; its requests."""

    def answer(request: Request) -> None:
        content = (fashion_mnist.folder / request.path.removeprefix("/")).read_bytes()
        request.begin(200, Content_Length=len(content))
        request.wfile.write(content)

    def absent(request: Request) -> None:
        request.begin(404, Content_Length=0)

    with ExitStack() as until_end:
        first, refused = until_end.enter_context(serving(absent))
        second, asked = until_end.enter_context(serving(answer))
        monkeypatch.setattr(files, "SERVERS", [first, second])
        yield asked
        assert len(refused) <= 1, "a server without the files is asked once"


def test_processes_that_start_at_once_download_each_file_once(
    mirror: list[str], tmp_path: Path
) -> None:
    data_set = FashionMNIST(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: data_set.verify(), range(4)))
    assert sorted(mirror) == [f"/{name} bytes=0-" for name in PACKED]
    assert sorted(os.listdir(data_set.folder)) == [".lock", *PACKED]


def test_a_message_says_that_another_process_is_waited_for(
    mirror: list[str], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one ends as soon as it was told."""
    (copy / f"{LABELS}.gz").unlink()
    held, told = FileLock(copy / ".lock"), list[str]()
    held.acquire()

    def say(line: str) -> None:
        told.append(line)
        held.release()

    monkeypatch.setattr(published, "say", say)
    files.fetch(copy)
    assert told == [f"waiting for another process that is downloading Fashion-MNIST into {copy}"]
    assert mirror == [f"/{LABELS}.gz bytes=0-"]


def test_only_what_is_missing_is_downloaded(mirror: list[str], copy: Path) -> None:
    (copy / f"{LABELS}.gz").unlink()
    FashionMNIST(copy.parents[1]).verify()
    assert mirror == [f"/{LABELS}.gz bytes=0-"]


@pytest.mark.usefixtures("mirror")
def test_where_there_is_no_terminal_nothing_is_shown(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / f"{LABELS}.gz").unlink()
    files.fetch(copy)
    assert capsys.readouterr() == ("", "")
