"""The chain with its estimating steps replaced: what is estimated has tests of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.centreline import moved_nodes, near_centreline
from common.imaging.grid import Grid
from common.imaging.preprocessing import chain
from common.imaging.preprocessing.back_to_scanner import back_to_scanner
from common.imaging.preprocessing.chain import PreparedVolumes, prepare_sessions
from common.imaging.preprocessing.rigid_registration import RigidMove
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, same_grid
from common.recipe.preprocessing import Preprocessing
from tests.volumes import (
    SHAPE,
    brain_voxels,
    head_in_noise,
    oblique_affine,
    stripped_brain,
    two_lesions,
)

WHOLE = ("denoise", "register", "brain", "bias-field", "resample", "crop")


def settings(*steps: str, **keys: object) -> Preprocessing:
    return Preprocessing.from_table({"steps": steps, **keys}, where="test")


def prepared_session(
    case: WorkingCase, settings: Preprocessing, *, brain_command: Sequence[str] = ()
) -> PreparedVolumes:
    """One session after all steps."""
    return prepare_sessions([case], settings, brain_command=brain_command)[0]


def shift(*mm: float) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return matrix


def turn(degrees: float) -> FloatArray:
    a = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return matrix


def here(volume: Volume) -> WorkingImage:
    return WorkingImage(volume=volume, to_common=np.eye(4))


def moved_header(volume: Volume, move: FloatArray) -> Volume:
    """The volume whose header says that it lies elsewhere: `move` brings it to where it was."""
    return Volume(volume.data, np.linalg.inv(move) @ volume.affine)


def case_of(
    flair: Volume, t1w: Volume, *, brain: Volume | None = None, lesions: Volume | None = None
) -> WorkingCase:
    return WorkingCase(
        images={"FLAIR": here(flair), "T1w": here(t1w)},
        reference="T1w",
        brain=None if brain is None else here(brain),
        lesions=None if lesions is None else here(lesions),
    )


def mask_of(voxels: BoolArray, affine: FloatArray | None = None) -> Volume:
    return Volume(voxels, oblique_affine() if affine is None else affine)


@dataclass
class Steps:
    """Stands in for the steps that estimate, and remembers what they were given."""

    move: FloatArray = field(default_factory=lambda: np.eye(4))
    calls: list[str] = field(default_factory=list)
    brains: list[Volume] = field(default_factory=list)
    masks: list[Volume | None] = field(default_factory=list)
    doubtful: bool = False

    def rigid_move(
        self, fixed: Volume, moving: Volume, *, fixed_mask: Volume | None = None, seed: int = 0
    ) -> RigidMove:
        self.calls.append("register")
        self.masks.append(fixed_mask)
        return RigidMove(
            matrix=self.move,
            mutual_information=0.0 if self.doubtful else 1.0,
            before=0.5,
            overlap=1.0,
            shift_mm=0.0,
            turn_degrees=0.0,
        )

    def correct_bias(self, image: Volume, brain: Volume) -> Volume:
        self.calls.append("bias-field")
        self.brains.append(brain)
        assert same_grid(image, brain)
        return Volume(2 * image.data, image.affine)

    def denoised(self, image: Volume, brain: Volume | None = None) -> Volume:
        self.calls.append("denoise")
        return image

    def template_brain_mask(self, image: Volume) -> Volume:
        self.calls.append("template")
        return Volume(image.data > 40, image.affine)

    def external_brain_mask(
        self, command: Sequence[str], image: Volume, *, timeout_s: float
    ) -> Volume:
        self.calls.append(command[0])
        return Volume(image.data > 40, image.affine)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    fakes = Steps()
    for name in (
        "rigid_move",
        "correct_bias",
        "denoised",
        "template_brain_mask",
        "external_brain_mask",
    ):
        monkeypatch.setattr(chain, name, getattr(fakes, name))
    return fakes


def test_a_modality_lies_on_the_reference_after_its_move(steps: Steps) -> None:
    """The FLAIR is three times the T1w, elsewhere and turned by its header.

    Its first voxel lies at whole steps of `settled_origins`: the move that stands in for the
    registration's is then right for the image as the chain places it.
    """
    t1w = stripped_brain()
    affine = np.linalg.inv(turn(10)) @ t1w.affine
    affine[:3, 3] = (-58.5, 53.25, 15.0)
    steps.move = turn(10)
    steps.move[:3, 3] = t1w.affine[:3, 3] - turn(10)[:3, :3] @ affine[:3, 3]
    flair = Volume(3 * t1w.data, affine)
    prepared = prepared_session(
        case_of(flair, t1w, brain=mask_of(brain_voxels())),
        settings("register", "brain", "resample"),
    )
    assert same_grid(prepared.images["FLAIR"], prepared.images["T1w"])
    np.testing.assert_allclose(
        prepared.images["FLAIR"].data, 3 * prepared.images["T1w"].data, rtol=1e-4, atol=1e-3
    )
    np.testing.assert_array_equal(prepared.moves["FLAIR"], steps.move)
    np.testing.assert_array_equal(prepared.moves["T1w"], np.eye(4))


def test_the_steps_run_in_the_recipe_s_order_on_every_image(steps: Steps) -> None:
    case = case_of(head_in_noise(seed=1), head_in_noise(seed=2))
    prepared_session(case, settings(*WHOLE))
    assert steps.calls == [
        *("denoise", "denoise"), "register", "template", *("bias-field", "bias-field")
    ]  # fmt: skip # one step a word
    steps.calls.clear()
    prepared_session(case, settings("brain", "bias-field", "register", "resample"))
    assert steps.calls == ["template", "bias-field", "bias-field", "register"]
    assert steps.masks[-1] is not None, "a known brain tells the registration where to look"


def test_the_images_come_out_in_the_order_they_went_in_and_as_float32(steps: Steps) -> None:
    prepared = prepared_session(
        case_of(stripped_brain(), stripped_brain(seed=1)), settings("brain", "resample")
    )
    assert list(prepared.images) == ["FLAIR", "T1w"]
    assert {image.data.dtype for image in prepared.images.values()} == {np.dtype(np.float32)}
    assert prepared.brain.data.dtype == np.bool_


@pytest.mark.parametrize(
    ("own", "stripped", "command", "called", "note"),
    [
        pytest.param(True, True, ("tool",), [], None, id="the site's own mask before all"),
        pytest.param(False, True, ("tool",), [], "stripped FLAIR that are not zero", id="stripped"),
        pytest.param(False, False, ("tool",), ["tool"], "the site's own tool", id="its program"),
        pytest.param(False, False, (), ["template"], "with the template", id="the template"),
    ],
)
def test_the_brain_comes_from_the_surest_source(
    steps: Steps,
    own: bool,
    stripped: bool,
    command: tuple[str, ...],
    called: list[str],
    note: str | None,
) -> None:
    case = case_of(
        stripped_brain() if stripped else head_in_noise(),
        head_in_noise(),
        brain=mask_of(brain_voxels()) if own else None,
    )
    prepared = prepared_session(case, settings("brain", "resample"), brain_command=command)
    assert steps.calls == called
    assert (note is None) == (not prepared.notes)
    assert note is None or note in prepared.notes[0]


def test_masks_go_with_the_image_they_were_drawn_on(steps: Steps) -> None:
    """Both masks lie on the FLAIR's grid, which its header puts 6 mm too far to the right."""
    steps.move = shift(-6, 0, 0)
    t1w = stripped_brain()
    flair = moved_header(stripped_brain(seed=1), steps.move)
    lesions = Volume(two_lesions().data > 0, flair.affine)
    prepared = prepared_session(
        case_of(flair, t1w, brain=mask_of(brain_voxels(), flair.affine), lesions=lesions),
        settings("register", "brain", "resample"),
    )
    straight = prepared_session(
        case_of(
            stripped_brain(seed=1),
            t1w,
            brain=mask_of(brain_voxels()),
            lesions=mask_of(two_lesions().data > 0),
        ),
        settings("brain", "resample"),
    )
    assert prepared.lesions is not None
    assert straight.lesions is not None
    np.testing.assert_array_equal(prepared.brain.data, straight.brain.data)
    np.testing.assert_array_equal(prepared.lesions.data, straight.lesions.data)


