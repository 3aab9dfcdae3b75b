"""Folders of runs, which anyone may have changed, put right by the commands that do so."""

import json
import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NO_LOCAL
from dying import died
from mlflow import MlflowClient

from fae.cli.compose import compose
from fae.config import Config
from fae.errors import FaeError
from fae.runs import checks
from fae.runs.task import Task, look_up
from fae.runtime.files import read_own
from fae.tracking import uploader
from fae.tracking.address import of_file
from fae.tracking.archive import Archive
from fae.tracking.folder import home
from fae.tracking.sync import sync
from soak.conftest import Soak

ODD: tuple[Any, ...] = (None, True, -1, 2**63, 10**400, 0.5, float("nan"), "", "\0", [], [[1]], {})
ENTRIES: tuple[dict[str, Any], ...] = (
    {"parameters": {"hidden": "4"}},
    {"metrics": {"val/mse": 0.25}, "step": 2, "time": 2},
    {"tags": {"tag": "set"}},
    {"data": {"name": "n", "digest": "d", "source": "s", "sizes": {"train": 1}}},
    {"file": "notes/first.txt", "bytes": 5},
    {"picture": "pictures/p-1.png", "bytes": 5, "key": "p", "step": 1, "time": 1},
    {"model": "model", "bytes": 5, "run": "r", "step": 1},
    {"end": "FINISHED", "time": 1234567890123},
)
"""One of each kind; what is not there any more counts as stored."""
FILES = ("journal.jsonl", "delivered", "run.json", "run.lock", "outbox/notes/first.txt")


def line(entry: object) -> bytes:
    text = json.dumps(entry).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


class Victim:
    """A folder of the user's that no run has to do with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("diary.txt", "tree/MLmodel", "tree/thesis.txt", "outbox/notes/first.txt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("flavors: {}\n")
        self.before = self.now()

    def now(self) -> dict[str, tuple[int, int, bytes | None]]:
        """What there is, when it was last changed, and what it holds."""
        return {
            str(path): (
                path.lstat().st_mode,
                path.lstat().st_mtime_ns,
                path.read_bytes() if path.is_file() else None,
            )
            for path in (self.folder, *self.folder.rglob("*"))
        }

    def ways(self, run: Path) -> list[str]:
        """Paths to its files, as a run's folder may name them."""
        targets = [self.folder / name for name in ("diary.txt", "tree", "outbox/notes/first.txt")]
        relative = [os.path.relpath(target, run / "outbox") for target in targets]
        return [*map(str, targets), *relative, f"notes/../{relative[0]}", "linked", "linked/tree"]


def flip(folder: Path, _: Victim, chance: random.Random) -> None:
    file = folder / chance.choice(FILES[:3])
    content = bytearray(read_own(file))  # not through a link that another change has made
    for _times in range(chance.choice((1, 1, 1, 20))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def cut(folder: Path, _: Victim, chance: random.Random) -> None:
    file = folder / chance.choice(FILES[:3])
    content = read_own(file)
    start, end = sorted((chance.randrange(len(content)), chance.randrange(len(content))))
    file.write_bytes(content[:start] + content[end:])


def forge(folder: Path, victim: Victim, chance: random.Random) -> None:
    """A line as fae writes it, one of whose values is another."""
    entry = json.loads(json.dumps(chance.choice(ENTRIES)))
    key = chance.choice(list(entry))
    entry[key] = chance.choice((*ODD, *victim.ways(folder)))
    lines = read_own(folder / "journal.jsonl").splitlines(keepends=True)
    lines.insert(chance.randrange(len(lines) + 1), line(entry))
    (folder / "journal.jsonl").write_bytes(b"".join(lines))


def claim(folder: Path, victim: Victim, chance: random.Random) -> None:
    """A link of which one value is another."""
    link = json.loads(read_own(folder / "run.json"))
    link[chance.choice(list(link))] = chance.choice((*ODD, *victim.ways(folder)))
    (folder / "run.json").write_text(json.dumps(link))


def replace(folder: Path, victim: Victim, chance: random.Random) -> None:
    """A file that is a link, a pipe, a folder, or is gone."""
    file = folder / chance.choice((*FILES, "outbox", "outbox/linked", "outbox/model"))
    shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    make: Callable[[], object] = chance.choice(
        (
            lambda: file.symlink_to(chance.choice([*victim.folder.rglob("*")])),
            lambda: file.symlink_to(victim.folder),
            lambda: os.mkfifo(file),
            lambda: file.mkdir(),
            lambda: None,
        )
    )
    make()


def put_right(folder: Path, config: Config) -> list[str]:
    """All that looks at folders of runs, as the commands do; the sentences of what is refused."""
    one = Task(config, [])

    def plan() -> None:
        look_up([one], Archive(config.tracking), config.sweep)

    refused = []
    for act in (
        lambda: [str(finding) for finding in checks.journals("sync")],
        lambda: [str(finding) for finding in checks.store(config, "sync")],
        plan,
        lambda: sync([folder], config.tracking),
    ):
        try:
            act()
        except FaeError as error:
            refused.append(str(error))
    return refused


def test_folders_of_runs_that_anyone_may_write_touch_nothing_outside(
    soak: Soak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's folder with damaged or malicious files, put right: nothing outside is touched."""
    project = tmp_path / "project"
    (project / "outputs").mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setattr(uploader, "AGAIN_S", 0.0)  # what is refused here is refused for good
    uri = f"tracking.uri='{of_file(project / 'mlflow.db')}'"
    config = compose(NO_LOCAL, "experiment=smoke", uri)
    folder, whole = project / "outputs" / "run", tmp_path / "whole"
    run_id = died(folder, config.tracking)
    client = MlflowClient(config.tracking.uri)
    client.set_tag(run_id, "fae.fingerprint", Task(config, []).fingerprint)
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.writelines(map(line, ENTRIES))
    (folder / "outbox" / "notes").mkdir(parents=True)
    (folder / "outbox" / "notes" / "first.txt").write_text("hello")
    (folder / "delivered").write_bytes(line([0, []]))
    folder.rename(whole)
    victim = Victim(tmp_path / "home")
    archive = Archive(config.tracking)
    chance, closed, delivered, silent = random.Random(0), 0, 0, 0
    times = soak.times(40, 1500)
    for number in range(times):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        client.update_run(run_id, "RUNNING")
        for change in chance.sample((flip, cut, forge, claim, replace), chance.choice((1, 1, 2))):
            try:
                change(folder, victim, chance)
            except (OSError, ValueError):
                continue  # what another change has left cannot be changed so
        refused = put_right(folder, config)
        assert victim.now() == victim.before, f"after change {number}"
        status = client.get_run(run_id).info.status
        named = [line for line in [*refused, capsys.readouterr().out] if str(folder) in line]
        if status == "RUNNING" and not named:  # perhaps a process runs it elsewhere
            run = archive.run(run_id)
            assert home(run) is None, f"after change {number}"
            assert archive.take_over(run), f"after change {number}"
            assert victim.now() == victim.before, f"after change {number}"
            silent += 1
        closed += status != "RUNNING"
        delivered += status == "FINISHED"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "project", "whole"]
    assert closed > times / 3  # a run whose folder does not prove to be its own waits for silence
    assert delivered > times / 10
    soak.tell(
        f"{times} changes: nothing outside touched, no traceback; {closed} closed, {delivered} of "
        f"these as they had ended, {silent} taken over once they had been silent, the others named"
    )
