"""Checkpoints against a crash at any moment, damage of any kind, and files made to do harm."""

import bz2
import collections
import functools
import hashlib
import io
import itertools
import json
import logging
import multiprocessing
import operator
import os
import pickle
import random
import resource
import runpy
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import psutil
import pytest
import pytorch_lightning as pl
import torch
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.errors import CheckpointError
from fae.runs.build import build
from fae.runs.checkpoint import (
    Checkpoints,
    DurableCheckpointIO,
    check_fits,
    checkpoint_path,
    read,
    resume_point,
)
from fae.training.learner import Learner
from fae.training.trainer import build_trainer
from soak.conftest import Soak

FINGERPRINT = "1f" * 32
Checkpoint = dict[str, Any]


class Recorder(DurableCheckpointIO):
    """Keeps what a run saves."""

    def __init__(self) -> None:
        super().__init__(FINGERPRINT)
        self.saved: list[Checkpoint] = []

    def save_checkpoint(
        self, checkpoint: Checkpoint, path: Any, storage_options: Any = None
    ) -> None:
        self.saved.append(deepcopy(checkpoint))


def trained() -> tuple[Learner, list[Checkpoint]]:
    """A learner as its run begins, and what the run saves in each of two epochs."""
    config = compose(
        NO_LOCAL, "experiment=smoke", "hidden=4", "optimizer=adam", "optimizer.schedule=one_cycle"
    )
    data, learner = build(config, config.data.build())
    begun, recorder = deepcopy(learner), Recorder()
    build_trainer(
        config.trainer,
        epochs=2,
        folder=Path("nowhere"),
        callbacks=[Checkpoints(Path("nowhere"))],
        checkpoint_io=recorder,
    ).fit(learner, data)
    return begun, recorder.saved


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[Learner, list[Checkpoint]]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield trained()
    torch.set_num_threads(threads)


def numbered(checkpoint: Checkpoint, epoch: int) -> Checkpoint:
    """A checkpoint as if it were of this epoch."""
    return {**checkpoint, "epoch": epoch - 1}


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    path = checkpoint_path(folder, checkpoint["epoch"] + 1)
    DurableCheckpointIO(FINGERPRINT).save_checkpoint(checkpoint, path)
    return path


def dumped(checkpoint: Checkpoint) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


class Death(BaseException):
    """Of the process; nothing that it does later has an effect."""


