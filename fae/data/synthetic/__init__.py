"""Small images made from a seed, for tests and for trying things out offline."""
