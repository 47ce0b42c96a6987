"""Mask pairs with the figures that the challenge's own tool printed for them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from common.metrics.presets import MSSEG2016, LesionDefinition
from server.evaluation.score_folders import score_files

GOLDEN = Path(__file__).parents[4] / "shared" / "golden" / "lesion-metrics"

OUR_NAME = {
    "Dice": "dice",
    "Jaccard": "jaccard",
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
    "PPV": "ppv",
    "NPV": "npv",
    "RelativeVolumeError": "relative_volume_error_pct",
    "HausdorffDistance": "hausdorff_mm",
    "ContourMeanDistance": "contour_mean_distance_mm",
    "SensL": "lesion_sensitivity",
    "PPVL": "lesion_ppv",
    "F1_score": "lesion_f1",
    "NbTestedLesions": "n_predicted_lesions",
    "VolTestedLesions": "predicted_volume_mm3",
}

NOT_OURS = {"SurfaceDistance"}
"""The tool's surface distance never resets its running minimum, so it is no distance."""

RELATIVE = {
    "HausdorffDistance",
    "ContourMeanDistance",
    "RelativeVolumeError",
    "VolTestedLesions",
}
"""Compared by their size: of 58 mm the tool's six decimals are more than the header's float32."""

SWITCHES = {"-x": "alpha", "-y": "beta", "-z": "gamma", "-v": "min_volume_mm3"}


def golden_cases() -> list[Any]:
    expected = GOLDEN / "expected.json"
    if not expected.is_file():
        skip = pytest.mark.skip(reason="../shared/golden/lesion-metrics is not on this machine")
        return [pytest.param({}, marks=skip, id="absent")]
    cases = json.loads(expected.read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in cases]


def definition_of(args: list[str]) -> LesionDefinition:
    changed: dict[str, Any] = {
        SWITCHES[switch]: float(value) for switch, value in zip(args[::2], args[1::2], strict=True)
    }
    return dataclasses.replace(MSSEG2016, **changed)


@pytest.mark.parametrize("case", golden_cases())
def test_each_metric_is_what_the_tool_printed(case: dict[str, Any]) -> None:
    folder = GOLDEN / case["name"]
    metrics = score_files(
        folder / "gt.nii.gz",
        folder / "pred.nii.gz",
        definition=definition_of(case["args"]),
    ).metrics()
    for tool_name, expected in case["expected"].items():
        if tool_name in NOT_OURS:
            continue
        found = metrics[OUR_NAME[tool_name]]
        relative = 2e-6 if tool_name in RELATIVE else 0.0
        if expected is None:
            assert found is None, tool_name
        else:
            assert found == pytest.approx(expected, abs=2e-6, rel=relative), tool_name
    if "NbTestedLesions" in case["expected"]:
        told = {name for name, value in metrics.items() if value is not None}
        counts = {"tp_voxels", "fp_voxels", "fn_voxels"}
        assert told == {"n_predicted_lesions", "predicted_volume_mm3"} | counts
