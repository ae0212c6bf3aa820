"""What all pages share: templates, and pictures that lie inside the page."""

from base64 import b64encode
from typing import Any

import numpy as np
import simplejpeg
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray


def render(template: str, **values: Any) -> str:
    """Fill a template of `shipseg_tiles/report/templates`; whatever is text in `values` cannot become code."""
    environment = Environment(loader=PackageLoader("shipseg_tiles.report"), autoescape=select_autoescape())
    return environment.get_template(template).render(**values)


def data_address(data: bytes, kind: str) -> str:
    """Return the address of a picture that stands in the address itself; `kind` is `png` or `jpeg`."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def jpeg_address(picture: NDArray[np.uint8]) -> str:
    """Return the address of a uint8 (height, width, 3) picture."""
    return data_address(simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=85), "jpeg")
