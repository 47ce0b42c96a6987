from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from server.report.bundle import write_bundle
from server.report.render import write_report
from tests.server.report.made_run import whole_run, written


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The bundle of a finished run with one picture, made without images."""
    folder = written(
        tmp_path_factory.mktemp("bundled") / "toy", whole_run(), pictures=("east/sub-A",)
    )
    write_report(folder, images=False, bundle=folder / "bundle.zip")
    return zipfile.ZipFile(folder / "bundle.zip")


def test_a_bundle_holds_report_tables_figures_and_recipe(archive: zipfile.ZipFile) -> None:
    names = set(archive.namelist())
    assert {"README.txt", "report.html", "recipe.toml", "environment.json", "sites.json"} <= names
    tables = {"cases", "baseline", "lesions", "thresholds", "probabilities", "sites"}
    assert {f"tables/{table}.csv" for table in tables} <= names
    figures = {name for name in names if name.startswith("figures/")}
    assert {"figures/froc.svg", "figures/dice-by-site.svg", "figures/round-dice.svg"} <= figures
    assert all(archive.read(name).startswith(b"<?xml") for name in figures)


def test_without_images_nothing_in_the_bundle_is_a_picture_of_a_patient(
    archive: zipfile.ZipFile,
) -> None:
    assert not [name for name in archive.namelist() if name.endswith((".png", ".json.gz"))]
    assert b"data:image/png" not in archive.read("report.html")
    assert b"view" not in archive.read("README.txt")


def test_the_bundle_names_sites_and_roles_but_no_path(archive: zipfile.ZipFile) -> None:
    roles = {site["name"]: site["role"] for site in json.loads(archive.read("sites.json"))}
    assert roles == {"north": "train", "south": "train", "west": "validation", "east": "unseen"}
    assert "consortium.toml" not in archive.namelist()


def test_the_readme_has_the_digest_of_every_file(archive: zipfile.ZipFile) -> None:
    readme = archive.read("README.txt").decode()
    for name in archive.namelist():
        if name != "README.txt":
            digest = hashlib.sha256(archive.read(name)).hexdigest()
            assert f"{name}\n" in readme
            assert digest in readme


def test_the_table_of_cases_keeps_the_failed_one(archive: zipfile.ZipFile) -> None:
    rows = list(csv.DictReader(io.StringIO(archive.read("tables/cases.csv").decode())))
    assert [row["failed"] for row in rows] == ["", "", "", "FLAIR is cut off"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_bundle(tmp_path / name, {"recipe.toml": b"x = 1\n"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
