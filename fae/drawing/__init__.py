"""Charts and pictures as values, and how they are drawn.

What a report shows is decided in ``fae.reports``.
"""
