"""What all pages share: templates, and pictures that lie inside the page."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray
from PIL import Image

from shipseg_tiles.files import written_whole


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template, piece by piece, into a file: what an iterator yields is held one at a time.

    Args:
        path: HTML file to write; it appears when it is complete.
        template: Name of one of `shipseg_tiles/report/templates`.
        **values: What it shows; whatever is text cannot become code.

    Raises:
        Exception: Whatever an iterator among the values raises; nothing is written then.
    """
    environment = Environment(loader=PackageLoader("shipseg_tiles.report"), autoescape=select_autoescape())
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # charts refer to what came before
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(environment.get_template(template).generate(**values))


def data_address(data: bytes, kind: str) -> str:
    """Return the address of a picture that stands in the address itself; `kind` is `png` or `jpeg`."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def jpeg_address(picture: NDArray[np.uint8]) -> str:
    """Return the address of a uint8 (height, width, 3) picture."""
    return data_address(simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=85), "jpeg")


def png_address(values: NDArray[np.uint8] | NDArray[np.bool_]) -> str:
    """Return the address of a gray (height, width) picture that keeps every value; True becomes white."""
    file = BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return data_address(file.getvalue(), "png")
