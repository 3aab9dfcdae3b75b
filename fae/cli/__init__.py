"""Command lines: a configuration composed, what is wrong with it explained, a command run."""