def test_the_bias_field_is_estimated_inside_the_brain_on_each_image_s_own_grid(
    steps: Steps,
) -> None:
    flair = Volume(stripped_brain().data[:, :, ::2].copy(), oblique_affine((1.0, 1.25, 6.0)))
    prepared_session(
        case_of(flair, head_in_noise(), brain=mask_of(brain_voxels())),
        settings("brain", "bias-field", "resample"),
    )
    assert [brain.data.shape for brain in steps.brains] == [(12, 14, 4), (12, 14, 8)]
    assert all(brain.data.any() for brain in steps.brains)


def test_nothing_is_left_outside_the_brain(steps: Steps) -> None:
    prepared = prepared_session(
        case_of(head_in_noise(), head_in_noise(seed=1), brain=mask_of(brain_voxels())),
        settings("brain", "resample"),
    )
    for image in prepared.images.values():
        assert not image.data[~prepared.brain.data].any()
        assert (image.data[prepared.brain.data] > 0).all()


def test_a_crop_cuts_and_moves_nothing(steps: Steps) -> None:
    """Each voxel of the crop has its value at its place in the uncropped image."""
    case = case_of(stripped_brain(), stripped_brain(seed=1), brain=mask_of(brain_voxels()))
    whole = prepared_session(case, settings("brain", "resample"))
    crop = prepared_session(case, settings("brain", "resample", "crop", crop_margin_mm=2))
    start = np.linalg.inv(whole.brain.affine) @ crop.brain.affine[:, 3]
    i, j, k = np.round(start[:3]).astype(int)
    np.testing.assert_allclose(start[:3], (i, j, k), atol=1e-9)
    box = tuple(slice(a, a + n) for a, n in zip((i, j, k), crop.brain.data.shape, strict=True))
    np.testing.assert_allclose(crop.images["T1w"].data, whole.images["T1w"].data[box], atol=1e-4)
    assert crop.brain.data.sum() == whole.brain.data.sum()
    edges = np.argwhere(crop.brain.data)
    assert edges.min(axis=0).tolist() == [2, 2, 2], "2 mm of 1 mm voxels on each side"
    assert (np.array(crop.brain.data.shape) - 1 - edges.max(axis=0)).tolist() == [2, 2, 2]


