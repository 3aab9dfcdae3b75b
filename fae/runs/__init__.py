"""One run, from its configuration to its result: looked up, begun or resumed, trained, tested.

Several runs are the business of ``fae.sweeps`` and ``fae.tuning``.
"""
