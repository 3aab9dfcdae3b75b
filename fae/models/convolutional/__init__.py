"""The convolutional auto-encoder."""