def test_two_dates_meet_halfway_on_one_grid_with_one_brain(steps: Steps) -> None:
    """The second head lies 8 mm to the right of the first: each goes 4 mm."""
    steps.move = shift(8, 0, 0)
    first, second = stripped_brain(), moved_header(stripped_brain(), shift(-8, 0, 0))
    half = brain_voxels()
    half[:, :, 4:] = False
    dates = [
        replace(case_of(first, first, brain=mask_of(half)), reference="FLAIR"),
        replace(
            case_of(second, second, brain=mask_of(brain_voxels() & ~half, second.affine)),
            reference="FLAIR",
        ),
    ]
    one, two = prepare_sessions(dates, settings("brain", "resample", space="halfway"))
    np.testing.assert_allclose(one.moves["FLAIR"], shift(4, 0, 0), atol=1e-9)
    np.testing.assert_allclose(two.moves["FLAIR"], shift(-4, 0, 0), atol=1e-9)
    assert same_grid(one.brain, two.brain)
    np.testing.assert_array_equal(one.brain.data, two.brain.data)
    np.testing.assert_allclose(one.images["FLAIR"].data, two.images["FLAIR"].data, atol=1e-2)
    volume_ml = one.brain.data.sum() / 1000
    assert volume_ml == pytest.approx(brain_voxels().sum() * 3.75 / 1000, rel=0.05)


