"""What waits for the store: nothing outside is read, stored or removed, whatever a journal says."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fae.config import Config
from fae.errors import UndeliveredError
from fae.tracking.archive import Archive
from fae.tracking.journal import Journal
from fae.tracking.outbox import DamagedError, Outbox
from fae.tracking.recovery import deliver
from fae.tracking.store import Store

Tiny = Callable[..., Config]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret", "a/../../secret", "..", "", "/", ".", "a\0b"]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(DamagedError, match="is not in it"):
        Outbox(tmp_path).find(path)


def test_what_waits_is_found_and_what_was_stored_is_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    place = outbox.place("figures/curves.png")
    assert outbox.find("figures/curves.png") is None
    place.parent.mkdir(parents=True)
    place.write_text("curves")
    assert outbox.find("figures/curves.png") == place == tmp_path / "outbox/figures/curves.png"
    assert outbox.find("figures") == place.parent
    assert outbox.find("figures/curves.png/more") is None


def link_file(outbox: Path, secret: Path) -> None:
    outbox.mkdir()
    (outbox / "a").symlink_to(secret)


def link_folder_above(outbox: Path, secret: Path) -> None:
    outbox.symlink_to(secret.parent)
    secret.rename(secret.with_name("a"))


def link_within_folder(outbox: Path, secret: Path) -> None:
    (outbox / "a" / "deep").mkdir(parents=True)
    (outbox / "a" / "deep" / "weights").symlink_to(secret)


def make_pipe(outbox: Path, _: Path) -> None:
    outbox.mkdir()
    os.mkfifo(outbox / "a")


@pytest.mark.parametrize(
    "lay", [link_file, link_folder_above, link_within_folder, make_pipe], ids=lambda f: f.__name__
)
def test_what_is_not_made_of_files_is_refused(
    tmp_path: Path, lay: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "secrets" / "secret"
    secret.parent.mkdir()
    secret.write_text("secret")
    (tmp_path / "run").mkdir()
    lay(tmp_path / "run" / "outbox", secret)
    with pytest.raises(DamagedError, match="neither a file nor a folder"):
        Outbox(tmp_path / "run").find("a")


@pytest.mark.parametrize("way", ["absolute", "dots", "link"])
@pytest.mark.parametrize("kind", ["file", "picture", "model"])
def test_a_hostile_journal_stores_and_removes_no_file_of_the_user_s(
    tiny: Tiny, client: MlflowClient, tmp_path: Path, kind: str, way: str
) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    (home / "tree").mkdir(parents=True)
    for path in (home / "diary.png", home / "tree" / "MLmodel", home / "tree" / "thesis"):
        path.write_text("flavors: {}")
    target = home / ("tree" if kind == "model" else "diary.png")
    run.mkdir()
    tracking = tiny().tracking
    with Store(tracking).run("hostile", kind="run", folder=run, command="") as made:
        pass
    paths = {"absolute": str(target), "dots": f"../../home/{target.name}", "link": "linked"}
    if way == "link":
        (run / "outbox").mkdir(exist_ok=True)
        (run / "outbox" / "linked").symlink_to(target)
    more = {
        "file": {},
        "picture": {"key": "k", "step": 1, "time": 1},
        "model": {"run": "r", "step": 1},
    }
    Journal(run).append({kind: paths[way], "bytes": 1, **more[kind]})
    before = files(home)
    with pytest.raises(UndeliveredError, match=r"damaged and lost: .*; all else is stored"):
        deliver(run, Archive(tracking))
    assert files(home) == before
    stored = client.get_run(made.id)
    assert client.list_artifacts(made.id) == []
    assert not (stored.outputs and stored.outputs.model_outputs)


def test_nothing_is_written_through_a_link(
    tiny: Tiny, client: MlflowClient, tmp_path: Path
) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    for folder in (run, home):
        folder.mkdir()
    with Store(tiny().tracking).run("linked", kind="run", folder=run, command="") as made:
        (run / "outbox").symlink_to(home)
        made.log_text("hello", "notes/hello.txt")
    assert list(home.iterdir()) == []
    assert made.lacking.startswith(f"linked: {run} is missing notes/hello.txt")
    assert client.get_run(made.id).info.status == "KILLED"


def test_a_folder_that_is_gone_is_not_made_anew(tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with Store(tiny().tracking).run("gone", kind="run", folder=run, command="") as made:
        run.rename(tmp_path / "moved")
        made.log_text("hello", "notes/hello.txt")
        made.log_metrics({"a": 1.0}, step=1)
    assert not run.exists()
    assert made.lacking
