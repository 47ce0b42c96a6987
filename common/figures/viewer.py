"""Three planes of one case to scroll through, inside a page that loads nothing from outside."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from common.arrays import BoolArray, FloatArray
from common.errors import GeometryError, RunFolderError
from common.figures.mosaic import (
    DIMMED,
    EXTRA,
    FOUND,
    MISSED,
    PREDICTED,
    Mark,
    grey_window,
)
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.orientation import stored_from_upright
from common.metrics.components import Lesions, find_lesions, voxel_volume_mm3
from common.metrics.detection import match_lesions
from common.metrics.presets import LesionDefinition
from common.recipe.task import Task
from common.recipe.task_labels import picture_labels

Array = NDArray[Any]
Kind = Literal["missed", "extra", "found", "predicted"]

FORMAT = "lesionfed-viewer/2"
GREY_LEVELS = 64
"""More cannot be distinguished on a screen, and fewer compress better (chosen)."""
MARKS = {1: FOUND, 2: EXTRA, 3: MISSED}
"""Value of a voxel's label -> how it is painted; 0 is not painted."""
MARKS_WITHOUT_REFERENCE = {2: PREDICTED}
KINDS: tuple[Kind, ...] = ("missed", "extra", "found", "predicted")
"""In the order in which a reader wants to look at them."""


@dataclass(frozen=True, slots=True)
class ViewerLesion:
    """A place to jump to.

    voxel   (i, j, k) of the crop: the lesion's voxel nearest to its centroid
    """

    kind: Kind
    voxel: tuple[int, int, int]
    volume_mm3: float


