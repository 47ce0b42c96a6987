from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from common.arrays import BoolArray
from common.errors import GeometryError, RunFolderError
from common.figures.viewer import script_digest, viewer_html, viewer_volume
from common.imaging.dataset.prepared import PreparedCase
from common.metrics.presets import MSSEG2016
from common.recipe.task import Task
from tests.common.figures.chromium import PROGRAM, Page, page_in_chromium

LESIONS = Task(modalities=("FLAIR",))
SHAPE = (12, 10, 6)
SPACING_MM = (1.0, 2.0, 4.0)
GRID = (17, 15, 11)
CROP_START = (3, 3, 1)
AFFINE = np.array(
    # the head is tilted by the angle whose cosine is 0.96 and whose sine is 0.28, so that "up"
    # leans back and "forwards" looks up
    [
        [1.0, 0.0, 0.0, -6.0],
        [0.0, 2 * 0.96, 4 * -0.28, -20.0],
        [0.0, 2 * 0.28, 4 * 0.96, 30.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
STORED_AS = "SLA"  # the file's axes run up, to the left and forwards

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")


def mask_of(*boxes: tuple[slice | int, slice | int, slice | int]) -> BoolArray:
    mask = np.zeros(SHAPE, bool)
    for box in boxes:
        mask[box] = True
    return mask


def case(reference: BoolArray | None) -> PreparedCase:
    """A brain one voxel inside the crop."""
    brain = mask_of((slice(1, -1), slice(1, -1), slice(1, -1)))
    image = np.where(brain, np.random.default_rng(0).normal(size=SHAPE), 0).astype(np.float32)
    return PreparedCase(
        subject="sub-01",
        session=None,
        control=False,
        image=image[None],
        brain=brain,
        lesions=reference,
        crop_start=CROP_START,
        grid_shape=GRID,
        affine=AFFINE,
        stored_as=STORED_AS,
    )


MISSED = (slice(8, 11), slice(1, 4), slice(3, 6))  # right, back, high
EXTRA = (slice(1, 4), slice(6, 9), slice(1, 2))  # left, front, low
FOUND = (slice(5, 7), slice(5, 7), slice(3, 5))
REFERENCE = mask_of(MISSED, FOUND)
PREDICTION = mask_of(EXTRA, FOUND)


def volume(
    reference: BoolArray | None = REFERENCE,
    prediction: BoolArray = PREDICTION,
    title: str = "lyon, sub-01",
) -> bytes:
    return viewer_volume(
        case(reference), prediction, title=title, definition=MSSEG2016, task=LESIONS
    )


def document(*arguments: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(volume(*arguments))
    return read


def unpacked(read: dict[str, Any], name: str) -> NDArray[np.uint8]:
    raw = gzip.decompress(base64.b64decode(read[name]))
    return np.frombuffer(raw, np.uint8).reshape(read["shape"], order="F")


def test_the_labels_come_back_as_they_are() -> None:
    labels = unpacked(document(), "labels")

    expected = np.zeros(SHAPE)
    expected[FOUND], expected[EXTRA], expected[MISSED] = 1, 2, 3
    np.testing.assert_array_equal(labels, expected)


def test_a_voxel_keeps_its_place_in_the_file_and_in_the_world() -> None:
    # Voxel (10, 3, 2) of the crop is (13, 6, 3) of the grid; the file's axes run up, left and
    # forwards, and its second one ends where i begins: (3, 16 - 13, 6) in the file.
    prediction = mask_of((10, 3, 2))
    read = json.loads(
        viewer_volume(case(None), prediction, title="one voxel", definition=MSSEG2016, task=LESIONS)
    )

    assert np.argwhere(unpacked(read, "labels")).tolist() == [[10, 3, 2]]
    assert read["lesions"] == [{"kind": "predicted", "voxel": [10, 3, 2], "volume_mm3": 8.0}]
    assert read["spacing_mm"] == pytest.approx(SPACING_MM)
    assert mapped(read["voxel_to_file_voxel"], (10, 3, 2)) == [3, 3, 6]
    # x = -6 + 13; y = -20 + 12 * 0.96 - 12 * 0.28; z = 30 + 12 * 0.28 + 12 * 0.96
    assert mapped(read["voxel_to_world_mm"], (10, 3, 2)) == pytest.approx([7.0, -11.84, 44.88])


def mapped(matrix: list[list[float]], voxel: tuple[int, int, int]) -> list[float]:
    return [sum(a * x for a, x in zip(row, (*voxel, 1), strict=True)) for row in matrix[:3]]


def test_the_brain_spans_all_grey_levels_and_the_rest_is_black() -> None:
    read = document()
    image = unpacked(read, "image")
    brain = mask_of((slice(1, -1), slice(1, -1), slice(1, -1)))

    assert (image[~brain] == 0).all()
    assert (image[brain].min(), image[brain].max()) == (0, read["grey_levels"] - 1)


def test_of_two_dates_the_later_one_is_shown() -> None:
    both = case(None)
    earlier = -both.image[0]
    two_dates = dataclasses.replace(both, image=np.stack([earlier, both.image[0]]))
    task = Task(modalities=("FLAIR",), target="new-lesions")
    read = json.loads(
        viewer_volume(two_dates, PREDICTION, title="lyon, sub-01", definition=MSSEG2016, task=task)
    )

    assert read["image_label"] == "FLAIR, later date"
    assert read["image"] == document(None)["image"]


def test_lesions_are_listed_from_missed_to_found_and_each_once() -> None:
    # 27 voxels of 8 mm3 missed, 9 extra, 8 found; the last one's centroid lies between voxels
    listed = [(a["kind"], a["voxel"], a["volume_mm3"]) for a in document()["lesions"]]

    assert listed[:2] == [("missed", [9, 2, 4], 216.0), ("extra", [2, 7, 1], 72.0)]
    kind, (i, j, k), volume_mm3 = listed[2]
    assert (kind, volume_mm3) == ("found", 64.0)
    assert FOUND[0].start <= i < FOUND[0].stop
    assert FOUND[1].start <= j < FOUND[1].stop
    assert FOUND[2].start <= k < FOUND[2].stop
    assert len(listed) == 3


def test_of_two_missed_lesions_the_larger_one_is_first() -> None:
    reference = mask_of((2, 2, 2), (slice(7, 9), 7, 3))

    listed = document(reference, mask_of())["lesions"]

    assert [a["volume_mm3"] for a in listed] == [16.0, 8.0]


def test_the_place_to_jump_to_lies_in_the_lesion_though_its_centroid_does_not() -> None:
    ring = mask_of((slice(3, 8), slice(3, 8), 3))
    ring[4:7, 4:7, 3] = False

    (lesion,) = document(ring, mask_of())["lesions"]

    assert ring[tuple(lesion["voxel"])]


def test_without_a_reference_nothing_is_called_extra() -> None:
    read = document(None)

    assert [mark["label"] for mark in read["marks"]] == ["predicted"]
    assert {a["kind"] for a in read["lesions"]} == {"predicted"}
    assert set(np.unique(unpacked(read, "labels"))) == {0, read["marks"][0]["value"]}


def test_the_same_case_gives_the_same_bytes() -> None:
    assert volume() == volume()


def test_a_prediction_off_the_crop_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"lyon.*on the case's crop \(12, 10, 6\)"):
        viewer_volume(
            case(None),
            np.zeros((6, 12, 10), bool),
            title="lyon",
            definition=MSSEG2016,
            task=LESIONS,
        )


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": "other", "title": "a"}', b"\xff"])
def test_a_document_that_is_none_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(RunFolderError, match=r"lesionfed-viewer/2.*Evaluate the case again"):
        viewer_html([data])


@pytest.mark.parametrize(
    "title",
    [
        "</script><script>alert(1)</script>",
        "<!-- <script>",
        '"><img src=x onerror=alert(1)>',
        "a & b \N{LINE SEPARATOR} {0} {x} %s",
    ],
)
def test_a_title_stays_text(title: str) -> None:
    html = str(viewer_html([volume(title=title)]))

    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert json.loads(data)["title"] == title
    assert len(re.findall("<script|<!--|<img", html)) == 2  # the data and our script


def test_no_volume_needs_no_script() -> None:
    assert viewer_html([]) == ""


def test_the_digest_is_that_of_the_script_in_the_page() -> None:
    html = str(viewer_html([volume(), volume()]))

    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert script_digest() == f"'sha256-{digest}'"


@pytest.mark.parametrize("word", ["fetch(", "eval(", "http", "XMLHttpRequest", "import ", "innerH"])
def test_the_script_has_no_way_out_of_the_page(word: str) -> None:
    html = str(viewer_html([volume()]))

    assert word not in html.partition("<script>")[2]


class Opened(Protocol):
    def __call__(self, body: str) -> AbstractContextManager[Page]: ...


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Opens a page with this body, under the policy of a report, as a file."""

    @contextmanager
    def open_page(body: str) -> Iterator[Page]:
        policy = (
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src {script_digest()}"
        )
        path = tmp_path / "page.html"
        path.write_text(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>quiet</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}"></head>'
            f"<body>{body}</body></html>",
            encoding="utf-8",
        )
        with page_in_chromium(path, profile=tmp_path / "profile") as page:
            page.wait_for("document.readyState === 'complete' && document.title === 'quiet'")
            yield page

    return open_page


def states(page: Page) -> list[str]:
    found: list[str] = page.value_of(
        "[...document.querySelectorAll('figure.viewer')].map((f) => f.dataset.state)"
    )
    return found


def wait_until_ready(page: Page, *, viewer: int = 0) -> None:
    """Returns once that viewer of the page shows its images."""
    page.wait_for(f"document.querySelectorAll('figure.viewer')[{viewer}].dataset.state === 'ready'")


def voxel(page: Page) -> tuple[int, ...]:
    text: str = page.value_of("document.querySelector('figure.viewer').dataset.voxel")
    return tuple(map(int, text.split(",")))


@needs_chromium
def test_two_viewers_open_from_a_file_under_the_policy_and_nothing_complains(
    opened: Opened,
) -> None:
    with opened(str(viewer_html([volume(), volume(None, title="bern, sub-02")]))) as page:
        for viewer in range(2):
            # by itself: newer browsers answer it with a promise, true in any condition
            page.value_of(f"document.querySelectorAll('figure.viewer')[{viewer}].scrollIntoView();")
            wait_until_ready(page, viewer=viewer)
        readouts = page.value_of(
            "[...document.querySelectorAll('.viewer-readout')].map((p) => p.textContent)"
        )
        complaints = page.complaints

    # The largest missed lesion, (9, 2, 4): on the grid (12, 5, 5), in the file (5, 16 - 12, 5);
    # x = -6 + 12; y = -20 + 10 * 0.96 - 20 * 0.28; z = 30 + 10 * 0.28 + 20 * 0.96
    assert readouts[0] == (
        "Voxel 5, 4, 5 of the file, from 0 · 6.0 R, 16.0 P, 52.0 S mm · "
        "missed: in the reference only"
    )
    assert readouts[1].endswith("predicted")
    assert complaints == []


@needs_chromium
def test_a_script_that_is_not_ours_does_not_run_beside_the_viewer(opened: Opened) -> None:
    with opened(str(viewer_html([volume()])) + "<script>document.title = 'ran'</script>") as page:
        wait_until_ready(page)

        assert page.value_of("document.title") == "quiet"
        assert any("Content Security Policy" in text for text in page.complaints)


CENTROIDS = """
(colour) => [...document.querySelectorAll("figure.viewer canvas")].map((canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let n = 0, x = 0, y = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (colour.some((value, channel) => Math.abs(value - data[at + channel]) > 2)) continue;
    n += 1; x += (at / 4) % width + 0.5; y += Math.floor(at / 4 / width) + 0.5;
  }
  return [x / n / width, y / n / height];
})
"""


@needs_chromium
def test_marks_lie_where_the_lesion_is_seen_radiologically_and_in_mm(opened: Opened) -> None:
    # The crop is 12 x 20 x 24 mm and every picture has a margin of 4 mm. The middle of the missed
    # lesion is voxel (9, 2, 4), so (9.5, 5, 18) mm from the low edges. From the left of the
    # picture that is 12 - 9.5 = 2.5 mm (patient's right on the left), or 20 - 5 = 15 mm (anterior
    # on the left); from the top 20 - 5 = 15 mm or 24 - 18 = 6 mm.
    expected = [
        ((4 + 2.5) / 20, (4 + 15) / 28),  # axial
        ((4 + 2.5) / 20, (4 + 6) / 32),  # coronal
        ((4 + 15) / 28, (4 + 6) / 32),  # sagittal
    ]
    pink = (0xFF, 0x8F, 0xC2)
    with opened(str(viewer_html([volume()]))) as page:
        wait_until_ready(page)
        page.value_of(
            "(() => { const opacity = document.querySelector('.viewer-controls [type=range]');"
            "opacity.value = 100; opacity.dispatchEvent(new Event('input')); })()"
        )
        places = page.value_of(f"({CENTROIDS})({list(pink)})")
        proportions = page.value_of(
            "[...document.querySelectorAll('canvas')].map((c) => c.clientWidth / c.clientHeight)"
        )

    np.testing.assert_allclose(places, expected, atol=0.01)
    np.testing.assert_allclose(proportions, [20 / 28, 20 / 32, 28 / 32], rtol=0.01)


@needs_chromium
def test_a_long_cord_is_not_taller_than_the_window(opened: Opened) -> None:
    shape = (12, 10, 120)  # 20 x 28 x 488 mm with the margins
    mask = np.zeros(shape, bool)
    long = dataclasses.replace(
        case(None),
        image=np.zeros((1, *shape), np.float32),
        brain=~mask,
        crop_start=(0, 0, 0),
        grid_shape=shape,
        affine=np.diag([*SPACING_MM, 1.0]),
    )
    data = viewer_volume(long, mask, title="long", definition=MSSEG2016, task=LESIONS)
    with opened(str(viewer_html([data]))) as page:
        wait_until_ready(page)
        heights = page.value_of(
            "[...document.querySelectorAll('canvas')].map((c) => c.clientHeight)"
        )

    assert 500 < max(heights) <= 720


@needs_chromium
def test_keys_wheel_slider_click_and_buttons_move_the_cross(opened: Opened) -> None:
    def press(key: str) -> None:
        page.tell("Input.dispatchKeyEvent", type="keyDown", key=key)
        page.tell("Input.dispatchKeyEvent", type="keyUp", key=key)

    with opened(str(viewer_html([volume()]))) as page:
        wait_until_ready(page)
        assert voxel(page) == (9, 2, 4)

        page.value_of("document.querySelectorAll('canvas')[0].focus()")  # axial
        press("ArrowRight")  # to the patient's left
        assert voxel(page) == (8, 2, 4)
        press("ArrowUp")
        assert voxel(page) == (8, 3, 4)
        press("PageDown")
        assert voxel(page) == (8, 3, 3)
        for _ in range(9):
            press("PageUp")
        assert voxel(page) == (8, 3, 5)  # the last of 6 slices

        left, top, width, height = page.value_of(
            "(() => { const b = document.querySelectorAll('canvas')[0].getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        # 1.5 mm from the brain's edges at the upper left of 20 x 28 mm: voxels 12 - 2, 10 - 1
        at = {"x": left + width * 5.5 / 20, "y": top + height * 5.5 / 28}
        mouse = {"button": "left", "clickCount": 1, **at}
        page.tell("Input.dispatchMouseEvent", type="mousePressed", **mouse)
        page.tell("Input.dispatchMouseEvent", type="mouseReleased", **mouse)
        assert voxel(page) == (10, 9, 5)
        page.tell("Input.dispatchMouseEvent", type="mouseWheel", deltaX=0, deltaY=100, **at)
        assert voxel(page) == (10, 9, 4)

        page.value_of(
            "(() => { const sagittal = document.querySelectorAll('.viewer-plane input')[2];"
            "sagittal.value = 1; sagittal.dispatchEvent(new Event('input')); })()"
        )
        assert voxel(page) == (1, 9, 4)
        page.value_of("document.querySelectorAll('.viewer button')[1].click()")  # next lesion
        assert voxel(page) == (2, 7, 1)
        page.value_of("document.querySelectorAll('.viewer button')[0].click()")
        assert voxel(page) == (9, 2, 4)
        assert page.complaints == []


@needs_chromium
def test_a_viewer_out_of_sight_is_not_unpacked(opened: Opened) -> None:
    folded, shown = str(viewer_html([volume(), volume()])).split("</figure>", 1)
    folded = f"<details><summary>more</summary>{folded}</figure></details>"
    with opened(folded + shown) as page:
        wait_until_ready(page, viewer=1)
        assert states(page) == ["waiting", "ready"]
        page.value_of("document.querySelector('details').open = true")
        wait_until_ready(page, viewer=0)


@needs_chromium
def test_damaged_data_is_said_in_place_of_the_pictures(opened: Opened) -> None:
    broken = json.loads(volume())
    broken["labels"] = broken["labels"][:40]
    with opened(str(viewer_html([json.dumps(broken).encode()]))) as page:
        page.wait_for("document.querySelector('figure.viewer').dataset.state === 'failed'")
        text = page.value_of("document.querySelector('.viewer-status').textContent")

    assert "cannot be read" in text
