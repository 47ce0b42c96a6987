"""A model file on unseen sites: a row and a picture a case."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from common.figures.case_picture import case_picture
from common.imaging.prepared import PreparedCase
from common.learning.model import new_network
from common.learning.parameters import load_parameters
from common.model_file import Model
from common.whole_file import write_whole
from server.unseen_sites import BoolArray, CaseRow, by_network, open_unseen_site


def evaluate(
    model: Model, sites: Mapping[str, Path], *, out: Path, store: Path, images: bool
) -> dict[str, list[CaseRow]]:
    """Site -> a row for every planned case; written to `cases.csv` under `out` as well.

    sites    name -> BIDS folder
    store    where prepared cases are kept between calls
    images   whether each case is drawn, to `out`/SITE/CASE.png
    """
    torch.set_num_threads(model.recipe.compute.threads)
    network = new_network(model.recipe)
    load_parameters(network, model.parameters)
    segment_case = by_network(network, model.recipe, model.threshold)
    rows = {}
    for name, data in sites.items():
        opened = open_unseen_site(
            name, data, recipe=model.recipe, template=model.template, store=store
        )
        draw = _drawing(name, out / name) if images else None
        rows[name] = opened.score(segment_case, recipe=model.recipe, on_scored=draw)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "cases.csv", _as_csv(rows))
    return rows


def _drawing(site: str, folder: Path) -> Callable[[PreparedCase, BoolArray, CaseRow], None]:
    folder.mkdir(parents=True, exist_ok=True)

    def draw(case: PreparedCase, mask: BoolArray, row: CaseRow) -> None:
        dice = row.metrics["dice"]
        shown = "undefined" if dice is None else f"{dice:.2f}"
        picture = case_picture(case, mask, title=f"{site}, {case.name}, Dice {shown}")
        write_whole(folder / f"{case.name}.png", picture)

    return draw


def _as_csv(rows: Mapping[str, Sequence[CaseRow]]) -> bytes:
    """One line a case; an undefined value is an empty field."""
    table = [{"site": site, **row.as_dict()} for site, of_site in rows.items() for row in of_site]
    columns = dict.fromkeys(column for row in table for column in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()
