"""Checkpoints against a crash at any moment, damage of any kind, and files made to do harm."""

import functools
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import sys
from collections import OrderedDict
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
import safetensors.torch
import torch
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.errors import CheckpointError
from fae.runs.build import build
from fae.runs.checkpoint import Checkpoints, DurableCheckpointIO, check_fits, read, resume_point
from fae.runs.tensor_file import dump
from fae.tracking.checkpoints import checkpoint_path
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


Begun = tuple[pl.Trainer, Learner]


def trained() -> tuple[Begun, list[Checkpoint]]:
    """A run's trainer and learner as it begins, and what it saves in each of two epochs."""
    config = compose(
        NO_LOCAL, "experiment=smoke", "hidden=4", "optimizer=adam", "optimizer.schedule=one_cycle"
    )
    recorder = Recorder()

    def begun() -> Begun:
        trainer = build_trainer(
            config.trainer,
            epochs=2,
            folder=Path("nowhere"),
            callbacks=[Checkpoints(Path("nowhere"))],
            checkpoint_io=recorder,
        )
        return trainer, learner

    data, learner = build(config, config.data.build())
    begun()[0].fit(learner, data)
    _, learner = build(config, config.data.build())
    return begun(), recorder.saved


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[Begun, list[Checkpoint]]]:
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
    soak: Soak, run: tuple[Begun, list[Checkpoint]], tmp_path: Path
) -> None:
    """A crash at any write, fsync, rename or unlink of a save leaves a good checkpoint.

    Enumerated: every call, each write also cut in its middle, and of each the three outcomes
    that a disk may give it.
    """
    begun, (old, new) = run
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
            found = resume_point(before.with_name("after"), *begun, FINGERPRINT)
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
            assert dump(weights) == dump((new if is_new else old)["state_dict"]), where
    soak.tell(
        f"{tried} crashes in a save or right after it: {tried - without} times the new "
        f"one or the one before loads bit for bit, {without} times there was none before"
    )


