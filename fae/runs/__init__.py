"""One run, from its configuration to its result: looked up, begun or resumed, trained, tested.

``checks`` are of what runs need, for the doctor. Several runs are the business of ``fae.sweeps``
and ``fae.tuning``.
"""
