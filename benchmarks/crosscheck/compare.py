"""Ours beside MONAI and panoptica on the random pairs: every difference explained, or a failure.

    make crosscheck

A difference is explained when the peer's own definition, rebuilt from our contours and overlaps,
gives the peer's figure on every pair. Exit code 1 when one does not.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crosscheck.our_figures import Figures, our_figures
from common.arrays import BoolArray, FloatArray

AGREE = 1e-6
"""Figures closer than this, or than this share of the larger one, are one figure: MONAI's distances
are float32, right to some 1e-7 of their size."""

EDGE = "they count the edge of the image as background: a lesion it cuts has more contour"
CONTOURS = "theirs is between contours, ours between whole masks"
RANK = "theirs has the percentile's rank in single precision: off by some 1e-4 of a step"
BOTH_WAYS = (
    "theirs is one percentile over both directions, ours the larger of the two directed ones"
)
TWO_MEANS = "theirs is the mean of two directed means, ours the mean over all contour voxels"
VOXELS = "theirs is in voxels: the spacing it is given reaches its instances only"
IN_PAIRS = "they match lesions in pairs, each once; ours is any overlap, and one may find several"
HALF = "they ask for an IoU of at least 0.5; ours for one shared voxel"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of ours beside a peer's, over all pairs.

    ours, theirs, rebuilt   name of the figure here, there, and by their definition here
    why                     what differs between the definitions; empty where nothing may
    """

    metric: str
    peer: str
    ours: str
    theirs: str
    rebuilt: str = ""
    why: tuple[str, ...] = ()


MONAI, PANOPTICA = "MONAI", "panoptica"
HD, HD95, ASSD = "hausdorff_mm", "hd95_mm", "assd_mm"
COMPARISONS = (
    Comparison("Dice", MONAI, "dice", "dice"),
    Comparison("Hausdorff, mm", MONAI, HD, HD, HD, (CONTOURS, EDGE)),
    Comparison("HD95, mm", MONAI, HD95, HD95, "hd95_of_each_mm", (EDGE, RANK)),
    Comparison("ASSD, mm", MONAI, ASSD, ASSD, "assd_over_voxels_mm", (EDGE,)),
    Comparison("Dice", PANOPTICA, "dice", "dice"),
    Comparison("relative volume error", PANOPTICA, "volume_error", "volume_error"),
    Comparison("Hausdorff, mm", PANOPTICA, HD, HD, HD, (CONTOURS, EDGE)),
    Comparison("HD95, mm", PANOPTICA, HD95, HD95, "hd95_of_both_mm", (BOTH_WAYS, EDGE)),
    Comparison("ASSD, mm", PANOPTICA, ASSD, ASSD, "assd_of_means_mm", (TWO_MEANS, EDGE)),
    Comparison(
        "Hausdorff, whole image",
        PANOPTICA,
        HD,
        "hausdorff_of_image",
        "hausdorff_voxels",
        (VOXELS, CONTOURS, EDGE),
    ),
    Comparison("reference lesions, 6", PANOPTICA, "n_reference_6", "n_reference_6"),
    Comparison("predicted lesions, 6", PANOPTICA, "n_predicted_6", "n_predicted_6"),
    Comparison("reference lesions, 26", PANOPTICA, "n_reference_26", "n_reference_26"),
    Comparison("predicted lesions, 26", PANOPTICA, "n_predicted_26", "n_predicted_26"),
    Comparison("reference, untouched", PANOPTICA, "n_reference_alone", "n_reference_alone"),
    Comparison("predicted, untouched", PANOPTICA, "n_predicted_alone", "n_predicted_alone"),
    Comparison(
        "found, any overlap", PANOPTICA, "n_detected", "n_touching", "n_touching", (IN_PAIRS,)
    ),
    Comparison("found, IoU 0.5", PANOPTICA, "n_detected", "n_half", "n_half", (IN_PAIRS, HALF)),
    Comparison("mean Dice of the matched", PANOPTICA, "matched_dice", "matched_dice"),
)


def main(argv: list[str]) -> int:
    """Prints the table; 1 when a difference stays unexplained."""
    from benchmarks.crosscheck.monai_figures import monai_figures  # torch: kept from the tests

    panoptica = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    ours: list[Figures] = []
    monai: list[Figures] = []
    clear: list[bool] = []
    with np.load(argv[0], allow_pickle=False) as pairs, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "monai.metrics.utils get_mask_edges")  # its own call
        for reference, prediction, spacing_mm in zip(
            pairs["references"], pairs["predictions"], pairs["spacings_mm"], strict=True
        ):
            ours.append(our_figures(reference, prediction, spacing_mm))
            monai.append(dict(monai_figures(reference, prediction, spacing_mm)))
            clear.append(is_clear_of_the_edge(reference | prediction))
    print(
        f"{len(ours)} pairs, {sum(clear)} of them clear of the edge of the image; "
        f"MONAI {version('monai')}, panoptica {panoptica['version']}\n"
    )
    theirs = {MONAI: by_name(monai), PANOPTICA: panoptica["figures"]}
    return show(by_name(ours), theirs, np.array(clear))


def show(
    ours: dict[str, list[Any]], theirs: dict[str, dict[str, list[Any]]], clear: BoolArray
) -> int:
    """Prints a row a comparison and the reasons; 1 when one has no verified reason."""
    print(
        "| metric | peer | largest difference | equal | equal, clear of the edge "
        "| largest, by their definition | verdict |\n|---|---|---|---|---|---|---|"
    )
    reasons: list[str] = []
    n_unexplained = 0
    for each in COMPARISONS:
        peer = theirs[each.peer][each.theirs]
        apart, equal = differences(ours[each.ours], peer)
        left, verdict = "", "agree"
        if not equal.all() and each.rebuilt:
            by_theirs, rebuilt_equal = differences(ours[f"their {each.rebuilt}"], peer)
            left = f"{by_theirs.max():.1e}"
            if rebuilt_equal.all():
                reasons.extend(why for why in each.why if why not in reasons)
                verdict = ", ".join(f"({reasons.index(why) + 1})" for why in each.why)
        if not equal.all() and verdict == "agree":
            verdict = "UNEXPLAINED"
            n_unexplained += 1
        n_clear = f"{equal[clear].sum()} / {clear.sum()}"
        row = (each.metric, each.peer, f"{apart.max():.1e}", f"{equal.sum()} / {equal.size}")
        print(f"| {' | '.join(row)} | {n_clear} | {left} | {verdict} |")
    print()
    for number, why in enumerate(reasons, start=1):
        print(f"({number}) {why}")
    if n_unexplained:
        print(f"{n_unexplained} figures differ and are not explained", file=sys.stderr)
    return 1 if n_unexplained else 0


def is_clear_of_the_edge(mask: BoolArray) -> bool:
    inner = (slice(1, -1),) * mask.ndim
    return bool(mask[inner].sum() == mask.sum())


def by_name(rows: Sequence[Figures]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def differences(ours: Sequence[Any], theirs: Sequence[Any]) -> tuple[FloatArray, BoolArray]:
    """|ours - theirs| of each pair, and whether they are equal; endless where one is undefined."""
    a, b = (np.array(values, dtype=np.float64) for values in (ours, theirs))
    apart = np.abs(a - b)
    apart[np.isnan(a) & np.isnan(b)] = 0.0
    apart[np.isnan(a) != np.isnan(b)] = np.inf
    size = np.fmax(1.0, np.fmax(np.abs(a), np.abs(b)))
    return apart, np.asarray(apart <= AGREE * size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
