"""Uploads: bytes from anywhere, taken in up to limits and looked at before anything is decoded."""

import re
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.requests import Request

from shipseg_tiles.errors import InputError
from shipseg_tiles.images import MAXIMUM_SIDE, read_size
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.scenes import is_scene, open_scene
from shipseg_tiles.names import checked_name

_SIGNATURES = {
    ".jpg": rb"\xff\xd8\xff",
    ".png": rb"\x89PNG\r\n\x1a\n",
    ".tif": rb"II[*+]\x00|MM\x00[*+]",
    ".bmp": rb"BM",
    ".webp": rb"RIFF.{4}WEBP",
}
"""What files of these kinds begin with. No other kind is handed to a decoder."""

PATIENCE_SECONDS = 30
"""So long an upload may send nothing: each takes a place among the images that are kept, and some never end."""

_LONGEST_NAME = 100


class RefusedError(InputError):
    """An upload that is not taken in.

    Attributes:
        status: Of the HTTP answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """The largest upload that is taken in.

    Attributes:
        megabytes: Of the file.
        megapixels: Of the image.
    """

    megabytes: int
    megapixels: int

    def __post_init__(self) -> None:
        for what, limit in (("file", self.megabytes), ("image", self.megapixels)):
            if limit < 1:
                raise InputError(f"--largest-{what} {limit} would refuse every {what}; give 1 or more")


def shown_name(text: str) -> str:
    """Make a name to show, and to call downloads by, of what a client says: "../../ship.jpg" becomes "ship.jpg".

    It is for people alone; files here have names of their own.
    """
    last = re.split(r"[/\\]", text)[-1]
    name = "".join(character for character in last if character.isprintable())[-_LONGEST_NAME:]
    try:
        return checked_name(name, "upload")
    except InputError:
        return "image"


async def receive(request: Request, path: Path, name: str, limits: Limits) -> None:
    """Write the body of a request to a file as it comes.

    Args:
        request: Its body is the image file.
        path: Where.
        name: For messages.
        limits: Nothing above them is read.

    Raises:
        RefusedError: If it is empty, too large or a form, or nothing comes for a while.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise RefusedError(415, "the body is a form; send the file itself, as curl --data-binary @FILE does")
    largest = limits.megabytes * 10**6
    too_large = RefusedError(
        413, f"{name} has more than {limits.megabytes} MB; cut it into parts, or start the server with --largest-file"
    )
    if int(request.headers.get("content-length", 0)) > largest:
        raise too_large
    size = 0
    try:
        with path.open("wb") as file, anyio.fail_after(PATIENCE_SECONDS) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                if size > largest:
                    raise too_large
                file.write(chunk)
                patience.deadline = anyio.current_time() + PATIENCE_SECONDS
    except TimeoutError:
        reason = f"{name} did not arrive: nothing came for {PATIENCE_SECONDS} seconds; send it again"
        raise RefusedError(408, reason) from None
    if not size:
        raise RefusedError(400, f"{name} is empty; choose an image")


def checked_image(upload: Path, name: str, options: PredictOptions, limits: Limits) -> Path:
    """Look at the first bytes of an upload and at its header, and give it the suffix of what it is.

    Args:
        upload: The file; it is renamed.
        name: For messages.
        options: How it is going to be predicted.
        limits: For the number of its pixels.

    Returns:
        Its path from now on.

    Raises:
        RefusedError: If it is no image, a damaged one, one of too many pixels, or one that the options do not fit.
    """
    path = upload.rename(upload.with_suffix(_suffix_of(upload, name)))
    try:
        _check_limits(*_size(path, options), name, limits)
        if not is_scene(path):
            read_size(path)  # complains of what could not be decoded
    except RefusedError:
        raise
    except InputError as error:
        raise RefusedError(400, named(error, path, name)) from None
    return path


def _check_limits(height: int, width: int, name: str, limits: Limits) -> None:
    if height * width > limits.megapixels * 10**6:
        raise RefusedError(
            413,
            f"{name} has {height} x {width} pixels, more than {limits.megapixels} million;"
            " cut it into parts, or start the server with --largest-image",
        )
    if max(height, width) > MAXIMUM_SIDE:
        raise RefusedError(
            413, f"{name} has {height} x {width} pixels, more than {MAXIMUM_SIDE} to a side; cut it into parts"
        )


def named(error: InputError, path: Path, name: str) -> str:
    """Return what is wrong with the image at a path, called by its name instead, and where its remedy is given."""
    return of_server(str(error).replace(str(path), name))


def of_server(text: str) -> str:
    """Say of the options that a text names that whoever starts the server gives them."""
    return f"{text}; such options are given where the server is started" if " --" in text else text


def _suffix_of(path: Path, name: str) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    for suffix, signature in _SIGNATURES.items():
        if re.match(signature, start, re.DOTALL):
            return suffix
    raise RefusedError(415, f"{name} is no image that can be read here; choose a JPEG, PNG, TIFF, BMP or WebP")


def _size(path: Path, options: PredictOptions) -> tuple[int, int]:
    if not is_scene(path):
        return read_size(path, to_decode=False)
    with open_scene(path, options.bands, options.scale) as scene:
        return scene.shape[:2]
