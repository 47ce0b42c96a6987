"""Masks that lie, by their own names, on a grid other than the images': where, exactly?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.imaging.intake.findings import Finding, first_of
from common.imaging.intake.usable_case import OpenCase
from common.imaging.volume import VolumeFault, grid_text, read_volume, same_grid


def grids_elsewhere(case: OpenCase, masks: Sequence[Path]) -> Iterator[Finding]:
    """A note on each grid that the subject's `space-` masks lie on, beside the image's."""
    if case.first is None:
        return
    first, image = case.first
    by_grid: dict[str, list[Path]] = defaultdict(list)
    for path in masks:
        try:
            mask = read_volume(path)
        except VolumeFault as fault:
            text = f"{case.shown(path)}: {fault.what}"
            yield case.finding("warning", fault.code, text=text, fix=fault.fix)
        else:
            on = f"the grid of {first}" if same_grid(mask, image) else f"another grid than {first}"
            by_grid[f"{on}; masks: {grid_text(mask)}"].append(path)
    for grid, paths in by_grid.items():
        yield case.finding(
            "note",
            "mask-elsewhere",
            text=f"{first_of([path.name for path in paths])}: on {grid}; "
            f"{first}: {grid_text(image)}",
            fix="Nothing to do unless it should be used.",
        )
