"""Data sets: their images, the split into training and validation images, and batches.

What happens to a batch is left to ``fae.models`` and ``fae.training``.
"""
