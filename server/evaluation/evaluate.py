"""A model file on held-out sites, step by step: open each site, predict, score, draw, write.

A step a file: held_out_site.py, predict.py, score.py; the tables lie in evaluation_folder.py, a
site's figures are made in site_summary.py. threshold.py chooses a decision threshold instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from common.arrays import BoolArray
from common.errors import LesionFedError, SiteDataError
from common.figures.case_picture import case_picture
from common.figures.viewer import viewer_volume
from common.files import write_whole
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.where_drawn import FoundInCase, where_drawn
from common.learning.segmentation import found_lesions, segment
from common.metrics.presets import preset
from common.model_file import Model
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import EvaluationFolder, ScoredCase
from server.evaluation.grid_notes import grid_notes
from server.evaluation.held_out_site import (
    PreparedHeldOutSite,
    open_held_out_site,
    unusable_site,
)
from server.evaluation.predict import trained_network
from server.evaluation.score import failed_row, score_fully


def evaluate(
    model: Model,
    sites: Mapping[str, Path],
    *,
    out: Path,
    store: Path,
    images: bool,
    on_case: Callable[[str, int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> dict[str, list[CaseRow]]:
    """Site -> a row for every planned case; every table of an evaluation is written under `out`.

    sites     name -> BIDS folder
    store     where prepared cases are kept between calls
    images    whether each case is drawn and kept for the viewer, under `out`/SITE
    on_case   called before each case with its name, its number from 1, and how many there are
    on_note   called with each sentence on images that are unlike those that trained the model

    All sites are opened before the first case is scored: a folder without a case is known at once
    (SiteDataError). A case that cannot be scored is a row with its reason, and so is every case of
    a site none of whose cases can be used.

    A case is judged on the scanner's own grid where its folder has the reference there, see
    `where_drawn`, else on that of its images; its row says which.
    """
    network = trained_network(model)
    opened: list[PreparedHeldOutSite] = []
    failed: list[CaseRow] = []
    for name, data in sites.items():
        try:
            opened.append(
                open_held_out_site(
                    name, data, recipe=model.recipe, template=model.template, store=store
                )
            )
        except SiteDataError:
            failed += unusable_site(name, data, recipe=model.recipe)
    n_cases = sum(len(site.cases) for site in opened)
    notes = grid_notes(model, opened)
    if on_note is not None:
        for note in notes:
            on_note(note)
    folder = EvaluationFolder(out)
    scored: list[ScoredCase] = []
    number = 0
    for site in opened:
        failed += site.failed
        for case in site.cases:
            number += 1
            if on_case is not None:
                on_case(f"{site.name} {case.name}", number, n_cases)
            try:
                found = FoundInCase(case, segment(network, case, model.recipe))
                judged = where_drawn(found)
                scored.append(score_fully(site.name, found, judged, model))
            except LesionFedError as error:
                failed.append(failed_row(site.name, case, error))
                continue
            if images:
                mask = found_lesions(
                    judged.probability,
                    model.threshold,
                    model.recipe,
                    at_least=model.at_least(judged.case.voxel_volume_mm3),
                )
                _draw(folder, scored[-1].row, judged.case, mask, model)
    folder.write(scored, failed, definition=_definition(model) | {"notes": notes})
    rows = [*(case.row for case in scored), *failed]
    return {name: [row for row in rows if row.site == name] for name in sites}


def _draw(
    folder: EvaluationFolder,
    row: CaseRow,
    case: PreparedCase,
    mask: BoolArray,
    model: Model,
) -> None:
    dice = row.metric("dice")
    shown = "undefined" if dice is None else f"{dice:.3f}"
    title = f"{row.site}, {case.name}, Dice {shown}"
    picture = folder.picture_file(row.site, case.name)
    picture.parent.mkdir(parents=True, exist_ok=True)
    write_whole(picture, case_picture(case, mask, title=title, task=model.recipe.task))
    definition = preset(model.recipe.evaluation.preset)
    volume = viewer_volume(case, mask, title=title, definition=definition, task=model.recipe.task)
    write_whole(folder.viewer_file(row.site, case.name), volume)


def _definition(model: Model) -> dict[str, object]:
    """What was evaluated, and by which definition."""
    return {
        "lesion": preset(model.recipe.evaluation.preset).as_dict(),
        "run": model.run,
        "round": model.round_index,
        "threshold": model.threshold,
        "smallest_mm3": model.smallest_mm3,
        "recipe": model.recipe.name,
        "recipe_sha256": model.recipe.sha256(),
    }
