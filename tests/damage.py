"""Files as damage leaves them."""

import random
from collections.abc import Iterator


def damaged(whole: bytes, times: int) -> Iterator[bytes]:
    """A file with bytes changed, and every fifth time cut short; the same files each time."""
    chance = random.Random(0)
    for _ in range(times):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 1, 20))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        yield bytes(content)
