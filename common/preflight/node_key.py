"""Whether the coordinator's server knows this site's key."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from common.errors import ConfigError
from common.membership.node_key import read_node_key
from common.preflight.check import CheckResult, not_checked, passed, problem
from common.preflight.coordinator import Coordinator

NODE_KEY = "node key"

NO_INTERVAL = 0.0
"""Seconds between heartbeats; Flower wants 10 or more."""
ACCEPTED = 2003
NOT_REGISTERED = 2004
"""Of flwr.supercore.error.ApiErrorCode: FLEET_INVALID_HEARTBEAT_INTERVAL and
FLEET_NODE_ACTIVATION_FAILED."""
UNAUTHORIZED = 401
FORBIDDEN = 403
GATEWAY = (502, 503, 504)


def node_key_accepted(coordinator: Coordinator, key_file: Path) -> CheckResult:
    """Passed where the server knows the key and accepts its signature.

    One signed call as the SuperNode makes it, to activate the node with a heartbeat that is never
    allowed. Flower 1.41 checks the signature, then looks the key up, then refuses the heartbeat
    (fleet_handlers.activate_node) and changes nothing: a SuperNode that runs with the same key goes
    on undisturbed.
    """
    try:
        key = read_node_key(key_file)
    except (ConfigError, OSError) as error:
        return problem(NODE_KEY, str(error), "Put the key back from its backup, or enrol again.")
    status, code = _activated(coordinator, key)
    if code == ACCEPTED:
        return passed(NODE_KEY, "registered, and its signature is accepted")
    if code == NOT_REGISTERED:
        return problem(
            NODE_KEY,
            "the server does not know this key: not enrolled yet, suspended or removed",
            "Ask the coordinator: lesionfed sites list.",
        )
    if status == UNAUTHORIZED:
        return problem(
            NODE_KEY,
            "the server does not take this key's signature",
            "Set this machine's clock; then ask the coordinator which key is enrolled.",
        )
    if status == FORBIDDEN:
        return problem(
            NODE_KEY,
            "the proxy lets nothing through to /v1/fleet/",
            "The coordinator uses the nginx.conf that `lesionfed provision` writes.",
        )
    if status in GATEWAY:
        return problem(
            NODE_KEY,
            f"the proxy answers {status}: the SuperLink behind it does not run",
            "The coordinator starts it: lesionfed serve.",
        )
    return not_checked(NODE_KEY, f"no answer that says so (HTTP {status}, code {code})")


def _activated(
    coordinator: Coordinator, key: ec.EllipticCurvePrivateKey
) -> tuple[int | None, int | None]:
    """HTTP status and Flower's code of the refusal; None where there is none."""
    import httpx
    from flwr.proto.fleet_pb2 import ActivateNodeRequest
    from flwr.supercore.error import FlowerError
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

    from common.preflight.plain_fleet_client import PlainFleetClient

    public_key = key.public_key()
    request = ActivateNodeRequest(
        public_key=public_key_to_bytes(public_key), heartbeat_interval=NO_INTERVAL
    )
    try:
        with PlainFleetClient(
            f"https://{coordinator.shown}",
            interceptors=[NodeAuthHttpInterceptor(key, public_key)],
            verify=coordinator.trust(),
        ) as client:
            client.ActivateNode(request)
    except httpx.HTTPStatusError as error:
        flower = FlowerError.from_json(error.response.text)
        return error.response.status_code, None if flower is None else int(flower.code)
    except (httpx.HTTPError, OSError, ValueError):
        return None, None
    return None, None
