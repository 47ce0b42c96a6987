"""The chart of the methods at the unseen sites: one a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from common.figures.intervals import IntervalChart, IntervalRow
from server.papers.paper_figures import PaperFigure
from server.studies.methods.unseen_sites import MethodAtUnseen

NAMES: Mapping[str, str] = MappingProxyType({"lesion_f1": "lesion F1", "dice": "Dice"})


def unseen_figures(lines: Sequence[MethodAtUnseen]) -> list[PaperFigure]:
    """A chart for each metric that some method has."""
    figures = [
        PaperFigure(
            name=f"unseen-{metric.replace('_', '-')}",
            caption=(
                f"Mean {name} over the unseen sites, each alike, and of the worst of them. "
                "Interval: 95 %, over seeds and over subjects within each site."
            ),
            drawing=IntervalChart(
                title=f"{name[0].upper()}{name[1:]} at unseen sites",
                x_label=f"mean {name} over the sites",
                lowest="worst site",
                rows=_rows(lines, metric),
            ),
        )
        for metric, name in NAMES.items()
    ]
    return [figure for figure in figures if not figure.drawing.is_empty]


def _rows(lines: Sequence[MethodAtUnseen], metric: str) -> list[IntervalRow]:
    figures = [(line.method, line.figures[metric]) for line in lines]
    return [
        IntervalRow(
            label=method,
            mean=figure.mean,
            interval=None
            if figure.low is None or figure.high is None
            else (figure.low, figure.high),
            lowest=figure.worst if len(figure.by_site) > 1 else None,
        )
        for method, figure in figures
        if figure.mean is not None
    ]
