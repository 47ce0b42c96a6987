from __future__ import annotations

import json
import re
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.imaging.standardization.template import Template
from common.wire.codec import Packed, pack, unpack
from common.wire.field_types import Arrays
from common.wire.messages import (
    Assignment,
    BaselineSums,
    SiteFailure,
    SiteUpdate,
    SummedSubjects,
    ThresholdReply,
    ThresholdRequest,
    TrainRequest,
)

ASSIGNMENT = Assignment(
    run="r1",
    phase="training",
    round_index=3,
    recipe="{}",
    code_digest="d",
    site="lyon",
    site_index=1,
    n_sites=2,
    exchange_id="0" * 32,
)

ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.one_of(
        hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)),
        hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=3)),
        hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=3)),
    ),
    max_size=4,
)


def request(parameters: Arrays) -> TrainRequest:
    template: Template = {"FLAIR": (0.25, 0.875, 1.25)}
    return TrainRequest(assignment=ASSIGNMENT, template=template, parameters=parameters)


def update(**changed: Any) -> SiteUpdate:
    fields: dict[str, Any] = {
        "n_cases": 4,
        "lesion_volume_ml": 12.5,
        "loss": 0.5,
        "segmentation_loss": 0.25,
        "site_loss": None,
        "estimated_lesion_f1": None,
        "true_lesion_f1": None,
        "validation_dice": 0.125,
        "n_validation_cases": 1,
        "wall_s": 2.0,
        "change": {"w": np.array([1.0, -2.0], np.float32)},
    }
    return SiteUpdate(**fields | changed)


@given(ARRAYS)
def test_what_is_packed_comes_back_bit_for_bit(arrays: Arrays) -> None:
    returned = unpack(pack(request(arrays)), TrainRequest)
    assert returned.assignment == ASSIGNMENT
    assert returned.template == {"FLAIR": (0.25, 0.875, 1.25)}
    assert returned.parameters.keys() == arrays.keys()
    for name, array in arrays.items():
        assert returned.parameters[name].dtype == array.dtype
        assert returned.parameters[name].shape == array.shape
        assert returned.parameters[name].tobytes() == array.tobytes()


def test_a_single_number_keeps_its_shape_between_other_arrays() -> None:
    # batch norm counts its batches in an int64 without axes
    sent: Arrays = {
        "norm.running_mean": np.array([0.5, -1.5, 2.0], np.float32),
        "norm.num_batches_tracked": np.array(40),
        "dense.bias": np.array([3.0], np.float32),
        "none": np.zeros((0, 2), np.float32),
    }
    packed = pack(request(sent))
    assert len(packed.payload) == 3 * 4 + 8 + 4
    arrived = unpack(packed, TrainRequest).parameters
    assert arrived["norm.num_batches_tracked"].shape == ()
    assert arrived["norm.num_batches_tracked"].dtype == np.int64
    assert arrived["norm.num_batches_tracked"] == 40
    np.testing.assert_array_equal(arrived["norm.running_mean"], [0.5, -1.5, 2.0])
    np.testing.assert_array_equal(arrived["dense.bias"], [3.0])
    assert arrived["none"].shape == (0, 2)


def test_a_single_number_that_arrived_can_be_changed() -> None:
    arrived = unpack(pack(request({"n": np.array(7)})), TrainRequest).parameters["n"]
    arrived += 1
    assert arrived == 8


def test_arrays_that_are_not_contiguous_arrive_in_order() -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    returned = unpack(pack(request({"w": turned})), TrainRequest)
    np.testing.assert_array_equal(returned.parameters["w"], [[0, 3], [1, 4], [2, 5]])


def test_an_array_that_arrived_can_be_changed() -> None:
    arrived = unpack(pack(update()), SiteUpdate).change["w"]
    arrived += 1  # np.frombuffer alone would be read-only
    np.testing.assert_array_equal(arrived, [2.0, -1.0])


