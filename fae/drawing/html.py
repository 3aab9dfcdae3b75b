"""Self-contained HTML pages: their common style and parts, and pictures within them.

A page's own headings and layout are a template in the room that fills it in.
"""

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from fae.drawing import pictures, tables
from fae.drawing.pictures import Picture
from fae.runtime.console import printable
from fae.runtime.formatting import format_error

COMMON = Path(__file__).parent
"""Has ``page.css``, the style of all pages, and ``parts.html``, what several are made of."""
LISTED = 8
"""Values of something that are named one by one; of more, the first two and the last."""


def template(path: Path, filters: Mapping[str, Callable[..., Any]]) -> Template:
    """The template of a page; every text that it is filled with is escaped, and printable.

    Args:
        filters: of the page, besides those that all pages have.
    """
    environment = Environment(
        loader=FileSystemLoader([path.parent, COMMON]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "capital": lambda text: text[:1].upper() + text[1:],
        "error": format_error,
        "picture": lambda image: png(pictures.picture(image)),
        "rows": tables.rows,
        "short": pictures.short,
        "varying": _varying,
        "zip": zip,
        **filters,
    }
    return environment.get_template(path.name)


def png(picture: Picture) -> str:
    """A picture as a data URL; up to 256 colours are kept in a table, which makes it smaller."""
    image, file = Image.fromarray(picture), io.BytesIO()
    if image.mode == "RGB" and image.getcolors():
        image = image.quantize()
    image.save(file, "PNG", optimize=True)
    return data_url("png", file.getvalue())


def data_url(kind: str, content: bytes) -> str:
    """An image of some kind, such as ``png``, as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _printable(value: object) -> object:
    """A value as it is written, no percent sign alone in a line; markup is the template's own."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value).replace(" %", "\N{NO-BREAK SPACE}%")


def _varying(values: list[str]) -> str:
    """A value, or that it varies, and how."""
    shown = "; ".join(values if len(values) <= LISTED else [*values[:2], "…", values[-1]])
    return f"varies: {shown}" if len(values) > 1 else shown
