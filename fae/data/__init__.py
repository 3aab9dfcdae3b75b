"""Data sets: where images come from, how they are split, and the batches that are made of them.

What a network does with a batch is the business of ``fae.models`` and ``fae.training``.
"""
