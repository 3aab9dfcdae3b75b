"""A trained network in use: which one is meant, and what becomes of images in it.

Computes values, which ``fae.drawing`` draws; the commands at the door print them. Comparing runs is
left to ``fae.reports``, training to ``fae.runs``.
"""