class Disk:
    """A run's folder on a disk, whose process may die at any call that changes it.

    Args:
        folder: the run's.
        dies_at: number of the call that is its last; None for none.
        half: whether half of what that call writes is written.
    """

    CALLS = ((os, "open"), (os, "write"), (os, "fsync"), (os, "replace"))
    METHODS = ((Path, "mkdir"), (Path, "unlink"))

    def __init__(self, folder: Path, dies_at: int | None = None, half: bool = False) -> None:
        self.folder = folder / "checkpoints"
        self.dies_at = dies_at
        self.half = half
        self.calls: list[str] = []
        self.opened: dict[int, Path] = {}
        self.contents = {path: path.read_bytes() for path in self.folder.glob("*")}
        self.names = dict(self.contents)
        self.is_named = self.folder.exists()

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for owner, name in self.CALLS + self.METHODS:
            monkeypatch.setattr(owner, name, self.watched(name, getattr(owner, name)))

    def watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def watched(*arguments: Any, **options: Any) -> Any:
            if len(self.calls) == self.dies_at:
                if self.half:
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                self.half = False
                raise Death
            self.calls.append(name)
            result = call(*arguments, **options)
            self.note(name, arguments, result)
            return result

        return watched

    def note(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        """Keep in mind what is on the disk for sure: contents and names that were synced."""
        if name == "open":
            self.opened[result] = Path(arguments[0])
            if arguments[1] & os.O_TRUNC:
                self.contents.pop(Path(arguments[0]), None)
        elif name == "replace":
            self.contents[arguments[1]] = self.contents.pop(arguments[0], b"")
        elif name == "fsync":
            path = self.opened[arguments[0]]
            if path == self.folder:
                self.names = {name: self.contents.get(name, b"") for name in path.iterdir()}
            elif path.is_dir():
                self.is_named = True
            else:
                self.contents[path] = path.read_bytes()

    def keep_all(self) -> None:
        """The process dies, the system does not."""

    def lose_contents(self) -> None:
        """The power goes; names were on the disk at once, contents only where synced."""
        for path in self.folder.glob("*"):
            path.write_bytes(self.contents.get(path, b""))

    def lose_names_too(self) -> None:
        """The power goes; on the disk is what was synced and nothing else."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.is_named:
            self.folder.mkdir()
            for path, content in self.names.items():
                path.write_bytes(content)


AFTERMATHS = (Disk.keep_all, Disk.lose_contents, Disk.lose_names_too)


@dataclass(frozen=True)
class Moment:
    """When an epoch is saved.

    Attributes:
        there: the epochs saved before.
        new: the epoch to save.
        damaged: those that are there but cannot be used.
    """

    there: tuple[int, ...]
    new: int
    damaged: tuple[int, ...] = ()


MOMENTS = {
    "one that replaces the oldest": Moment((1, 2), 3),
    "the first epoch": Moment((), 1),
    "a damaged one again": Moment((2, 3), 3, damaged=(3,)),
    "a second one": Moment((1,), 2),
    "one after some that could not be saved": Moment((1, 4), 7),
    "the first one again": Moment((4, 5), 1, damaged=(4, 5)),
}


def save_at(moment: Moment, folder: Path, checkpoint: Checkpoint) -> None:
    """What a run does at an epoch's end."""

    def save_checkpoint(*_: Path, **__: bool) -> None:
        save(folder, numbered(checkpoint, moment.new))

    trainer = SimpleNamespace(current_epoch=moment.new - 1, save_checkpoint=save_checkpoint)
    Checkpoints(folder).on_train_epoch_end(cast(pl.Trainer, trainer), Mock(spec=Learner))


def crash(
    before: Path,
    moment: Moment,
    checkpoint: Checkpoint,
    dies_at: int | None = None,
    half: bool = False,
    aftermath: Callable[[Disk], None] = Disk.keep_all,
) -> Disk:
    """A copy of a folder after a save in it that may have been cut short."""
    folder = before.with_name("after")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before, folder)
    disk = Disk(folder, dies_at, half)
    with pytest.MonkeyPatch.context() as patch, suppress(Death):
        disk.watch(patch)
        save_at(moment, folder, checkpoint)
    aftermath(disk)
    return disk


def crashes(calls: list[str]) -> Iterator[tuple[int | None, bool, Callable[[Disk], None]]]:
    """Before each of these calls, and within each write; at last after all of them."""
    for aftermath in AFTERMATHS:
        for number, call in enumerate(calls):
            yield number, False, aftermath
            if call == "write":
                yield number, True, aftermath
        yield None, False, aftermath


def test_a_crash_at_any_system_call_of_a_save_leaves_a_good_checkpoint(
    soak: Soak, run: tuple[Learner, list[Checkpoint]], tmp_path: Path
) -> None:
    """A crash at any write, fsync, rename or unlink of a save leaves a good checkpoint.

    Enumerated: every call, each write also cut in its middle, and of each the three outcomes
    that a disk may give it.
    """
    learner, (old, new) = run
    tried = without = 0
    for name, moment in itertools.islice(MOMENTS.items(), soak.times(3, len(MOMENTS))):
        before = tmp_path / name / "before"
        before.mkdir(parents=True)
        for epoch in moment.there:
            save(before, numbered(old, epoch))
        for epoch in moment.damaged:
            checkpoint_path(before, epoch).write_bytes(b"damaged")
        last = max(set(moment.there) - set(moment.damaged), default=None)
        calls = crash(before, moment, new).calls
        assert calls.count("replace") == calls.count("write") == 2
        for dies_at, half, aftermath in crashes(calls):
            crash(before, moment, new, dies_at, half, aftermath)
            found = resume_point(before.with_name("after"), learner, FINGERPRINT)
            where = f"{name}: call {dies_at} of {calls}, {aftermath.__name__}"
            tried += 1
            if found is None:
                assert last is None, where
                assert dies_at is not None, where
                without += 1
                continue
            is_new = found.stem == f"epoch={moment.new}"
            assert is_new or (found.stem == f"epoch={last}" and dies_at is not None), where
            weights = read(found, FINGERPRINT)["state_dict"]
            assert dumped(weights) == dumped((new if is_new else old)["state_dict"]), where
    soak.tell(
        f"{tried} crashes in a save or right after it: {tried - without} times the new "
        f"one or the one before loads bit for bit, {without} times there was none before"
    )


