"""Many runs: planned, estimated, launched by a launcher of Hydra's, joined under a parent run."""
