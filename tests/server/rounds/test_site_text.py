from __future__ import annotations

import logging

import pytest
from flwr.app import Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from common.wire.messages import SiteFailure, SiteStatistics
from server.events.event_log import Place
from server.rounds.pending_request import PendingRequest, accumulate_answer

PATH = "/srv/neurology/sub-Duvalier1961/ses-02"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (f"<class 'OSError'>:<'no space left on {PATH}'>", ("FlowerError", "flower-2")),
        (f"BundleRefused: bundle-has-code {PATH}", ("FlowerError", "flower-2")),
        ("InternalError: internal", ("FlowerError", "flower-2")),
        ("BundleRefused: bundle-has-code", ("BundleRefused", "bundle-has-code")),
        (None, ("FlowerError", "flower-2")),
    ],
)
def test_no_words_of_a_site_are_kept_beside_class_and_code(
    reason: str | None, told: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    asked = Message(RecordDict(), 2, "query.lesionfed")
    pending = PendingRequest(
        "lyon",
        "0" * 32,
        1000,
        0.0,
        Place(phase="training", round=1),
        closes_at=1.0,
        may_be_late=False,
    )
    with caplog.at_level(logging.DEBUG):
        failure = accumulate_answer(
            pending,
            Message(Error(2, reason), reply_to=asked),
            reply=SiteStatistics,
            accumulate=lambda site, reply: {},
        )
    assert failure == SiteFailure(error=told[0], code=told[1])
    assert "Duvalier" not in caplog.text
    assert "/srv" not in caplog.text
