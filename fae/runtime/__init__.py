"""The process: signals, standard streams, terminal, atomic files, number formats, intervals, random
streams.

Knows nothing about experiments; every other room may use it.
"""
