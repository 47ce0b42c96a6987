"""Ends with 0 where grpc.health.v1 at HOST:PORT answers SERVING, else with 1: for HEALTHCHECK.

python health.py 127.0.0.1:18099
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import grpc  # type: ignore[import-untyped] # it ships no types
from grpc_health.v1.health_pb2 import (  # type: ignore[import-untyped] # as above
    HealthCheckRequest,
    HealthCheckResponse,
)
from grpc_health.v1.health_pb2_grpc import (  # type: ignore[import-untyped] # as above
    HealthStub,
)

TIMEOUT_S = 10.0


def main(argv: Sequence[str]) -> int:
    """0 serving, 1 not, 2 misused."""
    if len(argv) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    direct = [("grpc.enable_http_proxy", 0)]
    try:
        with grpc.insecure_channel(argv[0], options=direct) as channel:
            answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        sys.stderr.write(f"{argv[0]} does not answer: {error.code().name.lower()}\n")
        return 1
    status = HealthCheckResponse.ServingStatus.Name(answer.status)
    sys.stdout.write(f"{argv[0]}: {status}\n")
    return 0 if answer.status == HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
