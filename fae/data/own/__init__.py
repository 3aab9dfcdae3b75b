"""What data sets of a user's own files share: the split, the digest, the files that are known."""