def test_a_single_date_stays_where_it_is_and_says_so(steps: Steps) -> None:
    case = case_of(stripped_brain(), stripped_brain(), brain=mask_of(brain_voxels()))
    (only,) = prepare_sessions([case], settings("brain", "resample", space="halfway"))
    np.testing.assert_array_equal(only.moves["FLAIR"], np.eye(4))
    assert "one session only" in only.notes[0]


def test_three_dates_have_no_halfway(steps: Steps) -> None:
    case = case_of(stripped_brain(), stripped_brain())
    with pytest.raises(SiteDataError, match=r"want two sessions of a subject .* found 3"):
        prepare_sessions([case] * 3, settings("brain", "resample", space="halfway"))


def test_a_doubtful_registration_is_noted_with_its_image(steps: Steps) -> None:
    steps.doubtful = True
    prepared = prepared_session(
        case_of(stripped_brain(), stripped_brain()), settings("register", "brain", "resample")
    )
    assert prepared.notes[0].startswith("FLAIR to T1w: the registration made the images agree wors")


def test_a_brain_outside_the_field_of_view_is_refused(steps: Steps) -> None:
    far = mask_of(brain_voxels(), shift(500, 0, 0) @ oblique_affine())
    with pytest.raises(SiteDataError, match="inside the reference's field of view, found no voxel"):
        prepared_session(
            case_of(stripped_brain(), stripped_brain(), brain=far), settings("brain", "resample")
        )


def test_an_image_that_shows_nothing_of_the_brain_is_refused(steps: Steps) -> None:
    away = Volume(stripped_brain().data, shift(500, 0, 0) @ oblique_affine())
    case = case_of(away, stripped_brain(), brain=mask_of(brain_voxels()))
    with pytest.raises(SiteDataError, match="the FLAIR shows nothing inside the brain"):
        prepared_session(case, settings("brain", "resample"))


def test_a_lesion_that_vanishes_on_the_common_grid_is_noted(steps: Steps) -> None:
    """One voxel of 1 x 1.25 x 3 mm between the centres of a 5 mm grid, and one large lesion."""
    lesions = np.zeros(brain_voxels().shape, bool)
    lesions[4:9, 4:9, 2:5] = True
    lesions[2, 10, 6] = True
    case = case_of(
        stripped_brain(), stripped_brain(), brain=mask_of(brain_voxels()), lesions=mask_of(lesions)
    )
    prepared = prepared_session(case, settings("brain", "resample", spacing_mm=5))
    assert prepared.notes[-1].startswith("1 of 2 lesions vanished in the resampling")


def test_a_mask_goes_back_to_the_scanner_s_grid(steps: Steps) -> None:
    """There and back, the brain differs by no more than its surface's voxels."""
    steps.move = turn(7) @ shift(4, 2, -3)
    t1w = stripped_brain()
    flair = moved_header(stripped_brain(seed=1), steps.move)
    prepared = prepared_session(
        case_of(flair, t1w, brain=mask_of(brain_voxels())),
        settings("register", "brain", "resample"),
    )
    back = back_to_scanner(
        prepared.brain, prepared.moves["FLAIR"], Grid.of(flair), interpolation="nearest"
    )
    assert same_grid(back, flair)
    assert back.data.dtype == np.bool_
    dice = 2 * (back.data & brain_voxels()).sum() / (back.data.sum() + brain_voxels().sum())
    assert dice > 0.95


CURVED = np.array([(3.0, 5, 1), (5, 6, 3), (8, 6, 4), (8, 8, 6)])
"""A cord's nodes, voxel indices of the toy volumes."""