def viewer_volume(
    case: PreparedCase,
    prediction: BoolArray,
    *,
    title: str,
    definition: LesionDefinition,
    task: Task,
) -> bytes:
    """What the viewer needs of one case, as a JSON document that says what it holds.

    prediction   (i, j, k) on the case's crop
    definition   what a lesion is and when it counts as found: give the one the case is scored by,
                 and the list agrees with the scores; voxels of components that are too
                 small are painted too, but there is no jump to them
    task         what the channels of the image are

    In the document i runs to the patient's right, j forwards and k upwards, as in the case, and
    `voxel_to_file_voxel` leads to the file's own storage order. The image is its first modality, of
    the later of two dates, in 64 grey levels, 0 outside the brain; both arrays are gzip in base64,
    one byte a voxel, i fastest. The same input gives the same bytes. GeometryError when the
    prediction is not on the crop.
    """
    if prediction.shape != case.brain.shape:
        raise GeometryError(
            f"{title}: the viewer wants the prediction on the case's crop {case.brain.shape}, got "
            f"{prediction.shape}. Give the mask as the network returns it for this case."
        )
    label, channel = [*picture_labels(task).items()][-1]
    image = case.image[channel]
    window = grey_window(image[case.brain])
    marks = MARKS_WITHOUT_REFERENCE if case.lesions is None else MARKS
    to_grid = _shift(case.crop_start)
    to_file = stored_from_upright(case.stored_as, case.grid_shape) @ to_grid
    affine = case.affine @ to_grid
    lesions = sorted(
        _lesions(case, prediction, definition),
        key=lambda lesion: (KINDS.index(lesion.kind), -lesion.volume_mm3, lesion.voxel),
    )
    document = {
        "format": FORMAT,
        "title": title,
        "image_label": label,
        "orientation": "RAS",
        "shape": case.brain.shape,
        "spacing_mm": _rounded(np.linalg.norm(affine[:3, :3], axis=0)),
        "voxel_to_world_mm": _rounded(affine),
        "voxel_to_file_voxel": to_file.astype(int).tolist(),
        "window": _rounded(np.array(window)),
        "grey_levels": GREY_LEVELS,
        "dimmed": DIMMED,
        "marks": [_as_dict(value, mark) for value, mark in marks.items()],
        "definition": str(definition),
        "lesions": [
            {"kind": a.kind, "voxel": a.voxel, "volume_mm3": round(a.volume_mm3, 1)}
            for a in lesions
        ],
        "image": _packed(_grey(image, case.brain, window)),
        "labels": _packed(_labels(case.lesions, prediction)),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def viewer_html(volumes: Sequence[bytes]) -> Markup:
    """The viewers of a page, one below the other, with the script and the style they share.

    volumes   documents of `viewer_volume`

    For a page whose Content-Security-Policy allows `script_digest()`. Put it into a page once.
    RunFolderError when a document is not one of `viewer_volume`.
    """
    if not volumes:
        return Markup("")
    viewers = Markup("\n").join(_figure(volume) for volume in volumes)
    return Markup("<style>\n{}</style>\n{}\n<script>{}</script>").format(
        Markup(_shipped("viewer.css")),  # noqa: S704 # our own file
        viewers,
        Markup(_shipped("viewer.js")),  # noqa: S704 # our own file
    )


def script_digest() -> str:
    """What a page's Content-Security-Policy says after script-src, to allow our script alone.

    Such as `'sha256-...'`, quotes and all.
    """
    digest = hashlib.sha256(_shipped("viewer.js").encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _figure(volume: bytes) -> Markup:
    try:
        document = json.loads(volume.decode())
        if document["format"] != FORMAT:
            raise ValueError(document["format"])
        title = str(document["title"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RunFolderError(
            f"viewer data: want a document of format {FORMAT}, got {volume[:40]!r}. "
            "Evaluate the case again to write it."
        ) from None
    return Markup(
        '<figure class="viewer">\n'
        '<figcaption class="name">{}</figcaption>\n'
        '<p class="viewer-status"><noscript>The three-plane view needs JavaScript, which is '
        "switched off here. The rest of the page does without.</noscript></p>\n"
        '<script type="application/json">{}</script>\n'
        "</figure>"
    ).format(title, _inside_script(volume))


def _inside_script(volume: bytes) -> Markup:
    """The document without the one character that could end its element; the same JSON."""
    return Markup(volume.decode().replace("<", "\\u003c"))  # noqa: S704 # no < is left


def _shipped(name: str) -> str:
    return files("common.figures").joinpath(name).read_text(encoding="utf-8")


def _shift(start: Sequence[int]) -> FloatArray:
    """(4, 4), voxel of the crop -> voxel of the file's grid, upright."""
    shift = np.eye(4)
    shift[:3, 3] = start
    return shift


def _grey(image: Array, brain: BoolArray, window: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = window
    scaled = (image - low) / (high - low)
    levels = np.rint(np.clip(scaled, 0, 1) * (GREY_LEVELS - 1)).astype(np.uint8)
    return np.where(brain, levels, np.uint8(0))


def _labels(reference: BoolArray | None, prediction: BoolArray) -> NDArray[np.uint8]:
    """1 found, 2 extra, 3 missed, 0 neither; without a reference, what is predicted is 2."""
    labels = np.zeros(prediction.shape, np.uint8)
    labels[prediction] = 2
    if reference is not None:
        labels[reference & prediction] = 1
        labels[reference & ~prediction] = 3
    return labels


def _lesions(
    case: PreparedCase, prediction: BoolArray, definition: LesionDefinition
) -> Iterator[ViewerLesion]:
    """Every reference lesion, and the predicted ones that the reference does not confirm."""
    spacing_mm = case.on_file_grid(case.brain).spacing_mm
    predicted = find_lesions(prediction, spacing_mm=spacing_mm, definition=definition)
    kinds: list[tuple[Lesions, list[Kind | None]]] = []
    if case.lesions is None:
        kinds.append((predicted, ["predicted"] * len(predicted)))
    else:
        reference = find_lesions(case.lesions, spacing_mm=spacing_mm, definition=definition)
        matches = match_lesions(reference, predicted, definition)
        kinds.append((reference, ["found" if yes else "missed" for yes in matches.detected]))
        kinds.append((predicted, [None if yes else "extra" for yes in matches.confirmed]))
    for lesions, of_each in kinds:
        for kind, voxels in zip(of_each, _voxels_of_each(lesions), strict=True):
            if kind is not None:
                i, j, k = _nearest_to_centroid(voxels, spacing_mm).tolist()
                yield ViewerLesion(kind, (i, j, k), len(voxels) * voxel_volume_mm3(spacing_mm))


def _voxels_of_each(lesions: Lesions) -> list[Array]:
    """(n, 3) voxels of lesion 1, 2, ..."""
    voxels = np.argwhere(lesions.labels)
    numbers = lesions.labels[tuple(voxels.T)]
    in_order = voxels[np.argsort(numbers, kind="stable")]
    return np.split(in_order, np.cumsum(lesions.sizes))[: len(lesions)]


def _nearest_to_centroid(voxels: Array, spacing_mm: Array) -> Array:
    distance_mm = np.linalg.norm((voxels - voxels.mean(axis=0)) * spacing_mm, axis=1)
    nearest: Array = voxels[np.argmin(distance_mm)]
    return nearest


def _packed(array: NDArray[np.uint8]) -> str:
    return base64.b64encode(gzip.compress(array.tobytes(order="F"), 9, mtime=0)).decode()


def _as_dict(value: int, mark: Mark) -> dict[str, object]:
    return {
        "value": value,
        "label": mark.label,
        "colour": mark.colour,
        "opacity": mark.opacity,
    }


def _rounded(values: Array) -> Any:
    """As nested lists, to a tenth of a micrometre: a last bit that differs does not show."""
    return (np.round(values, 4) + 0.0).tolist()
