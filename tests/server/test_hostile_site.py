"""One hostile site among four: the others' run goes on, and the model is theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message

from common.recipe.recipe import load_recipe
from common.wire.codec import Packed
from common.wire.flower_record import from_record, to_record
from server.events.history import RunHistory, read_run
from server.events.run_event import RunEvent
from server.inline import InlineGrid
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.run.run_state import RunState
from server.simulate import lay_out, simulate
from tests.toy_sites import write_site

pytestmark = pytest.mark.usefixtures("no_charts")

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "network.norm=batch",
    "sampling.patch_shape=[32, 16, 16]",
    "loss.site.name=none",
    "sampling.batch_size=2",
    "optimizer.steps=1",
    "federation.rounds=3",
    "federation.site_validation_share=0.3",
    "federation.site_test_share=0.3",
    "inference.threshold_from=sites",
    "inference.overlap=0",
    "compute.threads=1",
)
HONEST = ("bonn", "ghent", "lyon")
HOSTILE = "mallory"
Attack = Callable[[dict[str, Any], bytes], Packed]


class Killed(BaseException):
    """Nothing in the product catches this: as after kill -9."""


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of four toy hospitals; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=3).parent
        / "bids"
        for seed, name in enumerate((*HONEST, HOSTILE))
    }


@pytest.fixture
def attacked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Attack]:
    """Class of reply, or "every" -> what the hostile site sends in its place."""
    attacks: dict[str, Attack] = {}
    answer = InlineGrid._answer

    def sent(grid: InlineGrid, message: Message) -> Message:
        name = grid._names[message.metadata.dst_node_id]
        reply = answer(grid, message)
        if name != HOSTILE or reply.has_error():
            return reply
        packed = from_record(reply.content, limit_bytes=1 << 30)
        header = json.loads(packed.header)
        attack = attacks.get(header["message"], attacks.get("every"))
        if attack is None:
            return reply
        return Message(to_record(attack(header, packed.payload)), reply_to=message)

    monkeypatch.setattr(InlineGrid, "_answer", sent)
    return attacks


def executed(
    path: Path,
    hospitals: Mapping[str, Path],
    *overrides: str,
    kill_at_checkpoint: int | None = None,
) -> tuple[RunHistory, RunState]:
    """The run's history and last state; it is killed once and resumed where that is said."""
    folder = RunFolder(path)
    lay_out(folder, load_recipe("default", overrides=[*TINY, *overrides]), sites=hospitals)
    if kill_at_checkpoint is not None:
        n_checkpoints = 0

        def listen(event: RunEvent) -> None:
            nonlocal n_checkpoints
            n_checkpoints += event.event == "checkpoint"
            if n_checkpoints == kill_at_checkpoint:
                raise Killed

        with pytest.raises(Killed):
            simulate(folder, images=False, listener=listen)
    simulate(folder, images=False)
    state = load_checkpoint(folder.checkpoints)
    assert state is not None
    return read_run(folder.events_file), state


def cannot_be_held(header: dict[str, Any], payload: bytes) -> Packed:
    far = 1 << 31
    header["arrays"] = [["change", "w", "float32", [0, far, far]]]
    return Packed(json.dumps(header), b"")


def breaks_the_constructor(header: dict[str, Any], payload: bytes) -> Packed:
    header["fields"]["__dataclass_self__"] = 1
    return Packed(json.dumps(header), payload)


@pytest.mark.parametrize("attack", [cannot_be_held, breaks_the_constructor])
def test_a_reply_that_breaks_the_decoder_fails_its_site_alone_in_every_phase(
    tmp_path: Path, hospitals: dict[str, Path], attacked: dict[str, Attack], attack: Attack
) -> None:
    attacked["every"] = attack
    history, _ = executed(tmp_path / "run", hospitals, "federation.exclude_after=100")
    assert history.finished is not None
    assert history.finished.status == "completed"
    phases = {"statistics", "baseline", "training", "validation", "threshold", "site-test"}
    assert {failure.phase for failure in history.failures} == phases | {"site-probe"}
    assert {(failure.site, failure.code) for failure in history.failures} == {(HOSTILE, "wire")}
    for of_round in history.rounds.values():
        assert {*of_round.replies} == {*HONEST}
    assert len(history.training) == 3


