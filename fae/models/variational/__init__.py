"""The variational auto-encoder."""
