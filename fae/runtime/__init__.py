"""The process: signals, terminal, files that a crash leaves whole, number formats, intervals,
random streams.

Knows nothing of experiments; every other room may use it.
"""
