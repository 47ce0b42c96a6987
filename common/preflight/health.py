"""Whether a Flower process on this machine says that it serves."""

from __future__ import annotations

from common.preflight.check import CheckResult, passed, problem

TIMEOUT_S = 5.0


def grpc_health(process: str, *, port: int, fix: str) -> CheckResult:
    """Passed where `grpc.health.v1` on loopback answers SERVING.

    process   SuperLink or SuperNode
    fix       what to do where it does not
    """
    import grpc  # type: ignore[import-untyped] # it ships no types
    from grpc_health.v1.health_pb2 import (  # type: ignore[import-untyped] # it ships no types
        HealthCheckRequest,
        HealthCheckResponse,
    )
    from grpc_health.v1.health_pb2_grpc import (  # type: ignore[import-untyped] # as above
        HealthStub,
    )

    name = f"{process}'s health"
    address = f"127.0.0.1:{port}"
    direct = [("grpc.enable_http_proxy", 0)]
    try:
        with grpc.insecure_channel(address, options=direct) as channel:
            answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return problem(name, f"{address} does not answer ({error.code().name.lower()})", fix)
    status = HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != HealthCheckResponse.SERVING:
        return problem(name, f"{address} answers {status}", fix)
    return passed(name, f"{address} answers {status}")
