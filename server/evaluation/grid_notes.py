"""Where held-out sites' images are unlike those that the model was trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from common.model_file import Model
from server.evaluation.held_out_site import PreparedHeldOutSite
from server.evaluation.predict import grid_doubts


def grid_notes(model: Model, sites: Sequence[PreparedHeldOutSite]) -> list[str]:
    """One sentence a site and doubt, with how many of its scorable cases it is about."""
    what_to_do = (
        "Prepare the site with lesionfed-site prepare and the model's recipe."
        if model.recipe.preprocessing.steps
        else "Prepare the site as the training sites were prepared."
    )
    notes = []
    for site in sites:
        names: dict[str, list[str]] = defaultdict(list)
        for case in site.cases:
            for doubt in grid_doubts(model, case, what_to_do=what_to_do):
                names[doubt].append(case.name)
        notes += [
            f"{site.name}, {len(of_doubt)} of {len(site.cases)} cases (first: {of_doubt[0]}): "
            f"{doubt}"
            for doubt, of_doubt in names.items()
        ]
    return notes