def test_an_array_of_another_dtype_does_not_travel() -> None:
    with pytest.raises(WireError, match=r"parameters\['w'\]: want one of .*, got float16"):
        pack(request({"w": np.zeros(2, np.float16)}))


def test_another_message_than_expected_is_refused() -> None:
    with pytest.raises(WireError, match="want BaselineSums or SiteFailure, got 'SiteUpdate'"):
        unpack(pack(update()), (BaselineSums, SiteFailure))


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_payload_that_was_cut_off_is_refused(cut: int) -> None:
    packed = pack(update())
    with pytest.raises(WireError, match=f"payload: {8 - cut} bytes end inside array 'w'"):
        unpack(Packed(packed.header, packed.payload[:-cut]), SiteUpdate)


def test_a_payload_with_bytes_to_spare_is_refused() -> None:
    packed = pack(update())
    with pytest.raises(WireError, match="payload: want 8 bytes for the arrays named, got 9"):
        unpack(Packed(packed.header, packed.payload + b"x"), SiteUpdate)


def changed_header(**changes: Any) -> Packed:
    packed = pack(update())
    return Packed(json.dumps(json.loads(packed.header) | changes), packed.payload)


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        pytest.param(Packed("{", b""), "header: not JSON", id="no JSON"),
        pytest.param(Packed("[]", b""), "header: want an object", id="a list"),
        pytest.param(changed_header(more=1), "header: want an object", id="another key"),
        pytest.param(changed_header(fields=[]), "header.fields: want dict", id="fields"),
        pytest.param(changed_header(message="Popen"), "got 'Popen'", id="unknown class"),
        pytest.param(
            changed_header(arrays=[["change", "w", "object", [2]]]), "header.arrays", id="objects"
        ),
        pytest.param(
            changed_header(arrays=[["change", "w", "float32", [-2]]]), "header.arrays", id="minus"
        ),
        pytest.param(
            changed_header(arrays=[["loss", "w", "float32", [2]]]), "has no place", id="wrong field"
        ),
        pytest.param(
            changed_header(
                arrays=[["change", "w", "float32", [1]], ["change", "w", "float32", [1]]]
            ),
            "has no place",
            id="twice",
        ),
    ],
)
def test_a_header_that_was_tampered_with_is_refused(packed: Packed, words: str) -> None:
    with pytest.raises(WireError, match=words):
        unpack(packed, SiteUpdate)


LONG = "x" * 1_000_000
ROW = ["change", LONG, "float32"]


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        pytest.param(changed_header(message=LONG), "got 'xxx", id="class"),
        pytest.param(
            changed_header(fields=json.loads(pack(update()).header)["fields"] | {LONG: 1}),
            "SiteUpdate.xxx",
            id="field",
        ),
        pytest.param(changed_header(arrays=[[LONG, *ROW[1:], [2]]]), "has no place", id="place"),
        pytest.param(changed_header(arrays=[[*ROW, [3]]]), "inside array 'xxx", id="array"),
        pytest.param(changed_header(arrays=[[*ROW, [-1]]]), "header.arrays.*xxx", id="row"),
    ],
)
def test_a_text_of_any_length_is_quoted_in_part(packed: Packed, words: str) -> None:
    with pytest.raises(WireError, match=words) as refused:
        unpack(packed, SiteUpdate)
    assert len(str(refused.value)) < 600


def test_a_field_that_is_not_in_the_class_is_refused() -> None:
    fields = json.loads(pack(update()).header)["fields"]
    with pytest.raises(WireError, match="subject_names"):
        unpack(changed_header(fields=fields | {"subject_names": ["Ada"]}), SiteUpdate)


def test_a_field_out_of_its_range_is_refused() -> None:
    fields = json.loads(pack(update()).header)["fields"]
    with pytest.raises(WireError, match=r"SiteUpdate.n_cases: .* greater than or equal to 1"):
        unpack(changed_header(fields=fields | {"n_cases": 0}), SiteUpdate)


