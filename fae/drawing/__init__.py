"""Charts, pictures and tables as values, and how they are drawn.

Knows nothing of runs: what a report shows is decided in ``fae.reports``.
"""
