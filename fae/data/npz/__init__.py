"""Images in a NumPy file of the user's own."""
