"""How much travels in a round, and how long that takes from here."""

from __future__ import annotations

import os

from common.preflight.check import CheckResult, not_checked, passed, problem, warning
from common.preflight.coordinator import Coordinator, duration, reason
from common.recipe.recipe import Recipe

BANDWIDTH = "bandwidth"

SAMPLE_BYTES = 1_000_000
PATH = "/v1/fleet/pull-messages"
MEDIA_TYPE = "application/protobuf"
"""The SuperLink reads a body of this type whole, then answers 401 for want of a signature."""
REFUSED_AFTER_READING = (400, 401)
TOO_LARGE = 413
TIMEOUT_S = 60.0
SHARE_OF_DEADLINE = 0.25
"""Of a round's deadline; what is left is for training."""


def update_size_bytes(recipe: Recipe) -> int:
    """Bytes of the recipe's network as it travels: every parameter and buffer at its own width.

    Three times as many where the optimizer's state, two values a parameter, travels along, twice as
    many where control variates do. The site head, some thousand values a site, is left out.
    """
    from common.learning.model import new_network  # torch takes seconds

    state = new_network(recipe).state_dict()
    size_bytes: int = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if recipe.federation.drift == "scaffold":
        return 2 * size_bytes
    return 3 * size_bytes if recipe.optimizer.state == "averaged" else size_bytes


def bandwidth(
    coordinator: Coordinator,
    *,
    update_bytes: int | None = None,
    round_deadline_s: float | None = None,
) -> CheckResult:
    """Seconds a round, from the time of one upload of 1 MB that the server reads and refuses.

    update_bytes       of one model, which goes down and up once a round; None: the rate alone
    round_deadline_s   a warning where the traffic takes more than a quarter of it

    Only the upload is measured: the server sends nothing large to who has not signed. The download
    is assumed as fast; it is seldom slower.
    """
    try:
        short = [_upload(coordinator, 0) for _ in range(2)]
        long = _upload(coordinator, SAMPLE_BYTES)
    except TimeoutError:
        return problem(
            BANDWIDTH,
            f"1 MB was not sent within {TIMEOUT_S:.0f} s",
            "Ask your network's administrators for a better line to the coordinator.",
        )
    except OSError as error:
        return not_checked(BANDWIDTH, f"the upload broke off: {reason(error)}")
    if long[0] == TOO_LARGE:
        return problem(
            BANDWIDTH,
            "the proxy refuses a body of 1 MB (413)",
            "The coordinator raises the limit on a body in whatever stands before the proxy.",
        )
    if any(status not in REFUSED_AFTER_READING for status, _ in (*short, long)):
        return not_checked(
            BANDWIDTH, f"the server answers {long[0]}: nothing there reads an upload"
        )
    latency_s = min(took_s for _, took_s in short)
    rate = SAMPLE_BYTES / max(long[1] - latency_s, 1e-3)
    return judge_rate(rate, latency_s, update_bytes=update_bytes, round_deadline_s=round_deadline_s)


def judge_rate(
    rate: float, latency_s: float, *, update_bytes: int | None, round_deadline_s: float | None
) -> CheckResult:
    """The check's result.

    rate        bytes a second, up
    latency_s   of one small request on a new connection
    """
    found = f"{8e-6 * rate:.1f} Mbit/s up, {1000 * latency_s:.0f} ms a request"
    if update_bytes is None:
        return passed(BANDWIDTH, f"{found}; with --recipe, the time of a round too")
    round_s = 2 * update_bytes / rate + 2 * latency_s
    found = (
        f"{found}; about {duration(round_s)} a round for {update_bytes / 1e6:.1f} MB each way ("
        "assuming the way down as fast as the way up)"
    )
    if round_deadline_s is not None and round_s > SHARE_OF_DEADLINE * round_deadline_s:
        return warning(
            BANDWIDTH,
            f"{found}, of a deadline of {duration(round_deadline_s)}",
            "Use a faster line, or ask the coordinator for a longer federation.round_deadline_s.",
        )
    return passed(BANDWIDTH, found)


def _upload(coordinator: Coordinator, n_bytes: int) -> tuple[int, float]:
    """HTTP status, and seconds from connecting to the answer."""
    answer = coordinator.answer(
        "POST", PATH, body=unknown_field(n_bytes), content_type=MEDIA_TYPE, timeout_s=TIMEOUT_S
    )
    return answer.status, answer.took_s


def unknown_field(n_bytes: int) -> bytes:
    """A well-formed protobuf message of one field that no message of Flower's has: number 1000.

    n_bytes   of random content, which nothing on the way can compress
    """
    return _varint(1000 << 3 | 2) + _varint(n_bytes) + os.urandom(n_bytes)


def _varint(number: int) -> bytes:
    """Protobuf's own way with integers: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
