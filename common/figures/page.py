"""The frame of every HTML page: one file, no address outside it, no script, black on white."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from common.files import write_whole

UNDEFINED = "\N{EN DASH}"
"""How a value that does not exist is shown; the page's footnotes say so."""


def rendered_page(template: str, *, package: str, values: Mapping[str, object]) -> str:
    """The HTML of a template that extends `page.html.j2`, every value escaped.

    template   file name beside the modules of `package`
    package    dotted name of the package that ships it
    values     the variables of the template; a missing one is an error
    """
    root, _, inner = package.partition(".")
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader(root, inner.replace(".", "/")),
                PackageLoader("common", "figures"),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, wall_time=wall_time, data_size=data_size)
    return environment.get_template(template).render(dict(values))


def write_page(path: Path, html: str) -> None:
    """Puts the page at `path` in one step: a reader finds the old page or the new one."""
    write_whole(path, html.encode(errors="backslashreplace"))  # a name that is no UTF-8


def svg_uri(svg: str) -> str:
    """The drawing as a data URI, for the `src` of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def png_uri(png: bytes) -> str:
    """The picture as a data URI, for the `src` of an image."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def number(value: float | None, digits: int = 3) -> str:
    """The value with a fixed number of decimals, or a dash where it is undefined."""
    if value is None:
        return UNDEFINED
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def wall_time(seconds: float | None) -> str:
    """A duration in the unit a reader thinks in, such as 3.2 s, 4 min 05 s or 2 h 10 min."""
    if seconds is None:
        return UNDEFINED
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def data_size(size_bytes: float | None) -> str:
    """A size in kB or MB, of a thousand and a million bytes."""
    if size_bytes is None:
        return UNDEFINED
    if size_bytes < 100_000:
        return f"{size_bytes / 1e3:,.1f} kB"
    return f"{size_bytes / 1e6:,.1f} MB"
