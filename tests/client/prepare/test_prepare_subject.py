"""One job that looks at the spinal cord; those of the brain are tested with what they write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.prepare.derivatives import read_prepared
from client.prepare.job import Job
from client.prepare.prepare_subject import prepare_subject
from client.prepare.qc_page import page_path
from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.centreline import near_centreline
from common.imaging.grid import Grid
from tests.client.prepare.jobs import toy_job, toy_site
from tests.volumes import brain_mask, image_path, mask_path, oblique_affine, put

CORD = (
    'preprocessing.steps=["cord", "resample", "crop"]',
    "preprocessing.cord_radius_mm=5",
)


def cord_job(folder: Path) -> Job:
    return toy_job(folder, *CORD)


def nodes_of(*voxels: tuple[int, int, int]) -> FloatArray:
    nodes: FloatArray = (np.c_[voxels, np.ones(len(voxels))] @ oblique_affine().T)[:, :3]
    return nodes


def write_centreline(root: Path, nodes: FloatArray) -> Path:
    path = image_path(root, "sub-01", "T1w").with_name("sub-01_desc-centreline.tsv")
    lines = ["x_mm\ty_mm\tz_mm", *("\t".join(map(repr, node)) for node in nodes.tolist())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_centreline_s_table_leads_to_the_prepared_folder(tmp_path: Path) -> None:
    """Half a diagonal of the T1w's voxels is 1.70 mm: nothing is farther than 5 mm and that."""
    nodes = nodes_of((5, 6, 2), (6, 8, 5))
    write_centreline(toy_site(tmp_path), nodes)
    job = cord_job(tmp_path)
    prepare_subject(job)
    brain = read_prepared(job, job.cases[0]).brain
    near = near_centreline(nodes, Grid.of(brain), radius_mm=5 + 1.71).data
    assert brain.data.any()
    assert not (brain.data & ~near).any()
    page = page_path(job.out, job.cases[0]).read_text(encoding="utf-8")
    assert "The region near the cord is outlined in blue" in page
    assert "brain" not in page.partition("<body>")[2]


def test_another_node_or_another_cord_mask_is_another_key(tmp_path: Path) -> None:
    root = toy_site(tmp_path)
    keys = {cord_job(tmp_path).key()}
    write_centreline(root, nodes_of((5, 6, 2), (6, 8, 5)))
    keys.add(cord_job(tmp_path).key())
    write_centreline(root, nodes_of((5, 6, 2), (6, 8, 6)))
    keys.add(cord_job(tmp_path).key())
    put(brain_mask(), mask_path(root, "sub-01", "cord"))
    keys.add(cord_job(tmp_path).key())
    assert len(keys) == 4


def test_a_cord_mask_serves_where_there_is_no_table(tmp_path: Path) -> None:
    root = toy_site(tmp_path)
    put(brain_mask(), mask_path(root, "sub-01", "cord"))
    job = cord_job(tmp_path)
    prepare_subject(job)
    assert read_prepared(job, job.cases[0]).brain.data.any()


def test_a_case_without_either_says_what_to_add(tmp_path: Path) -> None:
    toy_site(tmp_path)
    with pytest.raises(SiteDataError, match="neither a table nor a mask of the cord"):
        prepare_subject(cord_job(tmp_path))
