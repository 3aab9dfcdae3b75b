"""Names and fingerprints made of texts."""

import hashlib


def short_digest(text: str) -> str:
    """The first 64 bits of a text's SHA-256, as 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
