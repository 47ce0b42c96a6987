"""One zip with all that a reader needs to check a run's verdict, and nothing to train it again."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from common.files import write_whole

TABLES = (
    "cases",
    "cases_prepared_grid",
    "baseline",
    "lesions",
    "thresholds",
    "probabilities",
    "sites",
)
"""CSV files of an evaluation, where there are."""

FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The date of every entry, the earliest a zip can hold: equal runs give equal bundles."""

WHAT = {
    "report.html": "the report; it opens in any browser, without a network",
    "recipe.toml": "the recipe as run, every default spelled out",
    "requirements.lock": "every installed package with its version, as pip reads it",
    "environment.json": "machine, versions, commit and digest of the code",
    "sites.json": "which sites trained, chose and judged",
    "definition.json": "what counted as a lesion and when it counted as found",
    "tables/cases.csv": "the network: one row a planned case; undefined is empty",
    "tables/cases_prepared_grid.csv": "cases scored on a scanner's grid, once more here",
    "tables/baseline.csv": "the intensity threshold on the same cases",
    "tables/lesions.csv": "one row a lesion, of the reference and of the prediction",
    "tables/thresholds.csv": "counts of voxels and lesions at 19 decision thresholds, by case",
    "tables/probabilities.csv": "voxels and lesion voxels by predicted probability, by case",
    "tables/rounds.csv": "the curves of the report: one row a round and line",
    "tables/kept-back.csv": "the sweep over kept-back cases that chose the threshold",
    "tables/sites.csv": "one row a site: n, mean, median, quartiles of every metric",
}


def write_bundle(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes the zip, whole or not at all: `files`, and a README that lists each with its SHA-256.

    files   name inside the zip -> content
    """
    held = {"README.txt": _contents(files).encode(), **files}
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            entry = zipfile.ZipInfo(name, FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    write_whole(path, zipped.getvalue())


def _contents(files: Mapping[str, bytes]) -> str:
    lines = ["What is in this bundle, each file with its SHA-256.", ""]
    if b"data:image/png" in files.get("report.html", b""):
        lines[:0] = ["CONTAINS IMAGES OF PATIENTS: DO NOT PASS IT ON.", ""]
    for name, content in files.items():
        what = WHAT.get(name) or ("a figure of the report" if name.endswith(".svg") else "")
        lines += [name, f"  {what}", f"  {hashlib.sha256(content).hexdigest()}"]
    return "\n".join(lines) + "\n"
