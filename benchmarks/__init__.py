"""How fast fae is beside the other ways to do the same; ``make bench`` runs it."""
