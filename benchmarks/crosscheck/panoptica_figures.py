"""What panoptica says of the random pairs; runs in an environment of its own.

    PYTHON benchmarks/crosscheck/panoptica_figures.py PAIRS.npz FIGURES.json

Its pins clash with ours (NumPy below 2.3, connected-components-3d below 4, rich below 14), so
arrays come by .npz and figures go by JSON. Nothing of this repository is imported here.
"""

from __future__ import annotations

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from panoptica import (  # type: ignore[import-not-found] # in an environment of its own
    ConnectedComponentsInstanceApproximator,
    InputType,
    NaiveThresholdMatching,
    Panoptica_Evaluator,
)
from panoptica.metrics import Metric  # type: ignore[import-not-found] # as above
from panoptica.utils.citation_reminder import (  # type: ignore[import-not-found] # as above
    disable_citation_reminder,
)
from panoptica.utils.constants import CCABackend  # type: ignore[import-not-found] # as above


def main(argv: list[str]) -> int:
    """Writes {"version": .., "figures": {name: [one value a pair, null undefined]}}."""
    disable_citation_reminder()
    with np.load(argv[0], allow_pickle=False) as pairs:
        rows = [
            figures(reference.astype(np.uint8), prediction.astype(np.uint8), tuple(spacing_mm))
            for reference, prediction, spacing_mm in zip(
                pairs["references"],
                pairs["predictions"],
                pairs["spacings_mm"].tolist(),
                strict=True,
            )
        ]
    by_name = {name: [number(row[name]) for row in rows] for name in rows[0]}
    content = {"version": version("panoptica"), "figures": by_name}
    Path(argv[1]).write_text(json.dumps(content, allow_nan=False))
    return 0


def figures(reference: Any, prediction: Any, spacing_mm: tuple[float, ...]) -> dict[str, Any]:
    """Every figure of one pair."""
    halves = run(evaluator(CCABackend.cc3d, iou=0.5), prediction, reference, spacing_mm)
    faces = run(evaluator(CCABackend.scipy, iou=0.0), prediction, reference, spacing_mm)
    touching = run(evaluator(CCABackend.cc3d, iou=0.0), prediction, reference, spacing_mm)
    many = evaluator(CCABackend.cc3d, iou=0.0, many_to_one=True)
    one = run(as_one_instance(), prediction, reference, spacing_mm)
    return {
        "dice": halves.global_bin_dsc,
        "hausdorff_of_image": halves.global_bin_hd,
        "hausdorff_mm": one.sq_hd,
        "hd95_mm": one.sq_hd95,
        "assd_mm": one.sq_assd,
        "volume_error": halves.global_bin_rvd,
        "n_reference_6": faces.n_ref_instances,
        "n_predicted_6": faces.n_pred_instances,
        "n_reference_26": touching.n_ref_instances,
        "n_predicted_26": touching.n_pred_instances,
        "n_touching": touching.tp,
        "n_half": halves.tp,
        "matched_dice": halves.sq_dsc if halves.tp else None,
        "n_predicted_alone": run(many, prediction, reference, spacing_mm).fp,
        "n_reference_alone": run(many, reference, prediction, spacing_mm).fp,
    }


def as_one_instance() -> Any:
    """Each mask as a single instance: only metrics of instances take the spacing."""
    return Panoptica_Evaluator(
        expected_input=InputType.MATCHED_INSTANCE,
        instance_metrics=[Metric.HD, Metric.HD95, Metric.ASSD],
        global_metrics=[],
    )


def evaluator(backend: Any, *, iou: float, many_to_one: bool = False) -> Any:
    """Matching by IoU of at least `iou`; above 0 where it is 0."""
    return Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(cca_backend=backend),
        instance_matcher=NaiveThresholdMatching(
            matching_metric=Metric.IOU,
            matching_threshold=iou,
            strict_threshold=iou == 0,
            allow_many_to_one=many_to_one,
        ),
        instance_metrics=[Metric.IOU, Metric.DSC],
        global_metrics=[Metric.DSC, Metric.HD, Metric.RVD],
    )


def run(evaluator: Any, prediction: Any, reference: Any, spacing_mm: tuple[float, ...]) -> Any:
    return evaluator.evaluate(prediction, reference, voxelspacing=spacing_mm)["ungrouped"]


def number(value: Any) -> float | int | None:
    """A plain number for JSON; None for NaN."""
    if value is None or math.isnan(value):
        return None
    return int(value) if isinstance(value, int | np.integer) else float(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
