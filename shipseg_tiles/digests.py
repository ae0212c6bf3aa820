"""What tells files apart by their bytes."""

import hashlib

from shipseg_tiles.zipped import AnyPath

_DIGITS = 16
"""Of a checksum where all are too many: with 64 bits, two among a million images are alike once in 37 million times."""

_BYTES_AT_ONCE = 2**20
"""A scene is not read into memory as a whole."""


def checksum(path: AnyPath) -> str:
    """Return the SHA-256 of a file as hexadecimal text.

    Raises:
        InputError: If it lies in a zip and cannot be unpacked.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_BYTES_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def image_digest(path: AnyPath) -> str:
    """Return what tells an image file from others: the first 16 digits of its checksum. Raises as `checksum`."""
    return checksum(path)[:_DIGITS]


def text_digest(text: str) -> str:
    """Return what tells a text: the first 16 digits of its SHA-256 in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
