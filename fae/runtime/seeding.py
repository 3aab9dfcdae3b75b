"""Random streams that depend on a position, never on earlier computations.

Every random number of a run is drawn from (seed, purpose, position), so that a single run, a run of
a sweep and a resumed run draw the same numbers.
"""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """Purposes of random numbers. The values determine every result: only append."""

    SPLIT = 0
    IMAGES = 1
    INITIALISATION = 2
    ORDER = 3
    DROPOUT = 4


def stream_seed(seed: int, stream: Stream, *position: int) -> int:
    """A 64-bit seed for one position in one stream.

    Args:
        seed: the run's seed, 0 or more.
        position: in the stream, for instance (epoch, step); each 0 or more.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(stream), *position))
    return int(sequence.generate_state(1, np.uint64)[0])


def generator(seed: int, stream: Stream, *position: int) -> torch.Generator:
    """A CPU generator, seeded for one position in one stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, *position))


def seed_torch(seed: int) -> None:
    """Seed torch's global generators of all devices, as with a ``stream_seed``.

    Layers such as ``nn.Dropout`` draw from these. Avoids ``torch.manual_seed``, which formats the
    stack trace at each call while CUDA is not initialised: too slow for every step.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
