"""What tests look at in a chart: its texts, and that its SVG stands alone."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from common.figures.drawing import SMALL_PT, figure_of

PIXEL = 1.0


class AnyChart(Protocol):
    """What every chart offers."""

    @property
    def title(self) -> str: ...
    @property
    def is_empty(self) -> bool: ...
    def in_words(self) -> str: ...
    def svg(self) -> str: ...
    def draw(self, figure: Figure) -> None: ...


def laid_out(chart: AnyChart) -> Figure:
    """The chart's figure at the height of its SVG, with every artist in its place."""
    height = re.search(r'<svg [^>]*height="([\d.]+)pt"', chart.svg())
    assert height is not None
    figure = figure_of(chart.draw, height_in=float(height[1]) / 72)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call] # untyped in matplotlib
    return figure


def texts(chart: AnyChart) -> list[str]:
    """Every text that is drawn, empty ones left out."""
    return [text.get_text() for text in _visible_texts(laid_out(chart))]


def x_of(line: Line2D) -> list[float]:
    """Where the line's points lie across."""
    return [float(x) for x in np.atleast_1d(np.asarray(line.get_xdata(), float))]


def y_of(line: Line2D) -> list[float]:
    """Where the line's points lie upwards."""
    return [float(y) for y in np.atleast_1d(np.asarray(line.get_ydata(), float))]


def assert_stands_alone(chart: AnyChart) -> None:
    """It is XML, refers to nothing outside, and is the same bytes every time."""
    svg = chart.svg()
    ET.fromstring(svg)  # noqa: S314 # our own text
    addresses = set(re.findall(r"https?://[^\"' >]+", svg))
    assert {a for a in addresses if not a.startswith("http://www.w3.org/")} == set()
    assert re.findall(r'href="(?!#)', svg) == []
    assert "<script" not in svg
    assert "<text" not in svg  # drawn as outlines: no font of the reader's is needed
    assert chart.svg() == svg


def assert_readable(chart: AnyChart) -> None:
    """Every text lies inside the figure, is large enough, and touches no other text."""
    figure = laid_out(chart)
    found = _visible_texts(figure)
    boxes = [text.get_window_extent() for text in found]
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in zip(found, boxes, strict=True):
        place = f"{text.get_text()!r} at {box}"
        assert float(text.get_fontsize()) >= SMALL_PT, place
        assert box.x0 >= -PIXEL and box.x1 <= width + PIXEL, place  # noqa: PT018 # one idea
        assert box.y0 >= -PIXEL and box.y1 <= height + PIXEL, place  # noqa: PT018 # as above
    upright = [(t, b) for t, b in zip(found, boxes, strict=True) if t.get_rotation() in (0, 90)]
    for index, (text, box) in enumerate(upright):
        for other, other_box in upright[:index]:
            apart = (
                box.x1 <= other_box.x0 + PIXEL
                or other_box.x1 <= box.x0 + PIXEL
                or box.y1 <= other_box.y0 + PIXEL
                or other_box.y1 <= box.y0 + PIXEL
            )
            assert apart, f"{text.get_text()!r} touches {other.get_text()!r}"


def _visible_texts(figure: Figure) -> list[Text]:
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick, place in zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=True)
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= place <= max(axis.get_view_interval())
    }
    return [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text)
        and text.get_visible()
        and text.get_text().strip()
        and id(text) not in ticks
    ]
