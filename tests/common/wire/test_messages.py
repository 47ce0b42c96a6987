"""What each message may hold, as it arrives at the other side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest

from common.errors import WireError
from common.wire.codec import Packed, pack, unpack
from common.wire.messages import (
    Assignment,
    BaselineSums,
    LesionMetricKept,
    LesionMetricRequest,
    Message,
    MiningReply,
    MiningRequest,
    PartFacts,
    Reply,
    Request,
    SiteFailure,
    SiteUpdate,
    SummedSubjects,
    ThresholdRequest,
    TrainRequest,
)

DIGEST = "0123456789abcdef" * 4
ASSIGNMENT = Assignment(
    run="r1",
    phase="mining",
    round_index=1,
    recipe="{}",
    code_digest="d",
    site="ghent",
    site_index=0,
    n_sites=2,
    exchange_id="0" * 32,
)
PARAMETERS = {"first.dense_2.bias": np.array([1.5, -2.0], np.float32), "n": np.array(3)}
TEMPLATE: dict[str, tuple[float, ...]] = {"FLAIR": (0.25, 0.875, 1.25)}
TRAINING = PartFacts(n_subjects=6, n_cases=9, n_lesions=31, lesion_volume_ml=12.5)
VALIDATION = PartFacts(n_subjects=2, n_cases=2, n_lesions=0, lesion_volume_ml=0.0)

UPDATE = SiteUpdate(
    n_cases=4,
    lesion_volume_ml=12.5,
    loss=-0.5,
    segmentation_loss=0.25,
    site_loss=None,
    estimated_lesion_f1=0.75,
    true_lesion_f1=0.5,
    validation_dice=0.125,
    n_validation_cases=1,
    wall_s=2.0,
    change=PARAMETERS,
)
SENT: dict[str, Message] = {
    "lesion metric": LesionMetricRequest(assignment=ASSIGNMENT, parameters=PARAMETERS),
    "lesion metric kept": LesionMetricKept(digest=DIGEST),
    "mining": MiningRequest(assignment=ASSIGNMENT, template=TEMPLATE, parameters=PARAMETERS),
    "mined": MiningReply(n_cases=4, n_negatives=10**11),
    "baseline sums": BaselineSums(
        dice_sums=(1.5, 0.25),
        n_cases=9,
        parts={"training": TRAINING, "validation": VALIDATION},
        for_round=SummedSubjects(n_subjects=7),
        for_threshold=SummedSubjects(n_subjects=2, min_total=5),
    ),
    "a stage": TrainRequest(
        assignment=ASSIGNMENT,
        template=TEMPLATE,
        parameters=PARAMETERS,
        stage="first",
        lesion_metric=DIGEST,
    ),
    "a part": ThresholdRequest(
        assignment=ASSIGNMENT,
        template=TEMPLATE,
        parameters=PARAMETERS,
        part="test",
        thresholds=(0.25,),
    ),
    "an update": UPDATE,
}


def plain(message: Message) -> dict[str, Any]:
    """The fields without the arrays."""
    names = (name for name in message.__dataclass_fields__ if name not in ("parameters", "change"))
    return {name: getattr(message, name) for name in names}


@pytest.mark.parametrize("name", SENT)
def test_a_message_arrives_as_it_was_sent(name: str) -> None:
    sent = SENT[name]
    arrived = unpack(pack(sent), type(sent))
    assert plain(arrived) == plain(sent)
    for field in {"parameters", "change"} & set(sent.__dataclass_fields__):
        there, here = getattr(arrived, field), getattr(sent, field)
        assert there.keys() == here.keys()
        assert all(np.array_equal(there[key], here[key]) for key in here)


def test_the_facts_of_a_part_arrive_as_facts_and_not_as_a_table() -> None:
    arrived = unpack(pack(SENT["baseline sums"]), BaselineSums)
    assert arrived.parts == {"training": TRAINING, "validation": VALIDATION}
    assert isinstance(arrived.parts["training"], PartFacts)
    assert arrived.parts["training"].lesion_volume_ml == 12.5


def test_a_round_is_of_the_whole_network_without_a_metric_unless_it_says_so() -> None:
    request = TrainRequest(assignment=ASSIGNMENT, template={}, parameters={})
    assert (request.stage, request.lesion_metric) == ("whole", None)


def changed(name: str, changes: Mapping[str, Any]) -> Packed:
    """The message with other fields, as another program would send it."""
    packed = pack(SENT[name])
    header = json.loads(packed.header)
    header["fields"] |= changes
    return Packed(json.dumps(header), packed.payload)


FACTS = {"n_subjects": 6, "n_cases": 9, "n_lesions": 31, "lesion_volume_ml": 12.5}


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("lesion metric kept", {"digest": DIGEST[:-1]}, "LesionMetricKept.digest: .* pattern"),
        ("lesion metric kept", {"digest": DIGEST.upper()}, "LesionMetricKept.digest: .* pattern"),
        ("lesion metric kept", {"digest": DIGEST + "\n"}, "LesionMetricKept.digest: .* pattern"),
        ("lesion metric kept", {"path": "/home"}, "LesionMetricKept.path: Unexpected"),
        ("lesion metric", {"parameters": {}}, "LesionMetricRequest.parameters: want arrays, got"),
        ("mining", {"template": {"FLAIR": [1e400]}}, "MiningRequest.template.FLAIR.0: .* finite"),
        ("mining", {"template": {"FLAIR": [0.5] * 14}}, "MiningRequest.template.FLAIR: .* 13"),
        ("mined", {"n_negatives": -1}, "MiningReply.n_negatives: .* greater than or equal to 0"),
        ("mined", {"n_negatives": 10**11 + 1}, "MiningReply.n_negatives: .* less than or equal"),
        ("mined", {"n_negatives": 1.5}, "MiningReply.n_negatives: .* valid integer"),
        ("mined", {"voxels": [1, 2]}, "MiningReply.voxels: Unexpected"),
        ("baseline sums", {"parts": {"secret": FACTS}}, "BaselineSums.parts.secret.* 'training'"),
        ("baseline sums", {"parts": {"test": 3}}, "BaselineSums.parts.test: .* dictionary"),
        (
            "baseline sums",
            {"parts": {"test": FACTS | {"subjects": ["sub-01"]}}},
            "BaselineSums.parts.test.subjects: Unexpected",
        ),
        (
            "baseline sums",
            {"parts": {"test": FACTS | {"n_lesions": -3}}},
            "BaselineSums.parts.test.n_lesions: .* greater than or equal to 0",
        ),
        (
            "baseline sums",
            {"parts": {"test": FACTS | {"lesion_volume_ml": 1e400}}},
            "BaselineSums.parts.test.lesion_volume_ml: ",
        ),
        ("baseline sums", {"parts": {"test": {}}}, r"BaselineSums.parts.test.n_subjects.*4 faults"),
        ("baseline sums", {"dice_sums": [-0.5]}, "BaselineSums.dice_sums.0: "),
        ("a stage", {"stage": "third"}, "TrainRequest.stage: .* 'whole', 'first' or 'second'"),
        ("a stage", {"stage": None}, "TrainRequest.stage: "),
        ("a stage", {"lesion_metric": "../../etc/passwd"}, "TrainRequest.lesion_metric: .*pattern"),
        ("a part", {"part": "training"}, "ThresholdRequest.part: .* 'threshold', 'test' or 'all'"),
        ("an update", {"estimated_lesion_f1": 1e400}, "SiteUpdate.estimated_lesion_f1: .* finite"),
        ("an update", {"true_lesion_f1": "high"}, "SiteUpdate.true_lesion_f1: .* valid number"),
    ],
)
def test_a_hostile_value_is_refused(name: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WireError, match=words):
        unpack(changed(name, changes), type(SENT[name]))


def test_a_part_must_be_asked_for() -> None:
    packed = pack(SENT["a part"])
    header = json.loads(packed.header)
    del header["fields"]["part"]
    with pytest.raises(WireError, match=r"ThresholdRequest.part: .*required"):
        unpack(Packed(json.dumps(header), packed.payload), ThresholdRequest)


def test_a_reply_cannot_stand_in_for_another_request_s() -> None:
    with pytest.raises(WireError, match="want MiningReply or SiteFailure, got 'LesionMetricKept'"):
        unpack(pack(SENT["lesion metric kept"]), (MiningReply, SiteFailure))


def test_every_request_says_whose_work_it_is_and_no_reply_does() -> None:
    assert all("assignment" in cls.__dataclass_fields__ for cls in get_args(Request))
    assert not any("assignment" in cls.__dataclass_fields__ for cls in get_args(Reply))
    assert {LesionMetricRequest, MiningRequest} <= set(get_args(Request))
    assert {LesionMetricKept, MiningReply} <= set(get_args(Reply))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("phase", "../../elsewhere", id="a path: sites name files after the phase"),
        pytest.param("phase", "training-[0-9]*", id="a pattern of file names"),
        pytest.param("phase", "", id="no phase"),
        pytest.param("n_sites", 10**7, id="a site head of more outputs than memory holds"),
    ],
)
def test_an_assignment_that_would_harm_the_site_is_refused(field: str, value: object) -> None:
    packed = pack(MiningRequest(assignment=ASSIGNMENT, template=TEMPLATE, parameters=PARAMETERS))
    header = json.loads(packed.header)
    header["fields"]["assignment"][field] = value
    with pytest.raises(WireError, match=rf"MiningRequest\.assignment\.{field}"):
        unpack(Packed(json.dumps(header), packed.payload), MiningRequest)
