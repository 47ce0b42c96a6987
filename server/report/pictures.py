"""The pictures of a report: the best, median and worst case, and those to scroll through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from common.figures.gallery import gallery
from common.figures.page import png_uri
from common.figures.viewer import viewer_html
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import EvaluationFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class CasePicture:
    """One case, drawn. place: best, median or worst by Dice; None for the others."""

    title: str
    place: str | None
    source: str
    alt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """All drawn cases; empty in a report without images.

    chosen   examples: best, median, worst
    others   the rest, by site and case
    viewer   the chosen cases in three planes, as HTML; None where no images were stored
    """

    chosen: Sequence[CasePicture] = ()
    others: Sequence[CasePicture] = ()
    viewer: Markup | None = None


def pictures_of(folder: EvaluationFolder, rows: Sequence[CaseRow], *, images: str) -> Pictures:
    """The pictures that evaluation left of these rows' cases.

    images   what is seen on them beside the masks, such as "FLAIR"
    """
    drawn = {
        f"{row.site}: {row.name}": row
        for row in rows
        if folder.picture_file(row.site, row.name).exists()
    }
    picks = gallery((title, row.metric("dice")) for title, row in drawn.items())
    places = {pick.name: pick.place for pick in picks}
    kept = [folder.viewer_file(drawn[title].site, drawn[title].name) for title in places]
    volumes = [file.read_bytes() for file in kept if file.exists()]
    return Pictures(
        chosen=[
            _picture(folder, drawn[title], title, place, images) for title, place in places.items()
        ],
        others=[
            _picture(folder, row, title, None, images)
            for title, row in sorted(drawn.items())
            if title not in places
        ],
        viewer=viewer_html(volumes) if volumes else None,
    )


def _picture(
    folder: EvaluationFolder, row: CaseRow, title: str, place: str | None, images: str
) -> CasePicture:
    dice = row.metric("dice")
    shown = "undefined" if dice is None else f"{dice:.3f}"
    return CasePicture(
        title=f"{title}, Dice {shown}",
        place=place,
        source=png_uri(folder.picture_file(row.site, row.name).read_bytes()),
        alt=f"Slices of {row.name} of {row.site}: {images or 'images'}, reference, prediction. "
        f"Dice {shown}.",
    )
