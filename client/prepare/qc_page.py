"""qc/sub-01.html: one prepared case, to be inspected at the site that prepared it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from client.prepare.derivatives import written_to
from client.prepare.job import Job
from client.prepare.qc_pictures import PictureRow, histograms, intensities, picture
from client.prepare.qc_planes import Plane, Window, checkerboard, plane_of, window_on
from common.arrays import FloatArray
from common.figures.page import png_uri, rendered_page, svg_uri, write_page
from common.imaging.intake.usable_case import UsableCase
from common.imaging.preprocessing.chain import PreparedVolumes
from common.imaging.volume import Volume, read_volume
from common.recipe.recipe import Recipe

UNMOVED = np.eye(4)
"""Of a volume that lies in the common space already."""

GREY_PERCENTILES = (1.0, 99.7)
"""Of the intensities inside the brain: black and white of a picture (chosen)."""

SPACES = {
    "own": "in the reference's own space",
    "mni152": "in MNI152 space",
    "halfway": "halfway between the sessions",
}


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture as the page holds it."""

    source: str
    alt: str
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseLine:
    """One case in the index; `page` is False where none was drawn."""

    name: str
    result: str
    notes: tuple[str, ...]
    drawn: bool

    @property
    def page(self) -> str:
        """The page's address from the index, or nothing."""
        return quote(f"{self.name}.html") if self.drawn else ""


def page_path(out: Path, case: UsableCase) -> Path:
    """Where the case's page lies."""
    return out / "qc" / f"{case.name}.html"


def is_drawn(job: Job, case: UsableCase) -> bool:
    """Whether the case's page is there, made by this very job."""
    try:
        page = page_path(job.out, case).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return f'data-key="{job.page_key()}"' in page


def write_qc_pages(job: Job, prepared: Sequence[PreparedVolumes]) -> None:
    """Draws every case of the job; SiteDataError where the disk is full or closed."""
    with written_to(job.out / "qc"):
        (job.out / "qc").mkdir(exist_ok=True)
        for case, volumes in zip(job.cases, prepared, strict=True):
            others = [
                (other.session or other.name, found)
                for other, found in zip(job.cases, prepared, strict=True)
                if other.name != case.name
            ]
            write_page(page_path(job.out, case), qc_page(job, case, volumes, others=others))


def write_qc_index(out: Path, recipe: Recipe, cases: Sequence[CaseLine]) -> None:
    """qc/index.html, which leads to every page."""
    with written_to(out / "qc"):
        (out / "qc").mkdir(exist_ok=True)
        html = rendered_page(
            "qc_index.html.j2",
            package="client.prepare",
            values={"recipe": recipe.name, "steps": recipe.preprocessing.steps, "cases": cases},
        )
        write_page(out / "qc" / "index.html", html)


def qc_page(
    job: Job,
    case: UsableCase,
    prepared: PreparedVolumes,
    *,
    others: Sequence[tuple[str, PreparedVolumes]] = (),
) -> str:
    """The page: before and after, registration, histogram, and what was done in numbers.

    others   the subject's other sessions on the same grid, by their labels
    """
    settings = job.preprocessing
    window = window_on(prepared.brain)
    raw = {name: read_volume(path) for name, path in case.images.items()}
    pairs = [_before_and_after(name, image, prepared, window) for name, image in raw.items()]
    shown = [
        intensities(
            name,
            image.data[prepared.brain.data].astype(np.float64),
            np.array(job.template[name]) if name in job.template else None,
        )
        for name, image in prepared.images.items()
    ]
    lesions = prepared.lesions
    return rendered_page(
        "qc_page.html.j2",
        package="client.prepare",
        values={
            "key": job.page_key(),
            "name": case.name,
            "steps": settings.steps,
            "is_cord": "cord" in settings.steps,
            "space": SPACES[settings.space],
            "spacing": f"{settings.spacing_mm:g}",
            "notes": prepared.notes,
            "pairs": pairs,
            "boards": _boards(job, prepared, others, window),
            "histogram": svg_uri(histograms(shown)),
            "has_template": any(one.template is not None for one in shown),
            "has_lesions": lesions is not None,
            "lesion_ml": 0.0 if lesions is None else _volume_ml(lesions),
            "brain_ml": _volume_ml(prepared.brain),
            "grid": " x ".join(map(str, prepared.brain.data.shape)),
            "images": [
                _numbers(name, case.images[name], image, prepared.moves[name])
                for name, image in raw.items()
            ],
        },
    )


