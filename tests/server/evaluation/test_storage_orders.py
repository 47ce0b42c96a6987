"""The same scan in any storage order: the same lesions in the world, and the same figures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.prepared_site import prepared_site
from common.imaging.grid import Grid
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.learning.model import NETWORK, initial_parameters, part
from common.model_file import Model
from common.recipe.recipe import load_recipe
from server.evaluation.evaluate import evaluate
from server.evaluation.predict import Prediction, predict, predict_raw
from tests.orders import ORDERS, as_ras, stored
from tests.toy_sites import longitudinal_site, write_site

TINY = [
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "standardization.method=z-score",
    "compute.threads=1",
    "preprocessing.spacing_mm=1.5",
    'preprocessing.steps=["register", "brain", "resample", "crop"]',
]
FEW = ("LPS", "PIR", "ASR", "SLA", "IPR")
"""Of the 48, those that the quick tests take."""


def turned(x: float, y: float, z: float, spacing_mm: Sequence[float]) -> FloatArray:
    """An oblique grid; its origin is no number that a float32 holds exactly."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (x, y, z), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(spacing_mm)
    affine[:3, 3] = (-21.3371, -30.7773, -48.1117)
    return affine


AFFINE = turned(12, 4, -7, (1.0, 1.2, 3.0))


@pytest.fixture(scope="module")
def model() -> Model:
    """A network as drawn: no weight is like another one, so that it is a trap for every turn."""
    recipe = load_recipe("default", overrides=TINY)
    parameters = part(initial_parameters(recipe, n_sites=1), NETWORK)
    return Model(
        recipe=recipe,
        template={},
        threshold=0.5,
        round_index=0,
        run="none",
        parameters=parameters,
    )


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Volume]:
    """FLAIR, T1w, lesions and brain on one oblique, anisotropic grid, stored as RAS."""
    site = write_site(tmp_path_factory.mktemp("porto"), name="porto", seed=1, n_subjects=1)
    anat = site.parent / "bids" / "sub-01" / "anat"
    masks = site.parent / "bids" / "derivatives" / "manual" / "sub-01" / "anat"
    flair = read_volume(anat / "sub-01_FLAIR.nii.gz").data
    return {
        "FLAIR": Volume(flair, AFFINE),
        "T1w": Volume(read_volume(anat / "sub-01_T1w.nii.gz").data, AFFINE),
        "lesions": Volume(read_mask(masks / "sub-01_desc-lesion_mask.nii.gz").data, AFFINE),
        "brain": Volume(flair != 0, AFFINE),
    }


def mixed(order: str, n_files: int) -> list[str]:
    """An order for each file of a case, the first one's given and the others' drawn."""
    random = np.random.default_rng(ORDERS.index(order))
    if order == "RAS":
        return ["RAS"] * n_files
    return [order, *(ORDERS[random.integers(48)] for _ in range(n_files - 1))]


def predicted(
    model: Model, scan: dict[str, Volume], order: str, folder: Path, *, raw: bool
) -> tuple[Prediction, Volume]:
    """What is predicted with FLAIR in this order and the others in others, and the FLAIR's file."""
    files = {}
    for name, of_file in zip(("FLAIR", "T1w", "brain"), mixed(order, 3), strict=True):
        files[name] = folder / f"{name}.nii.gz"
        write_volume(stored(scan[name], of_file), files[name])
    images = {name: files[name] for name in ("FLAIR", "T1w")}
    found = (predict_raw if raw else predict)(model, images, files["brain"])
    return found, read_volume(files["FLAIR"])


def require_the_same(
    model: Model, scan: dict[str, Volume], orders: Sequence[str], folder: Path, *, raw: bool
) -> None:
    """Each order's mask and probability lie as its FLAIR does, and in the world as those of RAS."""
    first, _ = predicted(model, scan, "RAS", folder, raw=raw)
    middle = float(np.median(first.probability.data[first.probability.data > 0]))
    strict = replace(model, threshold=middle)  # half of the brain: every voxel is put to the test
    expected, _ = predicted(strict, scan, "RAS", folder, raw=raw)
    assert 1000 < np.count_nonzero(expected.mask.data) < expected.mask.data.size / 2
    for order in orders:
        found, file = predicted(strict, scan, order, folder, raw=raw)
        for volume, wanted in (
            (found.mask, expected.mask),
            (found.probability, expected.probability),
        ):
            np.testing.assert_array_equal(volume.affine, file.affine)
            assert volume.data.shape == file.data.shape
            np.testing.assert_allclose(
                as_ras(volume, order).data.astype(float), wanted.data.astype(float), atol=1e-5
            )


def test_a_prepared_case_in_mixed_orders_has_the_same_lesions_in_the_world(
    model: Model, scan: dict[str, Volume], tmp_path: Path
) -> None:
    require_the_same(model, scan, FEW, tmp_path, raw=False)


@pytest.mark.slow
def test_a_prepared_case_has_the_same_lesions_in_all_48_orders(
    model: Model, scan: dict[str, Volume], tmp_path: Path
) -> None:
    require_the_same(model, scan, ORDERS, tmp_path, raw=False)


@pytest.fixture(scope="module")
def raw_scan(scan: dict[str, Volume]) -> dict[str, Volume]:
    """The same with the T1w on a grid of its own."""
    grid = Grid((42, 40, 42), turned(9, 6, -4, (1.1, 1.3, 2.4)))
    t1w = WorkingImage(volume=scan["T1w"], to_common=np.eye(4))
    return {**scan, "T1w": resampled(t1w, grid, interpolation="linear")}