def test_the_cord_s_surroundings_are_kept_and_cropped_to(steps: Steps) -> None:
    """4 mm around the line, but for half a diagonal of the reference's voxels, 1.70 mm."""
    nodes = moved_nodes(oblique_affine(), CURVED)
    case = replace(case_of(head_in_noise(), head_in_noise(seed=1)), centreline=nodes)
    radius = {"cord_radius_mm": 4, "crop_margin_mm": 2}
    prepared = prepared_session(case, settings("cord", "resample", "crop", **radius))
    whole = prepared_session(case, settings("cord", "resample", **radius))
    grid = Grid.of(prepared.brain)
    inside_field = back_to_scanner(
        Volume(np.ones(SHAPE, bool), oblique_affine()),
        np.eye(4),
        grid,
        interpolation="nearest",
    ).data
    surely = near_centreline(nodes, grid, radius_mm=4 - 1.71).data & inside_field
    perhaps = near_centreline(nodes, grid, radius_mm=4 + 1.71).data
    assert surely.any()
    assert prepared.brain.data[surely].all()
    assert not prepared.brain.data[~perhaps].any()
    assert prepared.brain.data.sum() == whole.brain.data.sum()
    assert prepared.brain.data.size < whole.brain.data.size
    for image in prepared.images.values():
        assert not image.data[~prepared.brain.data].any()


def test_the_bias_field_is_estimated_near_the_cord(steps: Steps) -> None:
    nodes = moved_nodes(oblique_affine(), CURVED)
    case = replace(case_of(head_in_noise(), head_in_noise(seed=1)), centreline=nodes)
    prepared_session(case, settings("cord", "bias-field", "resample", cord_radius_mm=3))
    near = near_centreline(nodes, Grid(SHAPE, oblique_affine()), radius_mm=3)
    assert steps.calls == ["bias-field", "bias-field"]
    for brain in steps.brains:
        np.testing.assert_array_equal(brain.data, near.data)


def test_a_cord_mask_goes_with_the_image_it_was_drawn_on(steps: Steps) -> None:
    """Drawn on the FLAIR, whose header puts it 6 mm too far to the right; the table is not."""
    steps.move = shift(-6, 0, 0)
    t1w = head_in_noise()
    flair = moved_header(head_in_noise(seed=1), steps.move)
    drawn = np.zeros(SHAPE, bool)
    drawn[3:6, 5, 2] = drawn[6:9, 7, 5] = True  # centroids (4, 5, 2) and (7, 7, 5)
    case = replace(case_of(flair, t1w), cord=here(Volume(drawn, flair.affine)))
    recipe = settings("register", "cord", "resample", cord_radius_mm=4)
    from_mask = prepared_session(case, recipe)
    nodes = moved_nodes(t1w.affine, np.array([(4.0, 5, 2), (7, 7, 5)]))
    from_table = prepared_session(replace(case_of(flair, t1w), centreline=nodes), recipe)
    np.testing.assert_array_equal(from_mask.brain.data, from_table.brain.data)


def test_the_table_of_the_centreline_goes_before_the_masks(steps: Steps) -> None:
    nodes = moved_nodes(oblique_affine(), CURVED)
    plain = case_of(head_in_noise(), head_in_noise(seed=1), brain=mask_of(brain_voxels()))
    recipe = settings("cord", "resample", cord_radius_mm=2)
    other = np.zeros(SHAPE, bool)
    other[1:3, 10, 1:6] = True
    with_table = replace(plain, centreline=nodes, brain=None)
    with_all = replace(plain, centreline=nodes, cord=here(mask_of(other)))
    np.testing.assert_array_equal(
        prepared_session(with_all, recipe).brain.data,
        prepared_session(with_table, recipe).brain.data,
    )


def test_a_cord_that_nobody_gave_is_asked_for(steps: Steps) -> None:
    case = case_of(head_in_noise(), head_in_noise(seed=1), brain=mask_of(brain_voxels()))
    with pytest.raises(SiteDataError, match=r"neither a table nor a mask .*desc-centreline\.tsv"):
        prepared_session(case, settings("cord", "resample"))