def test_damaged_checkpoints_are_never_loaded(
    soak: Soak,
    run: tuple[Begun, list[Checkpoint]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Truncated or with a single bit flipped, a checkpoint is noticed and not used.

    So is what is beside it, unless its meaning is the same.
    """
    begun, saved = run
    for epoch, checkpoint in enumerate(saved, start=1):
        save(tmp_path, numbered(checkpoint, epoch))
    path, previous = checkpoint_path(tmp_path, 2), checkpoint_path(tmp_path, 1)
    sound = {file: file.read_bytes() for file in (path, path.with_suffix(".json"))}
    whole = dump(read(path, FINGERPRINT))
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
        start = resume_point(tmp_path, *begun, FINGERPRINT)
        warning = capsys.readouterr().out
        try:
            loaded = read(path, FINGERPRINT)
        except CheckpointError:
            assert start == previous
            assert warning.startswith(f"warning: epoch 2 cannot be used ({path}: ")
        else:
            assert file.suffix == ".json"
            assert dump(loaded) == whole
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


def code(good: Checkpoint, canary: Path) -> Iterator[tuple[str, bytes]]:
    """Files that would run code if they, or the first tensor in them, were unpickled."""
    shell = f"touch {canary}"
    calls = {
        "os.system": Call(os.system, shell),
        "eval": Call(eval, f"open({str(canary)!r}, 'w').close()"),
        "os.mkdir": Call(os.mkdir, str(canary)),
        "Path.touch": Call(Path.touch, canary),
    }
    for name, call in calls.items():
        for kind in (True, False):
            saved = io.BytesIO()
            torch.save({**good, "epoch": call}, saved, _use_new_zipfile_serialization=kind)
            yield (
                f"{name}, {'an archive' if kind else 'a legacy file'} of torch's",
                saved.getvalue(),
            )
        pickled = pickle.dumps(call)
        yield f"{name}, a pickle", pickled
        tensor = torch.frombuffer(bytearray(pickled), dtype=torch.uint8)
        yield f"{name}, a pickle as a tensor", dump({**good, "epoch": tensor})
        yield f"{name}, a pickle as a text", dump({**good, "epoch": pickled.decode("latin1")})


def file(header: Any, data: bytes = bytes(16), size: int | None = None) -> bytes:
    """A file of safetensors with any header, which says of itself that it has this size."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def values(text: str) -> bytes:
    """A file of safetensors with one tensor, and this text where its values are."""
    about = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return file({"__metadata__": {"values": text}, "a": about})


def bombs(good: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """Files that may take much memory, or time, or more than there is."""
    whole = dump(good)
    for size in (0, 1, 2**20, 10**8, 2**40, 2**63, 2**64 - 1):
        yield f"a header of {size} bytes", file({}, size=size)
        yield f"{size} for the size of its header", size.to_bytes(8, "little") + whole[8:]
    tensors: dict[str, tuple[str, list[int], list[int]]] = {
        "more than there is": ("F32", [10**12], [0, 4 * 10**12]),
        "a shape beyond its bytes": ("F32", [10**12], [0, 16]),
        "a size beyond counting": ("F32", [2**62, 2**62], [0, 16]),
        "nothing, in a large shape": ("F32", [2**62, 0], [0, 0]),
        "less than nothing": ("F32", [4], [16, 0]),
        "another type": ("F64", [4], [0, 16]),
        "an unknown type": ("F1024", [4], [0, 16]),
        "a type of half a byte": ("F4", [32], [0, 16]),
        "an offset": ("F32", [2], [8, 16]),
    }
    for name, (dtype, shape, offsets) in tensors.items():
        about = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        metadata = {"values": '{"dict": [["state_dict", {"tensor": "a"}]]}'}
        yield name, file({"__metadata__": metadata, "a": about})
    about = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    yield "many names of the same bytes", file({f"{i}": about for i in range(10_000)})
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    yield "many tensors of nothing", file({f"{i}": nothing for i in range(10_000)}, b"")
    large = {"dtype": "F32", "shape": [100_000], "data_offsets": [0, 400_000]}
    many = json.dumps([{"tensor": "a"}] * 20_000)
    metadata = {"values": many}
    yield "one tensor many times", file({"__metadata__": metadata, "a": large}, bytes(400_000))
    for opening in ("[", '{"a":', '{"__metadata__":', '{"tuple": ', '{"dict": [[1, '):
        yield f"a header of {opening}", file(opening.encode() * 50_000)
        yield f"values of {opening}", values(opening * 50_000)
    yield "tuples in tuples", values('{"tuple": [' * 20_000 + "]}" * 20_000)
    yield "lists in lists", values("[" * 100_000 + "]" * 100_000)
    yield "a number of many digits", values("1" * 500_000)
    yield "an exponent of many digits", values("1e" + "9" * 500_000)
    yield "many lists", values("[" + "[]," * 200_000 + "1]")
    yield "many dictionaries", values("[" + '{"dict": []},' * 50_000 + "1]")
    yield "many keys", values(json.dumps({"dict": [[i, i] for i in range(30_000)]}))
    yield "a long text", values(json.dumps("a" * 500_000))


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
        (("state_dict", weight), [None, 1, "x", [0.0], matrix[:-1], matrix.T]),
        (("state_dict", weight), [matrix.double(), matrix.half()]),
        (("state_dict", "network.third.weight"), [matrix]),
        (("loops",), [None, [], 1]),
        (("callbacks",), [None, []]),
        (("optimizer_states",), [[], [{}], [None], {}, good["optimizer_states"] * 2]),
        (("optimizer_states", 0, "state"), [[], {}, {0: {}}]),
        (("optimizer_states", 0, "state", 99), [good["optimizer_states"][0]["state"][0]]),
        (("optimizer_states", 0, "state", 0, "exp_avg"), [None, [], matrix[0], matrix.double()]),
        (("optimizer_states", 0, "state", 0, "step"), [matrix, 1, torch.tensor(1)]),
        (("optimizer_states", 0, "param_groups"), [[], None, [{}]]),
        (("optimizer_states", 0, "param_groups", 0, "lr"), ["1", None, torch.ones(()).expand(9)]),
        (("optimizer_states", 0, "param_groups", 0, "params"), [[0], [0, 1, 2, 99], [1, 0, 2, 3]]),
        (("lr_schedulers",), [[], [1], [{}], {}]),
        (("lr_schedulers", 0, "step"), [1]),
        (("lr_schedulers", 0, "_schedule_phases"), [[], 1]),
    ]
    for place, others in values:
        for value in others:
            changed = deepcopy(good)
            functools.reduce(lambda part, key: part[key], place[:-1], changed)[place[-1]] = value
            yield f"{place} = {type(value).__name__} {value!s:.20}", dump(changed)
    for key in good:
        yield f"without {key}", dump({k: v for k, v in good.items() if k != key})
    for instead in (None, 1, [], "x", (), OrderedDict(good), torch.zeros(3), [good]):
        yield f"{type(instead).__name__} instead", dump(instead)


def rubbish(good: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """Files that are no checkpoints."""
    yield "nothing", b""
    yield "text", b"epoch=2"
    yield "half of it", dump(good)[:3000]
    yield "something before it", b"PK\x03\x04" + dump(good)
    yield "something after it", dump(good) + b"more"
    yield "no values", safetensors.torch.save({"a": torch.zeros(1)})
    yield "values that are no text", file({"__metadata__": {"values": 1}}, b"")
    yield "values of nothing", values("")
    yield "values that are no JSON", values("{'dict': []}")
    yield "a kind of values that is unknown", values('{"set": []}')
    yield "two kinds of values", values('{"dict": [], "tuple": []}')
    yield "a tensor that is not there", values('{"tensor": "b"}')


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
    begun, (first, second) = trained()
    good = numbered(second, 2)
    path, canary = checkpoint_path(folder, 2), folder / "canary"
    save(folder, numbered(first, 1))
    save(folder, good)
    assert resume_point(folder, *begun, FINGERPRINT) == path

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
            check_fits(read(path, FINGERPRINT), *begun)
        except CheckpointError as error:
            refusal = str(error)
        start = resume_point(folder, *begun, FINGERPRINT)
        taken, ran, armed = peak() - before, canary.exists(), False
        if is_code:
            with suppress(Exception):
                torch.load(io.BytesIO(content), weights_only=False)
            with suppress(Exception):
                pickle.loads(content)
            with suppress(Exception):
                epoch = read(path, FINGERPRINT)["epoch"]
                is_text = isinstance(epoch, str)
                pickle.loads(epoch.encode("latin1") if is_text else epoch.numpy().tobytes())
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
        *(met(f"beside: {about[:9]!r}", dump(good), about) for about in BESIDE),
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