def test_a_raw_case_in_mixed_orders_has_the_same_lesions_in_the_world(
    model: Model, raw_scan: dict[str, Volume], tmp_path: Path
) -> None:
    require_the_same(model, raw_scan, FEW[:2], tmp_path, raw=True)


@pytest.mark.slow
def test_a_raw_case_has_the_same_lesions_in_all_48_orders(
    model: Model, raw_scan: dict[str, Volume], tmp_path: Path
) -> None:
    require_the_same(model, raw_scan, ORDERS, tmp_path, raw=True)


@pytest.mark.slow
def test_a_raw_case_has_the_same_lesions_with_every_step_of_the_shipped_recipe(
    model: Model, raw_scan: dict[str, Volume], tmp_path: Path
) -> None:
    steps = load_recipe("default").preprocessing.steps
    recipe = load_recipe("default", overrides=[*TINY[:-1], f"preprocessing.steps={list(steps)}"])
    require_the_same(replace(model, recipe=recipe), raw_scan, FEW, tmp_path, raw=True)


def site_of(scan: dict[str, Volume], orders: Sequence[str], root: Path) -> Path:
    """One subject an order, each with its four files in orders of their own."""
    for number, order in enumerate(orders, start=1):
        subject = f"sub-{number:02d}"
        anat = root / subject / "anat"
        masks = root / "derivatives" / "manual" / subject / "anat"
        files = {
            "FLAIR": anat / f"{subject}_FLAIR.nii.gz",
            "T1w": anat / f"{subject}_T1w.nii.gz",
            "lesions": masks / f"{subject}_desc-lesion_mask.nii.gz",
            "brain": masks / f"{subject}_desc-brain_mask.nii.gz",
        }
        for (name, file), of_file in zip(files.items(), mixed(order, 4), strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_volume(stored(scan[name], of_file), file)
    return root


def require_one_row(
    model: Model, scan: dict[str, Volume], orders: Sequence[str], folder: Path
) -> None:
    """Every table of the evaluation says the same of each order's subject as of the first one."""
    site = site_of(scan, ("RAS", *orders), folder / "site")
    low = replace(model, threshold=0.4)
    out = folder / "evaluation"
    rows = evaluate(low, {"porto": site}, out=out, store=folder / "store", images=False)
    assert [row.failed for row in rows["porto"]] == [None] * (1 + len(orders))
    tables = {"cases.csv": 0.0, "thresholds.csv": 0.0, "probabilities.csv": 0.0}
    tables["lesions.csv"] = 1e-5  # of a place in mm, a header keeps seven digits
    for table, atol in tables.items():
        by_case: dict[str, list[list[float]]] = {}
        for row in csv.DictReader((out / table).read_text(encoding="utf-8").splitlines()):
            case = row.get("case") or row["subject"]
            figures = [v for key, v in row.items() if key not in ("site", "case", "subject")]
            numbers = [
                {"reference": 0.0, "prediction": 1.0, "prepared": 2.0, "": -1.0}.get(v, v)
                for v in figures
            ]
            by_case.setdefault(case, []).append([float(number) for number in numbers])
        first, *others = by_case.values()
        assert first
        assert len(others) == len(orders)
        for other in others:
            np.testing.assert_allclose(other, first, rtol=1e-6, atol=atol)


def test_evaluation_gives_the_same_figures_in_mixed_orders(
    model: Model, scan: dict[str, Volume], tmp_path: Path
) -> None:
    require_one_row(model, scan, FEW[:3], tmp_path)


@pytest.mark.slow
def test_evaluation_gives_the_same_figures_in_all_48_orders(
    model: Model, scan: dict[str, Volume], tmp_path: Path
) -> None:
    require_one_row(model, scan, ORDERS, tmp_path)


def test_what_a_site_trains_on_is_the_same_in_mixed_orders(
    model: Model, scan: dict[str, Volume], tmp_path: Path
) -> None:
    site = site_of(scan, ("RAS", *FEW), tmp_path / "site")
    cases = prepared_site(site, recipe=model.recipe, template={}, store=tmp_path / "store").cases
    assert [case.stored_as for case in cases] == ["RAS", *FEW]
    for case in cases:
        for name in ("image", "brain", "lesions", "crop_start", "grid_shape"):
            np.testing.assert_array_equal(getattr(case, name), getattr(cases[0], name))
        np.testing.assert_allclose(case.affine, AFFINE, atol=1e-5)


def test_two_dates_in_two_orders_are_one_case(tmp_path: Path) -> None:
    bids = longitudinal_site(tmp_path / "lyon", name="lyon", seed=1, n_subjects=2).parent / "bids"
    for n, order in ((1, "PIR"), (2, "LPS")):
        file = bids / "sub-02" / f"ses-0{n}" / "anat" / f"sub-02_ses-0{n}_FLAIR.nii.gz"
        plain = bids / "sub-01" / f"ses-0{n}" / "anat" / f"sub-01_ses-0{n}_FLAIR.nii.gz"
        write_volume(stored(read_volume(plain), order), file)
    mask = "derivatives/manual/{0}/anat/{0}_ses-02_desc-newlesion_mask.nii.gz"
    new = read_mask(bids / mask.format("sub-01"))
    write_volume(stored(new, "SLA"), bids / mask.format("sub-02"))
    overrides = [
        'task.modalities=["FLAIR"]',
        "task.target=new-lesions",
        "preprocessing.space=halfway",
        "standardization.method=z-score",
    ]
    recipe = load_recipe("default", overrides=overrides)
    one, other = prepared_site(bids, recipe=recipe, template={}, store=tmp_path / "store").cases
    assert isinstance(one, PreparedCase)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(np.asarray(one.lesions), np.asarray(other.lesions))
    assert (one.stored_as, other.stored_as) == ("RAS", "LPS")