def test_damaged_checkpoints_are_never_loaded(
    soak: Soak,
    run: tuple[Learner, list[Checkpoint]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Truncated or with a single bit flipped, a checkpoint is noticed and not used.

    So is what is beside it, unless its meaning is the same.
    """
    learner, saved = run
    for epoch, checkpoint in enumerate(saved, start=1):
        save(tmp_path, numbered(checkpoint, epoch))
    path, previous = checkpoint_path(tmp_path, 2), checkpoint_path(tmp_path, 1)
    sound = {file: file.read_bytes() for file in (path, path.with_suffix(".json"))}
    whole = dumped(read(path, FINGERPRINT))
    draw = random.Random(0)
    times = soak.times(60, 500)
    harmless = 0
    for kind, file in [(k, f) for k in ("cut", "flip") for f in sound for _ in range(times)]:
        content = bytearray(sound[file])
        if kind == "cut":
            del content[draw.randrange(len(content)) :]
        else:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        start = resume_point(tmp_path, learner, FINGERPRINT)
        warning = capsys.readouterr().out
        try:
            loaded = read(path, FINGERPRINT)
        except CheckpointError:
            assert start == previous
            assert warning.startswith(f"warning: epoch 2 cannot be used ({path}: ")
        else:
            assert file.suffix == ".json"
            assert dumped(loaded) == whole
            assert (start, warning) == (path, "")
            harmless += 1
        file.write_bytes(sound[file])
    soak.tell(
        f"{4 * times - harmless} of {4 * times} noticed: {times} truncations and {times} flips of "
        f"checkpoints, as many of what is beside them; {harmless} of the latter without a meaning"
    )


SLACK = 32 * 2**20
"""Bytes that reading a malicious file of at most a megabyte may take."""


class Call:
    """Is pickled as a call, which its unpickling makes."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def calls(canary: Path) -> Iterator[tuple[str, Call]]:
    """Calls that leave a file behind."""
    shell, source = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    script = canary.with_suffix(".py")
    script.write_text(source)
    yield "os.system", Call(os.system, shell)
    yield "subprocess.check_call", Call(subprocess.check_call, ["touch", str(canary)])
    yield "eval", Call(eval, source)
    yield "exec", Call(exec, source)
    yield "open", Call(open, str(canary), "w")
    yield "os.open", Call(os.open, str(canary), os.O_CREAT)
    yield "os.mkdir", Call(os.mkdir, str(canary))
    yield "Path.touch", Call(Path.touch, canary)
    yield "shutil.copyfile", Call(shutil.copyfile, str(script), str(canary))
    yield "logging.FileHandler", Call(logging.FileHandler, str(canary))
    yield "zipfile.ZipFile", Call(zipfile.ZipFile, str(canary), "w")
    yield "bz2.open", Call(bz2.open, str(canary), "w")
    yield "runpy.run_path", Call(runpy.run_path, str(script))
    yield "functools.partial", Call(functools.partial(os.system, shell))
    yield "operator.methodcaller", Call(operator.methodcaller("touch"), canary)
    yield "map", Call(collections.deque, map(os.system, [shell]))
    yield "pickle.loads", Call(pickle.loads, pickle.dumps(Call(os.system, shell)))
    yield "functools.reduce", Call(functools.reduce, os.open, [str(canary), os.O_CREAT])


def code(good: Checkpoint, canary: Path) -> Iterator[tuple[str, bytes]]:
    """Files that would run code if they were unpickled."""
    weights = good["state_dict"]
    places: list[Callable[[Call], Any]] = [
        lambda call: call,
        lambda call: {**good, "callbacks": call},
        lambda call: {**good, "hyper_parameters": {"_instantiator": call}},
        lambda call: {**good, "state_dict": {**weights, "network.encoder.weight": call}},
        lambda call: {**good, "lr_schedulers": [{**good["lr_schedulers"][0], "total_steps": call}]},
        lambda call: {**good, "loops": {call: 1}},
    ]
    for place, (name, call) in zip(itertools.cycle(places), calls(canary)):
        yield name, dumped(place(call))
    call = Call(os.system, f"touch {canary}")
    for protocol in (0, 1, 3, 4, 5):
        pickled = pickle.dumps({**good, "epoch": call, "state_dict": {}}, protocol)
        yield f"pickle protocol {protocol}", archive(pickled)
    shell = f"S'touch {canary}'\n".encode()
    yield "INST", archive(b"(" + shell + b"ios\nsystem\n.")
    yield "OBJ", archive(b"(cos\nsystem\n" + shell + b"o.")
    yield "a pickle", pickle.dumps(call)
    legacy = io.BytesIO()
    torch.save({**good, "epoch": call}, legacy, _use_new_zipfile_serialization=False)
    yield "a legacy file", legacy.getvalue()
    yield "a legacy file before an archive", legacy.getvalue() + dumped(good)


def archive(pickled: bytes, records: dict[str, bytes] | None = None, **options: Any) -> bytes:
    """What torch would take for its own, of this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as file:
        for name, content in {"data.pkl": pickled, "version": b"3\n", **(records or {})}.items():
            file.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    stored: int, size: int, stride: int = 1, offset: int = 0, key: str = "0", place: str = "cpu"
) -> bytes:
    """Pickles a tensor that declares this of itself."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text(place)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (storage + number(stored) + b"tQ" + number(offset) + numbers(size) + numbers(stride))
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def copies(kind: str, end: bytes) -> bytes:
    """Pickles a dictionary of 5000 entries, and 1000 more things made of it."""
    entries = b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(5000))
    return b"}(" + entries + b"uq\x00c" + kind.encode() + b"q\x01" + (b"h\x01" + end) * 1000


def bombs(good: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """Files that would take far more memory than they are large."""
    large = bytes(2 * SLACK + 0x10203)
    crafted = {
        "bytearray": b"c__builtin__\nbytearray\n" + number(10**9) + b"\x85R",
        "Tensor called": b"ctorch\nTensor\n" + number(10**9) + b"\x85R",
        "Tensor made": b"ctorch\nTensor\n" + number(10**9) + b"\x85\x81",
        "FloatTensor": b"ctorch\nFloatTensor\n" + number(10**9) + b"\x85R",
        "UntypedStorage": b"ctorch.storage\nUntypedStorage\n" + number(10**9) + b"\x85R",
        "doubled by hex": b"c_codecs\nencode\n" * 24
        + (text("a") + text("latin1") + b"\x86R" + (text("hex") + b"\x86R") * 23),
        "OrderedDicts of it": copies("collections\nOrderedDict\n", b"h\x00\x85R"),
        "OrderedDicts of it in a list": copies("collections\nOrderedDict\n", b"(h\x00tR"),
        "Counters of it": copies("collections\nCounter\n", b"h\x00\x85R"),
        "sets of it": copies("__builtin__\nset\n", b"h\x00\x85R"),
        "attributes of it": copies("collections\nOrderedDict\n", b")Rh\x00b"),
        "marks": b"(" * 50_000,
        "lists in lists": b"]" * 50_000 + b"a" * 49_999,
        "tuples in tuples": b")" + b"\x85" * 50_000,
        "pairs of pairs": b")" + b"q\x00h\x00\x86" * 60,
        "a list in itself": b"]q\x00h\x00a",
        "a memo far away": b"]r\xff\xff\xff\xff",
        "a long text": b"X\xff\xff\xff\xffabc",
        "more than is stored": tensor(1000, 1000),
        "far more than is stored": tensor(10**12, 10**12),
        "less than nothing stored": tensor(-4, 4),
        "a size beyond counting": tensor(4, 2**62),
        "a size beyond the storage": tensor(4, 10**9),
        "a size without a stride": tensor(4, 10**15, stride=0),
        "a negative stride": tensor(4, 4, stride=-1, offset=3),
        "an offset beyond": tensor(4, 4, offset=10**9),
        "a negative offset": tensor(4, 4, offset=-8),
        "no device": tensor(4, 4, place="meta"),
        "another device": tensor(4, 4, place="cuda:99"),
    }
    for name, pickled in crafted.items():
        yield name, archive(b"\x80\x02" + pickled + b".", {"data/0": bytes(16)})
    keys = ["".join(key) for key in itertools.product("aA", repeat=10)]
    cases = b"(" + b"".join(tensor(50_000, 50_000, key=key) for key in keys) + b"t"
    yield (
        "one record by many names",
        archive(b"\x80\x02" + cases + b".", {f"data/{keys[0]}": bytes(200_000)}),
    )
    bomb = b"\x80\x02" + crafted["bytearray"] + b"."
    shadowed = {"DATA.PKL": bomb, "data/0": bytes(16)}
    yield "two pickles", archive(b"\x80\x02}.", shadowed)
    yield "two pickles, the first in capitals", archive(bomb, {"DATA.PKL": b"\x80\x02}."})
    legacy = io.BytesIO()
    torch.save({}, legacy, _use_new_zipfile_serialization=False)
    yield (
        "a legacy bomb before an archive",
        legacy.getvalue().replace(b"}q\x00.", bomb[2:]) + dumped(good),
    )
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = archive(b"\x80\x02}.", {"data/0": large}, compression=method)
        yield f"a packed record ({method})", packed
        yield f"packed twice ({method})", archive(b"\x80\x02}.", {"data/0": packed})
        lies = packed.replace(struct.pack("<I", len(large)), struct.pack("<I", 16))
        yield f"a packed record that lies ({method})", lies
    yield "a packed pickle", archive(b"\x80\x02" + large, compression=zipfile.ZIP_DEFLATED)
    stored = archive(b"\x80\x02}.", {"data/0": bytes(1000)})
    yield "a record larger than the file", stored.replace(b"\xe8\x03\x00\x00", b"\xfe\xff\xff\xff")
    records, directory = split(stored)
    yield "one record many times", joined(records, directory * 2000, len(records))
    yield "records in records", records_in_records(bytes(100_000), 1000)
    yield "two directories", two_directories(b"\x80\x02}.", bomb)


def split(file: bytes) -> tuple[bytes, bytes]:
    """The records of an archive, and the directory of them."""
    size, start = struct.unpack("<2I", file[-10:-2])
    return file[:start], file[start : start + size]


def joined(records: bytes, directory: bytes, start: int, comment: bytes = b"") -> bytes:
    """An archive that says that its directory starts there."""
    count = directory.count(b"PK\x01\x02")
    end = (b"PK\x05\x06", 0, 0, count, count, len(directory), start, len(comment))
    return records + directory + struct.pack("<4s4H2IH", *end) + comment


def moved(directory: bytes, by: int) -> bytes:
    """The directory of records that lie further on."""
    entries = [bytearray(b"PK\x01\x02" + entry) for entry in directory.split(b"PK\x01\x02")[1:]]
    for entry in entries:
        struct.pack_into("<I", entry, 42, struct.unpack_from("<I", entry, 42)[0] + by)
    return b"".join(entries)


def records_in_records(content: bytes, count: int) -> bytes:
    """An archive of records each of which holds the next."""
    records, directory = split(archive(b"\x80\x02}."))
    entries = []
    for number in range(count):
        info = zipfile.ZipInfo(f"archive/data/{number}")
        info.file_size = info.compress_size = len(content)
        info.CRC = zlib.crc32(content)
        entries.append((info, len(content)))
        content = info.FileHeader() + content
    for info, size in entries:
        header = info.FileHeader()
        start = len(records) + len(content) - size - len(header)
        # As in the record's own header, and no comment, no attributes, and where it starts.
        entry = b"PK\x01\x02\x14\x00" + header[4:30] + bytes(10) + struct.pack("<L", start)
        directory += entry + info.filename.encode()
    return joined(records + content, directory, len(records) + len(content))


def two_directories(seen: bytes, used: bytes) -> bytes:
    """An archive in which Python's reader finds one pickle, and torch's another.

    One takes the directory that lies before the end record, the other the one to which that
    points: in its comment, and of an archive that is itself a record.
    """
    inner = archive(used, {"data/0": bytes(16)})
    records, directory = split(archive(seen, {"data/0": inner}))
    hidden = moved(split(inner)[1], records.index(inner))
    further = len(directory) + 22
    return joined(records, moved(directory, further), len(records) + further, hidden)


def changes(good: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """Checkpoints with one thing that is not as a run saves it."""
    weight = "network.encoder.weight"
    matrix = good["state_dict"][weight]
    values: list[tuple[tuple[Any, ...], list[Any]]] = [
        (("epoch",), [-1, 0, 7, "1", 1.0, True, None, 10**30]),
        (("global_step",), ["1"]),
        (("pytorch-lightning_version",), [2]),
        (("hyper_parameters",), [{"_instantiator": "os.system", "_class_path": "os.system"}]),
        (("ImageDataModule",), [{"seed": 1}]),
        (("state_dict",), [None, [], {}, dict(good["state_dict"])]),
        (
            ("state_dict", weight),
            [None, 1, "x", [0.0], torch.Size([1]), matrix.double(), matrix[:-1], matrix.T],
        ),
        (("state_dict", weight), [torch.zeros(1).expand(4, 64), torch.zeros(64, 4).T]),
        (("state_dict", weight), [matrix.clone().requires_grad_(), torch.nn.Parameter(matrix)]),
        (("state_dict", weight), [matrix.to_sparse(), matrix.to("meta"), matrix.half()]),
        (("state_dict", "network.third.weight"), [matrix]),
        (("loops",), [None, [], 1]),
        (("callbacks",), [None, []]),
        (("optimizer_states",), [[], [{}], [None], {}, good["optimizer_states"] * 2]),
        (("optimizer_states", 0, "state"), [[], {}, {0: {}}]),
        (("optimizer_states", 0, "state", 99), [good["optimizer_states"][0]["state"][0]]),
        (("optimizer_states", 0, "state", 0, "exp_avg"), [None, [], matrix[0], matrix.double()]),
        (("optimizer_states", 0, "state", 0, "exp_avg"), [torch.zeros(1).expand(4, 64)]),
        (("optimizer_states", 0, "state", 0, "step"), [matrix, 1, torch.tensor(1)]),
        (("optimizer_states", 0, "param_groups"), [[], None, [{}]]),
        (("optimizer_states", 0, "param_groups", 0, "lr"), ["1", None, torch.ones(()).expand(9)]),
        (("optimizer_states", 0, "param_groups", 0, "params"), [[0], [0, 1, 2, 99, 4]]),
        (("lr_schedulers",), [[], [1], [{}], {}]),
        (("lr_schedulers", 0, "step"), [1]),
        (("lr_schedulers", 0, "_schedule_phases"), [[], 1]),
    ]
    for place, others in values:
        for value in others:
            changed = deepcopy(good)
            functools.reduce(lambda part, key: part[key], place[:-1], changed)[place[-1]] = value
            yield f"{place} = {type(value).__name__} {value!s:.20}", dumped(changed)
    for key in good:
        yield f"without {key}", dumped({k: v for k, v in good.items() if k != key})
    for attribute in ("items", "keys", "_metadata", "copy"):
        changed = deepcopy(good)
        other = attribute[:-1] + "?"  # with the right name it could not be saved
        setattr(changed["state_dict"], other, 1)
        with zipfile.ZipFile(io.BytesIO(dumped(changed))) as saved:
            records = {n.partition("/")[2]: saved.read(n) for n in saved.namelist()}
        pickled = records.pop("data.pkl").replace(other.encode(), attribute.encode())
        yield f"state_dict.{attribute} = 1", archive(pickled, records)
    deep: list[Any] = []
    wide: list[Any] = []
    itself: list[Any] = []
    itself.append(itself)
    for _ in range(60):
        deep = [deep]
    for _ in range(5):
        wide = [wide] * 200
    for name, history in {"deep": deep, "wide": wide, "a cycle": itself}.items():
        callbacks = {**good["callbacks"], "History": {"epochs": history, "fit_s": 0.0}}
        yield f"{name} in its callbacks", dumped({**good, "callbacks": callbacks})
    for instead in (None, 1, [], "x", (), collections.OrderedDict(good), torch.zeros(3), [good]):
        yield f"{type(instead).__name__} instead", dumped(cast(Any, instead))


def rubbish(good: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """Files that are no checkpoints."""
    yield "nothing", b""
    yield "text", b"epoch=2"
    yield "an empty archive", archive(b"")
    yield "an archive of another kind", archive(b"\x80\x02}.", {"constants.pkl": b"\x80\x02)."})
    yield "no archive", b"PK\x05\x06" + bytes(18)
    yield "half of it", dumped(good)[:3000]
    yield "something before it", b"PK\x03\x04" + dumped(good)
    legacy = io.BytesIO()
    torch.save(good, legacy, _use_new_zipfile_serialization=False)
    yield "a harmless legacy file", legacy.getvalue()


BESIDE = [
    b"",
    b"[]",
    b"{}",
    b"1",
    b'{"sha256": 1, "fingerprint": 2}',
    b"\xff\xfe\x00",
    b"[" * 500_000,
    b"1" * 500_000,
    b'{"sha256": null}',
    b'{"fingerprint": "1f"}',
]


@dataclass(frozen=True)
class Outcome:
    """How a malicious file was met.

    Attributes:
        refusal: the error that ``read`` or ``check_fits`` raised, None if none.
        passed_over: whether ``resume_point`` took the one before.
        armed: whether the code in it ran where torch was told to trust it.
        ran: whether the code in it ran.
        taken: bytes of memory at most while it was read.
    """

    name: str
    size: int
    refusal: str | None
    passed_over: bool
    armed: bool
    ran: bool
    taken: int


def peak() -> int:
    """The most memory of this process since ``reset_peak``, bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def meet(folder: Path) -> list[Outcome]:
    """Read every malicious file, in a process that cannot have much memory."""
    torch.set_num_threads(1)
    learner, (first, second) = trained()
    good = numbered(second, 2)
    path, canary = checkpoint_path(folder, 2), folder / "canary"
    save(folder, numbered(first, 1))
    save(folder, good)
    assert resume_point(folder, learner, FINGERPRINT) == path

    def met(
        name: str, content: bytes, about: bytes | None = None, is_code: bool = False
    ) -> Outcome:
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        right = json.dumps({"sha256": sha256, "fingerprint": FINGERPRINT}).encode()
        path.with_suffix(".json").write_bytes(right if about is None else about)
        refusal = None
        reset_peak()
        before = psutil.Process().memory_info().rss
        try:
            check_fits(read(path, FINGERPRINT), learner)
        except CheckpointError as error:
            refusal = str(error)
        start = resume_point(folder, learner, FINGERPRINT)
        taken, ran, armed = peak() - before, canary.exists(), False
        if is_code:
            with suppress(Exception):
                torch.load(io.BytesIO(content), weights_only=False)
            with suppress(Exception):
                pickle.loads(zipfile.ZipFile(path).read("archive/data.pkl"))
            with suppress(Exception):
                pickle.loads(content)
            armed = canary.exists()
            shutil.rmtree(canary) if canary.is_dir() else canary.unlink(missing_ok=True)
        passed_over = start == checkpoint_path(folder, 1)
        return Outcome(name, len(content), refusal, passed_over, armed, ran, taken)

    room = psutil.Process().memory_info().vms + 16 * SLACK
    for limit, most in ((resource.RLIMIT_AS, room), (resource.RLIMIT_CPU, 120)):
        resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    return [
        *(met(f"code: {name}", content, is_code=True) for name, content in code(good, canary)),
        *(met(f"memory: {name}", content) for name, content in bombs(good)),
        *(met(f"state: {name}", content) for name, content in changes(good)),
        *(met(f"rubbish: {name}", content) for name, content in rubbish(good)),
        *(met(f"beside: {about[:9]!r}", dumped(good), about) for about in BESIDE),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_malicious_checkpoints_do_no_harm(soak: Soak, tmp_path: Path) -> None:
    """Loading a checkpoint runs no code of it and takes little memory, whatever is in it.

    All have the SHA-256 and the fingerprint that they should have.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        outcomes = pool.submit(meet, tmp_path).result(timeout=300)
    for outcome in outcomes:
        assert outcome.passed_over, outcome
        assert not outcome.ran, outcome
        assert outcome.taken < SLACK, outcome
        assert outcome.size < 2**20, outcome
        assert "Memory" not in (outcome.refusal or ""), outcome
        assert outcome.armed == outcome.name.startswith("code:"), outcome
    read_alone = [outcome.name for outcome in outcomes if outcome.refusal is None]
    assert all("('epoch',)" in name for name in read_alone), read_alone
    armed = sum(outcome.armed for outcome in outcomes)
    most = max(outcome.taken for outcome in outcomes) / 2**20
    refused = len(outcomes) - len(read_alone)
    soak.tell(
        f"{len(outcomes)} files, none of them used: {refused} refused as they were read, "
        f"{len(read_alone)} as of another epoch; {armed} with code and none of it run; "
        f"{ceil(most)} MiB taken at most"
    )
