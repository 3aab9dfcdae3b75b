"""The report as one self-contained HTML page: no network, no other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from fae.drawing import pictures, tables
from fae.drawing.chart import Chart
from fae.drawing.pictures import Example, Picture
from fae.reports import table
from fae.reports.catalogue import Content
from fae.runtime.console import printable
from fae.runtime.formatting import format_error
from fae.runtime.intervals import Verdict

TEMPLATE = Path(__file__).with_name("page.html")


def page(content: Content, charts: Sequence[Chart], svgs: Mapping[str, str]) -> str:
    """The whole page as HTML; every text in it is escaped, and printable.

    Args:
        charts: in their order on the page.
        svgs: by the chart's name.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_printable
    )
    environment.filters |= {
        "capital": lambda text: text[:1].upper() + text[1:],
        "svg": lambda svg: _data_url("svg+xml", svg.encode()),
        "grey": lambda image: _png(pictures.grey(image)),
        "error": format_error,
        "error_map": _error_map,
        "tiles": lambda gallery: _png(pictures.tiles(gallery.weights)),
    }
    summary, columns = content.summary, table.whole(content.summary)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        summary=summary,
        runs=sum(len(row.runs) for row in summary.rows),
        headings=list(columns),
        rows=tables.rows(columns),
        verdicts=get_args(Verdict),
        legend=table.legend(summary),
        charts=charts,
        svgs=svgs,
        galleries=content.galleries,
        left_out=len(summary.rows) - len(content.galleries),
    )


def _printable(value: object) -> object:
    """A value as it is written; markup is the template's own."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _error_map(example: Example) -> str:
    return _png(pictures.error_map(example.original, example.reconstruction))


def _png(picture: Picture) -> str:
    """A picture as a data URL; up to 256 colours are kept in a table, which makes it smaller."""
    image, file = Image.fromarray(picture), io.BytesIO()
    if image.mode == "RGB" and image.getcolors():
        image = image.quantize()
    image.save(file, "PNG", optimize=True)
    return _data_url("png", file.getvalue())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
