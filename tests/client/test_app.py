from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client import app as client_app
from client.app import app
from common.code_digest import code_digest
from common.membership.requests_key import public_half
from common.recipe.recipe import load_recipe
from common.wire.codec import Packed, answered_by, pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Assignment, SiteFailure, StatisticsRequest
from server.rounds.sealer import Sealer
from tests.kits import kit_for

EXCHANGE_ID = "0123456789abcdef" * 2
SEALER = Sealer(sitting=1)
"""As in the inline engine: no key, and every request has a number of its own."""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    site_file = tmp_path / "site.toml"
    site_file.write_text('name = "lyon"\ndata = "secret-folder"\nwork = "work"\n', "utf-8")
    return Context(
        run_id=1,
        node_id=2,
        node_config={"site": str(site_file), "inline": True},
        state=RecordDict(),
        run_config={},
    )


def ask(context: Context, content: RecordDict) -> tuple[SiteFailure, str]:
    """The site's failure and the whole text of what it sent."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    reply = app(Message(content, 2, "query.lesionfed"), context)
    assert not reply.has_error()
    packed = from_record(reply.content, limit_bytes=10_000)
    return unpack(packed, SiteFailure), packed.header


def request(**changed: Any) -> Packed:
    fields: dict[str, Any] = {
        "run": "r",
        "phase": "statistics",
        "round_index": 1,
        "recipe": load_recipe("default").canonical_json(),
        "code_digest": code_digest(),
        "site": "lyon",
        "site_index": 0,
        "n_sites": 1,
        "exchange_id": EXCHANGE_ID,
    }
    assignment = Assignment(**fields | changed)
    return SEALER.seal(pack(StatisticsRequest(assignment=assignment)), assignment)


def test_an_error_leaves_the_site_as_class_and_code_and_its_text_stays_in_the_log(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        failure, sent = ask(context, to_record(request()))
    assert failure == SiteFailure(error="SiteDataError", code="site-data")
    assert "secret-folder" not in sent
    assert "secret-folder" in caplog.text


def test_another_version_is_distinguished_even_when_its_messages_differ(context: Context) -> None:
    header = json.loads(request(code_digest="0" * 64).header)
    assignment = Assignment(**header["fields"]["assignment"])
    header["message"] = "RequestOfAnotherVersion"
    sealed = SEALER.seal(Packed(json.dumps(header), b""), assignment)
    failure, _ = ask(context, to_record(sealed))
    assert failure == SiteFailure(error="CodeMismatch", code="code-mismatch")


@pytest.mark.parametrize(
    "content",
    [
        RecordDict({}),
        RecordDict({"lesionfed.header": ConfigRecord({"json": "{}"})}),
        to_record(Packed("[[[", b"")),
    ],
)
def test_what_is_not_ours_is_answered_with_a_failure(context: Context, content: RecordDict) -> None:
    failure, _ = ask(context, content)
    assert failure == SiteFailure(error="WireError", code="wire")


def test_a_recipe_that_cannot_be_read_is_answered_with_a_failure(context: Context) -> None:
    failure, _ = ask(context, to_record(request(recipe='{"name": "x"}')))
    assert failure == SiteFailure(error="ConfigError", code="config")


def test_a_reply_names_the_request_that_it_answers(context: Context) -> None:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    reply = app(Message(to_record(request()), 2, "query.lesionfed"), context)
    assert answered_by(from_record(reply.content, limit_bytes=10_000)) == EXCHANGE_ID


@pytest.mark.parametrize("code", ["paused", "left"])
def test_a_site_that_takes_no_work_says_so(context: Context, tmp_path: Path, code: str) -> None:
    (tmp_path / code).touch()
    failure, _ = ask(context, to_record(request()))
    assert failure == SiteFailure(error="PolicyRefused", code=code)
    (tmp_path / code).unlink()
    failure, _ = ask(context, to_record(request()))
    assert failure.code == "site-data"


def test_the_request_inside_must_be_the_one_on_the_seal(context: Context) -> None:
    inner = request(phase="training")
    [assignment] = [Assignment(**json.loads(inner.header)["fields"]["assignment"])]
    other = dataclasses.replace(assignment, phase="statistics")
    failure, _ = ask(context, to_record(SEALER.seal(inner, other)))
    assert failure == SiteFailure(error="WireError", code="seal")


def test_a_node_that_was_started_with_a_kit_answers_nothing_without_it(
    context: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kit that is gone must not make the node one of the inline engine."""
    context.node_config["kit"] = str(tmp_path / "kit" / "kit.json")
    with caplog.at_level(logging.ERROR):
        failure, _ = ask(context, to_record(request()))
    assert failure == SiteFailure(error="OSError", code="not-there")
    assert "kit.json: No such file" in caplog.text


def test_a_node_that_was_started_without_a_kit_answers_nothing(context: Context) -> None:
    """Only the inline engine, which crosses no network, asks without a signature."""
    del context.node_config["inline"]
    failure, _ = ask(context, to_record(request()))
    assert failure == SiteFailure(error="ConfigError", code="config")


def test_without_the_coordinators_signature_nothing_of_a_request_is_decoded(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "kit.json"
    file.write_text(kit_for("train", requests_key=public_half(key)).canonical_json(), "utf-8")
    context.node_config["kit"] = str(file)
    for name in ("unpack", "code_digest_in"):
        monkeypatch.setattr(client_app, name, lambda *_: pytest.fail("it was decoded"))
    failure, sent = ask(context, to_record(request()))
    assert failure == SiteFailure(error="WireError", code="not-signed")
    assert EXCHANGE_ID not in sent
