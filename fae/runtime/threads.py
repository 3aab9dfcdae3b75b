"""How many threads torch computes in: as many as there are cores, or a single one where the bits of
a result would depend on their number.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fae.runtime.processor import cores


def limit_threads() -> None:
    """Have torch use no more threads than this process may use cores; fewer, as a launcher or
    ``OMP_NUM_THREADS`` asks for, stay fewer.
    """
    allowed = cores()
    if torch.get_num_threads() > allowed:
        torch.set_num_threads(allowed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread in torch within the block, so that results have the same bits everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
