"""Which library computes the matrix products of single precision on a CPU: oneDNN or MKL.

MKL is what PyTorch calls by itself, or another library where it was built without. oneDNN, which
PyTorch brings for compiled models, is twice as fast on some processors and slower on others. On
kinds of processor that were measured (docs/speed.md) the kind decides. On any other both libraries
are timed once, and what was quicker is remembered, as the two round differently: the choice must
not change from run to run.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from statistics import median
from typing import Literal

import torch
from platformdirs import user_cache_path

from fae.runtime import files, processor
from fae.runtime.digest import short_digest

LIBRARIES = ("torch", "onednn")
MEASURED = {("AMD", "AVX512"): "onednn", ("AMD", "AVX2"): "torch"}
"""The quicker library on each kind of processor that was measured, by maker and instructions."""
ROUNDS = 9
"""Rounds in which the libraries are timed, some 4 ms each on two cores."""
CLEAR = 0.95
"""Share of the other's time below which oneDNN is quicker, and not by chance."""
VARIABLE = "FAE_KERNELS"
"""Environment variable by which the processes of a launcher learn what was quicker."""

_in_use: ContextVar[str | None] = ContextVar("kernels", default=None)


@contextmanager
def using(kernels: str) -> Iterator[None]:
    """Compute products by ``onednn``, by ``torch`` or, for ``auto``, by the quicker of them.

    Outside of such a block the quicker one computes, too.
    """
    before = _in_use.set(quicker() if kernels == "auto" else kernels)
    try:
        yield
    finally:
        _in_use.reset(before)


def describe() -> str:
    """What the bits of products depend on, such as ``AVX512, oneDNN``.

    Those of MKL depend on the number of threads, too: ``AVX2, MKL in 2 threads``.
    """
    mkl = "MKL" if torch.backends.mkl.is_available() else "PyTorch"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    onednn = f"oneDNN up to {limit}" if limit else "oneDNN"
    library = onednn if by_onednn() else f"{mkl} in {torch.get_num_threads()} threads"
    return f"{processor.instructions()}, {library}"


def described(description: str) -> Literal["auto", "onednn", "torch"]:
    """The setting by which products are computed here as ``describe`` has said of them.

    ``auto`` where it names none, as of a GPU or of several in turn, or one that is not here.
    """
    if description.startswith("mixed"):
        return "auto"
    if "oneDNN" in description:
        return "onednn" if torch.backends.mkldnn.is_available() else "auto"
    return "torch" if re.search("(MKL|PyTorch) in", description) else "auto"


def by_onednn() -> bool:
    """Whether oneDNN computes products now."""
    return (_in_use.get() or quicker()) == "onednn"


@cache
def quicker() -> str:
    """The library that is quicker on this processor, ``onednn`` or ``torch``."""
    if not torch.backends.mkldnn.is_available():
        return "torch"
    kind = processor.vendor(), processor.instructions()
    known = MEASURED.get(kind) if torch.backends.mkl.is_available() else None
    return known or _remembered_or_timed()


def _remembered_or_timed() -> str:
    """The quicker library as it was timed by the launching process, or earlier, or now."""
    kind = f"{processor.name()}, {processor.instructions()}, PyTorch {torch.__version__}"
    file = user_cache_path("fae") / f"kernels-{short_digest(kind)}.json"
    memories = [os.environ.get(VARIABLE, "")]
    with suppress(OSError, ValueError):
        memories.append(file.read_text("utf-8"))
    for memory in memories:
        with suppress(KeyError, TypeError, ValueError, RecursionError):
            remembered = json.loads(memory)
            if remembered["kind"] == kind and remembered["quicker"] in LIBRARIES:
                return str(remembered["quicker"])
    found = _timed()
    os.environ[VARIABLE] = memory = json.dumps({"kind": kind, "quicker": found})
    with suppress(OSError):  # works without the cache, too
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, memory.encode())
    return found


def _timed() -> str:
    """The library that takes less time for products of the paper's shapes, by medians.

    PyTorch's own choice unless oneDNN is clearly quicker.
    """
    from fae.models.layers.linear import product

    images, codes, weights = torch.ones(1000, 784), torch.ones(1000, 128), torch.ones(128, 784)
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for _ in range(ROUNDS):
        for library in LIBRARIES:
            with using(library):
                start = time.perf_counter()
                product(images, weights)
                product(codes, weights.T)
                product(codes.T, images.T)
                seconds[library].append(time.perf_counter() - start)
    is_clear = median(seconds["onednn"]) < CLEAR * median(seconds["torch"])
    return "onednn" if is_clear else "torch"
