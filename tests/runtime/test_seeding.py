"""Streams depend on (seed, purpose, position) and on nothing else."""

import torch

from fae.runtime.seeding import Stream, generator, seed_torch, stream_seed


def test_every_place_of_every_stream_has_a_seed_of_its_own() -> None:
    places = [
        (seed, stream, epoch, step)
        for seed in range(4)
        for stream in Stream
        for epoch in range(20)
        for step in range(20)
    ]
    assert len({stream_seed(*place) for place in places}) == len(places)


def test_a_place_gives_the_same_numbers_whatever_was_drawn_before() -> None:
    first = torch.rand(5, generator=generator(7, Stream.ORDER, 3))
    torch.rand(100)
    assert torch.equal(first, torch.rand(5, generator=generator(7, Stream.ORDER, 3)))


def test_torchs_own_generator_is_put_at_the_same_place() -> None:
    seed_torch(stream_seed(7, Stream.DROPOUT, 3, 4))
    expected = torch.rand(5, generator=generator(7, Stream.DROPOUT, 3, 4))
    assert torch.equal(torch.rand(5), expected)
