"""One run, from its configuration to its result: built, trained, resumed, tested and tracked.

Several runs are the business of ``fae.sweeps`` and ``fae.tuning``.
"""
