"""Small images generated from a seed, for tests and for trying things out offline."""
