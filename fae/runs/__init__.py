"""One run, from its configuration to its result: looked up, begun or resumed, trained, tested.

``checks`` tells the doctor whether what runs need is there. Several runs are the business of
``fae.sweeps`` and ``fae.tuning``.
"""