def test_whole_numbers_beyond_the_floats_arrive_to_the_last_digit() -> None:
    sums = (2**53 + 1, 10**16)  # the first is no float64
    reply = ThresholdReply(
        dice_sums=sums,
        lesion_f1_sums=(0, 1),
        n_dice=10**7,
        n_lesion_f1=1,
        n_cases=10**7,
        n_on_scanner_grid=0,
        subjects=SummedSubjects(n_subjects=10**7, min_total=5),
    )
    assert unpack(pack(reply), ThresholdReply) == reply


@pytest.mark.parametrize("thresholds", [(), (0.5, 1.0), (0.0,), (0.5,) * 100])
def test_thresholds_that_no_sweep_has_cannot_be_asked_for(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        ThresholdRequest(
            assignment=ASSIGNMENT,
            template={},
            parameters={},
            part="threshold",
            thresholds=thresholds,
        )


def test_plain_json_cannot_stand_in_for_arrays() -> None:
    fields = json.loads(pack(update()).header)["fields"]
    with pytest.raises(WireError, match=r"SiteUpdate.change: want arrays"):
        unpack(changed_header(fields=fields | {"change": {"w": [1, 2]}}), SiteUpdate)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_cannot_be_sent(value: float) -> None:
    with pytest.raises(ValueError, match="loss"):
        update(loss=value)


@given(st.text(), st.binary(max_size=64))
def test_noise_is_a_wire_error_and_nothing_else(header: str, payload: bytes) -> None:
    with pytest.raises(WireError):
        unpack(Packed(header, payload), (SiteUpdate, SiteFailure))


FAR = 1 << 31


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        pytest.param(
            [["change", "w", "float32", [0, FAR, FAR]]], "product", id="too far for numpy"
        ),
        pytest.param([["change", "w", "int64", [0, *[FAR] * 7]]], "product", id="in every axis"),
        pytest.param([["change", "w", "float32", [0] * 9]], "header.arrays", id="nine axes"),
        pytest.param([["change", "w", "float16", [2]]], "header.arrays", id="unknown dtype"),
        pytest.param([["change", "w", "float32", [2**70]]], "header.arrays", id="huge"),
        pytest.param([["change", "w", "float32", [2.0]]], "header.arrays", id="no whole number"),
        pytest.param([["change", "w", "float32", [True]]], "header.arrays", id="a truth value"),
        pytest.param([["change", "w", "float32", [0]]] * 70_000, "65536 arrays", id="too many"),
        pytest.param(
            [["change", "w", "float32", json.loads("[" * 900 + "]" * 900)]], "got", id="deep"
        ),
    ],
)
def test_an_array_that_numpy_cannot_hold_is_refused(arrays: list[Any], words: str) -> None:
    with pytest.raises(WireError, match=words):
        unpack(changed_header(arrays=arrays), SiteUpdate)


@pytest.mark.parametrize("name", ["__dataclass_self__", "self", "args", "__init__"])
def test_a_field_named_after_a_constructors_own_is_refused(name: str) -> None:
    fields = json.loads(pack(update()).header)["fields"]
    with pytest.raises(WireError, match=re.escape(f"SiteUpdate.{name}")):
        unpack(changed_header(fields=fields | {name: 1}), SiteUpdate)


def test_an_array_without_values_arrives_in_its_shape() -> None:
    arrived = unpack(pack(update(change={"w": np.zeros((3, 0, 2), np.float32)})), SiteUpdate)
    assert arrived.change["w"].shape == (3, 0, 2)


def test_of_a_message_full_of_faults_only_their_number_is_told() -> None:
    fields = json.loads(pack(update()).header)["fields"] | {"not_kept": ["z"] * 101}
    with pytest.raises(WireError, match="SiteUpdate: 101 faults in its fields"):
        unpack(changed_header(fields=fields), SiteUpdate)