def owns_the_model(header: dict[str, Any], payload: bytes) -> Packed:
    """Ten million cases, and every parameter moved by the largest float32 there is."""
    header["fields"]["n_cases"] = 10**7
    table, start, content = header["arrays"], 0, bytearray(payload)
    for _, name, dtype, shape in table:
        size = int(np.prod(shape)) * (8 if dtype == "int64" else 4)
        measured = name.endswith((".running_mean", ".running_var"))
        if dtype == "float32":
            value = 1e17 if measured else np.finfo(np.float32).max
            content[start : start + size] = np.full(shape, value, "<f4").tobytes()
        start += size
    return Packed(json.dumps(header), bytes(content))


def declares_too_much(header: dict[str, Any], payload: bytes) -> Packed:
    header["fields"] |= {"n_cases": 10**7, "n_trainable": 10**7}
    return Packed(json.dumps(header), payload)


def test_a_site_that_claims_the_model_is_bounded_named_and_the_run_can_be_resumed(
    tmp_path: Path, hospitals: dict[str, Path], attacked: dict[str, Attack]
) -> None:
    honest, state_without = executed(
        tmp_path / "honest", {name: hospitals[name] for name in HONEST}, "federation.quorum=3"
    )
    assert honest.limited == []
    attacked["SiteUpdate"] = owns_the_model
    history, state = executed(tmp_path / "whole", hospitals)
    assert history.finished is not None
    assert history.finished.status == "completed"
    assert history.failures == []  # it is bounded, not refused
    assert {one.site for one in history.limited} == {HOSTILE}
    assert {(one.limit, one.kind) for one in history.limited} == {
        ("cases", ""),
        ("length", "change"),
        ("length", "running means"),
        ("length", "running variances"),
    }
    declared = state.declared[HOSTILE].n_cases
    assert {o.allowed for o in history.limited if o.limit == "cases"} == {declared}
    # a mean of four with one ten times as long as the others: the network stays one
    for name, array in state.parameters.items():
        if not name.endswith("num_batches_tracked"):
            assert np.abs(array).max() < 100 * max(1, np.abs(state_without.parameters[name]).max())
    losses = [r.fact("loss") for of in history.training for r in of.replies.values()]
    assert all(loss is not None and loss < 10 for loss in losses)

    # statistics, baseline, judged before training, two a round: killed between the rounds
    cut, resumed = executed(tmp_path / "cut", hospitals, kill_at_checkpoint=5)
    assert cut.n_resumed == 1
    assert resumed.update_norms == state.update_norms
    assert len(state.update_norms["change"]) == 3
    for name, array in state.parameters.items():
        assert array.tobytes() == resumed.parameters[name].tobytes(), name
    assert [o.in_words for o in cut.limited] == [o.in_words for o in history.limited]


def test_a_site_that_declares_ten_million_cases_is_half_of_the_mean_at_most(
    tmp_path: Path, hospitals: dict[str, Path], attacked: dict[str, Attack]
) -> None:
    attacked["SiteStatistics"] = declares_too_much
    attacked["SiteUpdate"] = owns_the_model
    history, _ = executed(tmp_path / "run", hospitals, "federation.rounds=1")
    shares = [one for one in history.limited if one.limit == "share"]
    assert [one.site for one in shares] == [HOSTILE]
    assert shares[0].found > 0.9999
    assert shares[0].allowed == pytest.approx(0.5)
    assert "cases" not in {one.limit for one in history.limited}  # as many as it declared
    assert history.finished is not None
    assert history.finished.status == "completed"
