"""Small upright pictures turned and laid on the scene, with clean edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shipseg_tiles.archive.simulation.fields import Colours, Field


@dataclass(frozen=True)
class Sprite:
    """A picture in its own frame: the x axis points to the bow, the middle is the anchor.

    Attributes:
        colours: uint8 (height, width, 3); also outside the shape, so that edges take no foreign colour.
        cover: uint8 (height, width), 0 clear to 255 opaque.
        texels: Texels per pixel of the scene, 1 or more.
    """

    colours: NDArray[np.uint8]
    cover: NDArray[np.uint8]
    texels: int


@dataclass(frozen=True)
class Pose:
    """Where a sprite's middle lies on the scene, in pixels, and where its x axis points, in radians."""

    x: float
    y: float
    heading: float


def paste(canvas: Colours, sprite: Sprite, pose: Pose, *, opacity: float = 1.0, allowed: Field | None = None) -> None:
    """Lay a sprite on `canvas`, in place.

    Args:
        canvas: The scene.
        sprite: What to lay on it; parts outside the scene are cut.
        pose: Where.
        opacity: Factor on its cover, 0..1.
        allowed: (size, size) factor on its cover, such as the share of water in each pixel; None for 1.
    """
    left, top, right, bottom = _bounds(canvas.shape[0], sprite, pose)
    if left >= right or top >= bottom:
        return
    cover = _turned(sprite.cover, sprite.texels, pose, (left, top, right, bottom)).astype(np.float32)
    cover *= np.float32(opacity / 255)
    if allowed is not None:
        cover *= allowed[top:bottom, left:right]
    colours = _turned(sprite.colours, sprite.texels, pose, (left, top, right, bottom))
    target = canvas[top:bottom, left:right]
    target += (colours - target) * cover[..., np.newaxis]


def _bounds(size: int, sprite: Sprite, pose: Pose) -> tuple[int, int, int, int]:
    height, width = (side / sprite.texels / 2 for side in sprite.cover.shape)
    cosine, sine = abs(np.cos(pose.heading)), abs(np.sin(pose.heading))
    reach_x, reach_y = width * cosine + height * sine + 1, width * sine + height * cosine + 1
    left, right = (int(np.clip(np.floor(pose.x + reach), 0, size)) for reach in (-reach_x, reach_x))
    top, bottom = (int(np.clip(np.floor(pose.y + reach), 0, size)) for reach in (-reach_y, reach_y))
    return left, top, right, bottom


def _turned(picture: NDArray[np.uint8], texels: int, pose: Pose, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn `picture` and average its texels over the scene's pixels inside `box`."""
    left, top, right, bottom = box
    cosine, sine = np.cos(pose.heading), np.sin(pose.heading)
    shift_x, shift_y = (left - pose.x) * texels, (top - pose.y) * texels
    height, width = picture.shape[:2]
    affine = (
        *(cosine, sine, shift_x * cosine + shift_y * sine + width / 2),
        *(-sine, cosine, -shift_x * sine + shift_y * cosine + height / 2),
    )
    turned = Image.fromarray(picture).transform(
        ((right - left) * texels, (bottom - top) * texels),
        Image.Transform.AFFINE,
        affine,
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(turned.reduce(texels) if texels > 1 else turned)
