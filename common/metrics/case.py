"""One reference and one prediction of it, scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from common.errors import GeometryError
from common.metrics.components import Spacing
from common.metrics.lesion import LesionCounts, count_lesions
from common.metrics.mask import lesion_mask
from common.metrics.presets import LesionDefinition
from common.metrics.surface import SurfaceDistances, surface_distances
from common.metrics.voxel import VoxelCounts, count_voxels


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseScore:
    """Every metric of one case, the definition it was made with, and notes for the reader.

    voxels   counts over the whole grid, every component in them
    surface  distances between the masks, every component in them
    lesions  counts of lesions, small components left out
    """

    voxels: VoxelCounts
    surface: SurfaceDistances
    lesions: LesionCounts
    definition: LesionDefinition
    notes: tuple[str, ...] = ()

    def metrics(self) -> dict[str, float | int | None]:
        """Each metric by its name, in the order reports show them; None is undefined.

        Without a lesion voxel in the reference only what was predicted has a value. The counts of
        voxels at the end, which sets of cases are pooled by, always have one.
        """
        voxels, surface, lesions = self.voxels, self.surface, self.lesions
        empty = lesions.reference_is_empty
        return {
            "dice": voxels.dice,
            "jaccard": voxels.jaccard,
            "sensitivity": voxels.sensitivity,
            "specificity": voxels.specificity,
            "ppv": voxels.ppv,
            "npv": voxels.npv,
            "relative_volume_error_pct": voxels.relative_volume_error_pct,
            "hausdorff_mm": surface.hausdorff_mm,
            "hd95_mm": surface.hd95_mm,
            "contour_mean_distance_mm": surface.contour_mean_distance_mm,
            "assd_mm": surface.assd_mm,
            "lesion_sensitivity": lesions.lesion_sensitivity,
            "lesion_ppv": lesions.lesion_ppv,
            "lesion_f1": lesions.lesion_f1,
            "ltpr": lesions.ltpr,
            "lfpr": lesions.lfpr,
            "n_reference_lesions": None if empty else lesions.n_reference,
            "n_predicted_lesions": lesions.n_predicted,
            "reference_volume_mm3": None if empty else lesions.reference_volume_mm3,
            "predicted_volume_mm3": lesions.predicted_volume_mm3,
            "tp_voxels": voxels.tp,
            "fp_voxels": voxels.fp,
            "fn_voxels": voxels.fn,
        }

    def as_dict(self) -> dict[str, Any]:
        """The metrics, then `definition` and `notes`, ready for JSON."""
        return {
            **self.metrics(),
            "definition": self.definition.as_dict(),
            "notes": list(self.notes),
        }


def score_case(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    *,
    spacing_mm: Spacing,
    definition: LesionDefinition,
    threshold: float | None = None,
) -> CaseScore:
    """How well `prediction` agrees with `reference`, voxel by voxel, in mm and by lesion.

    reference, prediction  (i, j, k) on one grid: bool, labels of any type, or probabilities
    spacing_mm             along i, j and k
    threshold              a probability above this is lesion; needed for probabilities only
    """
    if reference.ndim != 3 or reference.shape != prediction.shape:
        raise GeometryError(
            "want reference and prediction with one shape (i, j, k), "
            f"got {reference.shape} and {prediction.shape}"
        )
    truth, truth_notes = lesion_mask(reference, name="reference", threshold=threshold)
    found, found_notes = lesion_mask(prediction, name="prediction", threshold=threshold)
    return CaseScore(
        voxels=count_voxels(truth, found),
        surface=surface_distances(truth, found, spacing_mm=spacing_mm),
        lesions=count_lesions(truth, found, spacing_mm=spacing_mm, definition=definition),
        definition=definition,
        notes=(*truth_notes, *found_notes),
    )
