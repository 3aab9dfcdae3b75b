"""Layers and losses that compute what PyTorch's do, by the quickest kernels at hand."""