def test_a_centreline_in_another_world_is_refused(steps: Steps) -> None:
    """Voxel indices where mm were wanted: 60 mm and more off."""
    case = replace(case_of(head_in_noise(), head_in_noise(seed=1)), centreline=CURVED)
    with pytest.raises(
        SiteDataError, match=r"inside the T1w's field .* from \[3\.0, 5\.0, 1\.0\] to \[8\.0"
    ):
        prepared_session(case, settings("cord", "resample"))


def test_a_lesion_on_a_grid_that_two_modalities_share_moves_with_the_first(steps: Steps) -> None:
    # FLAIR and T1w have one header, and the head moved 6 mm between them: drawn on the FLAIR
    steps.move = shift(6.0, 0.0, 0.0)
    volume = Volume(head_in_noise().data, np.diag([2.0, 2.0, 3.0, 1.0]))
    voxels = np.zeros(volume.data.shape, dtype=np.bool_)
    voxels[4:6, 6:8, 4:6] = True
    brain = np.zeros_like(voxels)
    brain[2:-2, 2:-2, 2:-2] = True
    case = case_of(volume, volume, lesions=Volume(voxels, volume.affine))
    case = replace(case, brain=replace(here(Volume(brain, volume.affine)), drawn_on="T1w"))
    [prepared] = prepare_sessions([case], settings("register", "brain", "resample", spacing_mm=1.0))
    assert prepared.lesions is not None
    found = np.argwhere(prepared.lesions.data).mean(axis=0)
    centre_mm = prepared.lesions.affine[:3, :3] @ found + prepared.lesions.affine[:3, 3]
    # voxels 4..5, 6..7, 4..5 of 2 x 2 x 3 mm: 9, 13, 13.5 mm, and 6 mm to the right
    np.testing.assert_allclose(centre_mm, [15.0, 13.0, 13.5], atol=0.51)


def test_a_mask_on_another_modality_is_not_used_before_that_is_registered(steps: Steps) -> None:
    # the FLAIR's header lies 200 mm away, and so does the brain drawn on it
    away = shift(200.0, 0.0, 0.0)
    steps.move = away
    flair = moved_header(head_in_noise(), away)
    brain = Volume(brain_voxels(), flair.affine)
    prepare_sessions(
        [case_of(flair, head_in_noise(), brain=brain)], settings("register", "brain", "resample")
    )
    assert steps.masks == [None]


def test_the_halfway_grid_holds_both_dates_fields_of_view(steps: Steps) -> None:
    whole = head_in_noise()
    slab = Volume(whole.data[:, :, 3:-2], whole.affine @ shift(0.0, 0.0, 3.0))
    brain = brain_voxels()
    dates = [
        case_of(slab, slab, brain=Volume(brain[:, :, 3:-2], slab.affine)),
        case_of(whole, whole, brain=Volume(brain, whole.affine)),
    ]
    halfway = settings("register", "brain", "resample", space="halfway", spacing_mm=1.0)
    n_voxels = [
        int(np.count_nonzero(prepare_sessions(order, halfway)[0].brain.data))
        for order in (dates, dates[::-1])
    ]
    assert n_voxels[0] == pytest.approx(n_voxels[1], rel=0.02)


def test_what_simpleitk_cannot_do_is_an_error_of_the_case_with_the_step_s_name(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(image: Volume) -> Volume:
        raise RuntimeError("Exception thrown in SimpleITK\nsitk::ERROR: too few slices")

    monkeypatch.setattr(chain, "template_brain_mask", fails)
    case = case_of(head_in_noise(), head_in_noise())
    with pytest.raises(SiteDataError, match=r"the step brain cannot work .*too few slices"):
        prepare_sessions([case], settings("brain", "resample"))