def _before_and_after(
    name: str, raw: Volume, prepared: PreparedVolumes, window: Window
) -> PagePicture:
    brain = Volume(prepared.brain.data.astype(np.float32), prepared.brain.affine)
    brains = [plane_of(brain, UNMOVED, window, cut) for cut in window.cuts]
    lesions: list[Plane] = []
    if prepared.lesions is not None:
        marked = Volume(prepared.lesions.data.astype(np.float32), prepared.lesions.affine)
        lesions = [plane_of(marked, UNMOVED, window, cut) for cut in window.cuts]
    before = [plane_of(raw, prepared.moves[name], window, cut) for cut in window.cuts]
    inside = np.concatenate([plane[mask > 0.5] for plane, mask in zip(before, brains, strict=True)])
    rows = [
        PictureRow(label="before", planes=_grey(before, inside), brains=brains),
        PictureRow(
            label="after",
            planes=_grey_planes(prepared.images[name], prepared.brain, window),
            brains=brains,
            lesions=lesions,
        ),
    ]
    return PagePicture(png_uri(picture(window, rows)), f"{name} before and after", name)


def _boards(
    job: Job,
    prepared: PreparedVolumes,
    others: Sequence[tuple[str, PreparedVolumes]],
    window: Window,
) -> list[PagePicture]:
    """The reference against all it was registered with: modalities, sessions, the template."""
    reference = job.preprocessing.reference_of(tuple(prepared.images))
    mine = _grey_planes(prepared.images[reference], prepared.brain, window)
    against = [
        (name, _grey_planes(image, prepared.brain, window))
        for name, image in prepared.images.items()
        if name != reference
    ]
    against += [
        (name, _grey_planes(other.images[reference], other.brain, window)) for name, other in others
    ]
    if job.preprocessing.space == "mni152":
        against.append(("MNI152", _grey_planes(_mni_template(), prepared.brain, window)))
    boards = []
    for name, planes in against:
        mixed = [checkerboard(one, other) for one, other in zip(mine, planes, strict=True)]
        row = PictureRow(label=f"{reference} / {name}", planes=mixed)
        caption = f"{reference} and {name}"
        boards.append(
            PagePicture(png_uri(picture(window, [row])), f"checkerboard of {caption}", caption)
        )
    return boards


def _mni_template() -> Volume:
    from nilearn.datasets import load_mni152_template  # slow to import

    image = load_mni152_template(resolution=1)
    return Volume(np.asarray(image.dataobj, np.float32), np.asarray(image.affine, np.float64))


def _grey_planes(image: Volume, brain: Volume, window: Window) -> list[Plane]:
    """The image's planes, grey by its intensities inside the brain, or where it is not 0."""
    planes = [plane_of(image, UNMOVED, window, cut) for cut in window.cuts]
    inside = brain.data if image.data.shape == brain.data.shape else image.data != 0
    return _grey(planes, image.data[inside])


def _grey(planes: Sequence[Plane], inside: Plane) -> list[Plane]:
    """The planes from 0, black, to 1, white, by the intensities inside the brain."""
    black, white = np.percentile(inside, GREY_PERCENTILES) if inside.size else (0.0, 1.0)
    span = white - black if white > black else 1.0
    return [np.clip((plane - black) / span, 0, 1).astype(np.float32) for plane in planes]


def _numbers(name: str, path: Path, raw: Volume, move: FloatArray) -> dict[str, object]:
    centre = raw.affine @ [*((n - 1) / 2 for n in raw.data.shape), 1.0]
    cosine = (np.trace(move[:3, :3]) - 1) / 2
    return {
        "modality": name,
        "file": path.name,
        "grid": " x ".join(map(str, raw.data.shape)),
        "spacing": " x ".join(f"{mm:.2f}" for mm in raw.spacing_mm),
        "shift_mm": float(np.linalg.norm((move @ centre - centre)[:3])),
        "turn_degrees": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    }


def _volume_ml(mask: Volume) -> float:
    return int(mask.data.sum()) * mask.voxel_volume_mm3 / 1000
