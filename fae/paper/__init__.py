"""The questions that the paper leaves open, answered from stored runs."""
