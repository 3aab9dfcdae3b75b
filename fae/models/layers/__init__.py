"""Layers and losses equivalent to PyTorch's, on the fastest kernels available."""
