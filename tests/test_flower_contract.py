"""What LesionFed relies on in Flower beside its public API, item by item.

Each item is a sentence that a new version of Flower may make false, with the file of ours that
needs it. After an upgrade the failures of this file say what to look at; the pin is FLOWER in
common/programs.py, next to the one in pyproject.toml.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import re
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import typer.main
from click import Group
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client.flower.clientapp import PARTS as CLIENTAPP_PARTS
from client.flower.launch import OURS, REFUSED
from client.flower.node_log import EVENT_TEXTS, EXIT_CODE
from client.flower.supernode_process import node_parts
from common.membership.node_key import public_line
from common.preflight import network, node_key
from common.programs import FLOWER, LOOPBACK, PROGRAMS, QUIET, free_port, require_flower
from server.flower.flower_nodes import UNREGISTERED, _nodes
from server.flower.submission import bundle_folder

ROOT = Path(__file__).parents[1]
PUBLIC = ("flwr.app", "flwr.clientapp", "flwr.serverapp")
HELP_S = 120.0

# Flower's own, as its commands and its database are imported into this process
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

INTERNALS = {
    # module: (names we take from it, files of ours that take them)
    "flwr.common.constant": ("ErrorCode SUPERLINK_NODE_ID", "server/inline server/rounds"),
    "flwr.proto.fleet_pb2": ("ActivateNodeRequest", "common/preflight/node_key"),
    "flwr.proto.node_pb2": ("NodeInfo", "server/inline server/rounds"),
    "flwr.supercore.cli": (
        "flower_superexec",
        "client/flower/superexec_process server/flower/superexec_process",
    ),
    "flwr.supercore.superexec.executor": (
        "subprocess_executor",
        "client/flower/superexec_process server/flower/superexec_process",
    ),
    "flwr.supercore.error": ("FlowerError", "common/preflight/node_key"),
    "flwr.supercore.primitives.asymmetric": ("public_key_to_bytes", "common/preflight/node_key"),
    "flwr.supercore.run": ("Run", "server/inline"),
    "flwr.supercore.task_identity": ("TaskIdentity", "server/inline"),
    "flwr.supernode": (
        "fleet_http_connection start_client_internal",
        "client/flower/supernode_process",
    ),
    "flwr.supernode.cli.flower_supernode": (
        "flower_supernode",
        "client/flower/supernode_process",
    ),
    "flwr.supernode.cli.flwr_clientapp": ("flwr_clientapp", "client/flower/clientapp"),
    "flwr.supernode.fleet_http_client": (
        "FleetHttpClient",
        "common/preflight/plain_fleet_client",
    ),
    "flwr.supercore.protobuf.client": (
        "ProtobufClientInterceptor",
        "common/preflight/plain_fleet_client",
    ),
    "flwr.supercore.retry": ("RetryInvoker", "common/preflight/plain_fleet_client"),
    "flwr.supernode.node_auth_http_interceptor": (
        "NodeAuthHttpInterceptor",
        "common/preflight/node_key",
    ),
    "flwr.supernode.runtime": ("run_clientapp", "client/flower/clientapp"),
}
"""Every import of ours that is not of Flower's public API."""


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_the_version_that_is_installed_is_the_one_that_is_required() -> None:
    require_flower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"flwr=={FLOWER}.*" in project["dependencies"]


# imports


def internal_imports() -> Iterator[tuple[str, str, str]]:
    """(module, name, file of ours without its ending) of each import of Flower's internals."""
    for room in ("client", "common", "server"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    names = [(alias.name, "*") for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [(str(node.module), alias.name) for alias in node.names]
                else:
                    continue
                for imported, name in names:
                    if imported.split(".")[0] == "flwr" and imported not in PUBLIC:
                        yield imported, name, path.relative_to(ROOT).with_suffix("").as_posix()


def test_internals_are_imported_only_as_this_contract_says() -> None:
    names: dict[str, set[str]] = {}
    for imported, name, file in internal_imports():
        assert imported in INTERNALS, f"{file} imports {imported}: name it in INTERNALS"
        files = INTERNALS[imported][1].split()
        assert file.startswith(tuple(files)), f"{file} imports {imported}: want one of {files}"
        names.setdefault(imported, set()).add(name)
    assert names == {name: set(of.split()) for name, (of, _) in INTERNALS.items()}


@pytest.mark.parametrize(
    ("of", "name"), [(of, name) for of, (names, _) in INTERNALS.items() for name in names.split()]
)
def test_flower_has_what_is_imported(of: str, name: str) -> None:
    assert hasattr(module(of), name)


# parts that are replaced, and how Flower calls them


@pytest.mark.parametrize(
    ("of", "name", "call"),
    [
        pytest.param(
            "flwr.supernode.runtime.run_clientapp",
            "install_from_fab",
            "install_from_fab(fab.content, skip_prompt=True)",
            id="the ClientApp's process installs a bundle by this call only",
        ),
        pytest.param(
            "flwr.supernode.runtime.run_clientapp",
            "get_load_client_app_fn",
            "load_client_app_fn( run.fab_id, run.fab_version, fab.hash_str )",
            id="the ClientApp is loaded by the function that this one returns",
        ),
        pytest.param(
            "flwr.supernode.runtime.run_clientapp",
            "Error",
            "Message(Error(code=e_code, reason=reason), reply_to=message)",
            id="an exception becomes a reply by this call",
        ),
        pytest.param(
            "flwr.supernode.start_client_internal",
            "get_fused_config_from_fab",
            "get_fused_config_from_fab(fab.content, run_info)",
            id="the node reads a bundle's run settings by this call",
        ),
        pytest.param(
            "flwr.supernode.start_client_internal",
            "_push_messages",
            "_push_messages( state=state, object_store=store, send=send, push_object=push_object,",
            id="the node sends replies by this call, with keywords",
        ),
        pytest.param(
            "flwr.supernode.fleet_http_connection",
            "FleetHttpClient",
            "with FleetHttpClient.from_server_address(",
            id="the node makes its HTTP client by this call",
        ),
    ],
)
def test_a_replaced_part_is_called_as_ours_expects(of: str, name: str, call: str) -> None:
    assert hasattr(module(of), name)
    source = re.sub(r"\s+", " ", inspect.getsource(module(of)))
    assert call in source
    calls = re.findall(rf"(?<!def )\b{name}(?:\.from_server_address)?\(", source)
    assert len(calls) == 1


def test_every_part_that_we_replace_is_in_this_contract() -> None:
    assert set(CLIENTAPP_PARTS) == {"install_from_fab", "get_load_client_app_fn", "Error"}
    assert set(node_parts()) == {"get_fused_config_from_fab", "_push_messages"}


def test_an_exceptions_class_and_text_stand_in_the_reason_as_our_error_reads_them() -> None:
    from client.flower.clientapp import SENT

    source = inspect.getsource(module("flwr.supernode.runtime.run_clientapp"))
    assert """reason = str(type(ex)) + ":<'" + str(ex) + "'>\"""" in source
    error = ValueError("code-1")
    assert SENT.fullmatch(str(type(error)) + ":<'" + str(error) + "'>")


def test_the_nodes_state_keeps_messages_in_order_behind_its_lock() -> None:
    from flwr.supercore.object_store import ObjectStoreFactory
    from flwr.supernode.nodestate import NodeStateFactory

    state: Any = NodeStateFactory(ObjectStoreFactory()).state()
    assert isinstance(state.lock_msg_store, type(threading.RLock()) | type(threading.Lock()))
    assert isinstance(state.msg_store, dict)


def test_the_superexec_starts_a_program_with_its_token_by_popen_alone() -> None:
    source = inspect.getsource(module("flwr.supercore.superexec.executor.subprocess_executor"))
    assert '"--token",\n            spec.token,' in source
    assert set(re.findall(r"subprocess\.(\w+)", source)) == {"Popen", "DEVNULL"}


# texts of logs and answers


@pytest.mark.parametrize("text", EVENT_TEXTS)
def test_the_node_logs_what_its_log_is_read_for(text: str) -> None:
    of = {
        "Connection attempt failed, retrying": "flwr.supercore.retry.http_retry",
        "Connection successful after": "flwr.supercore.retry.http_retry",
        "Failed to activate SuperNode": "flwr.supercore.error.catalog",
    }
    source = module(of.get(text, "flwr.supernode.start_client_internal"))
    assert f'"{text}' in inspect.getsource(source)


def test_an_exit_code_is_written_as_the_log_is_read_and_a_refused_node_has_one() -> None:
    source = inspect.getsource(module("flwr.supercore.exit.exit"))
    assert 'f"Exit Code: {code}\\n"' in source
    codes = module("flwr.supercore.exit").ExitCode
    assert EXIT_CODE.search(f"Exit Code: {codes.SUPERNODE_CONNECTION_ERROR}\n")


@pytest.mark.parametrize(
    ("of", "text"),
    [
        pytest.param("flwr.cli.run.run", '"run-id": f"{', id="`flwr run` answers run-id"),
        pytest.param("flwr.cli.ls", '"runs": runs_list', id="`flwr ls` answers a list runs"),
        pytest.param("flwr.cli.ls", '"status": row.status_text', id="each with its status"),
        pytest.param("flwr.cli.run.run", '"success":', id="`flwr run` says success"),
        pytest.param("flwr.cli.ls", '"success": True', id="`flwr ls` says success"),
        pytest.param("flwr.cli.stop", '"success": True', id="`flwr stop` says success"),
        pytest.param(
            "flwr.cli.supernode.register", '"success": True', id="so does `flwr supernode register`"
        ),
        pytest.param("flwr.cli.supernode.unregister", '"success": True', id="and `... unregister`"),
        pytest.param("flwr.supercore.logger", '"error-message":', id="a refusal has its reason"),
        pytest.param(
            "flwr.supercore.routers.health.router", '"/health"', id="the SuperLink answers /health"
        ),
    ],
)
def test_flower_answers_in_the_words_that_we_read(of: str, text: str) -> None:
    assert text in inspect.getsource(module(of))


def test_a_run_that_has_ended_is_called_finished() -> None:
    assert module("flwr.common.constant").Status.FINISHED == "finished"


def test_a_bundle_has_the_members_that_the_guard_lets_in() -> None:
    from flwr.cli.build import build_fab_from_disk

    from client.flower.guard import inspect_bundle

    inspect_bundle(build_fab_from_disk(bundle_folder()))


# constants


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        ("flwr.common.constant", "SYSTEM_TIME_TOLERANCE", network.AHEAD_S),
        ("flwr.common.constant", "TIMESTAMP_TOLERANCE", 300),
        (
            "flwr.supercore.error",
            "ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL",
            node_key.ACCEPTED,
        ),
        (
            "flwr.supercore.error",
            "ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED",
            node_key.NOT_REGISTERED,
        ),
        ("flwr.supercore.constant", "NodeStatus.UNREGISTERED", UNREGISTERED),
    ],
)
def test_a_constant_that_we_repeat_is_still_flowers(of: str, name: str, value: object) -> None:
    found: Any = module(of)
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value


def test_a_heartbeat_of_no_interval_is_refused_after_the_key_was_looked_up() -> None:
    handlers = module("flwr.superlink.servicer.fleet.fleet_handlers")
    source = inspect.getsource(handlers.activate_node)
    order = ["get_node_id_by_public_key", "_validate_heartbeat_interval", "state.activate_node"]
    places = [source.index(call) for call in order]
    assert places == sorted(places)


def test_a_site_knows_every_program_that_flower_may_start_for_a_task() -> None:
    commands = module("flwr.supercore.constant").TASK_TYPE_TO_COMMAND.values()
    assert set(commands) == {OURS, *REFUSED}


def test_the_grids_errors_of_the_network_are_httpx_errors() -> None:
    from flwr.proto.runtime_pb2 import GetNodesRequest
    from flwr.supercore.runtime import RuntimeHttpClient

    assert "RuntimeHttpClient" in vars(module("flwr.superlink.grid.http_grid"))
    nobody = f"{LOOPBACK}:{free_port()}"
    client = RuntimeHttpClient.from_server_address(
        server_address=nobody, insecure=True, root_certificates=None, interceptors=[]
    )
    with client, pytest.raises(httpx.HTTPError):
        client.GetNodes(GetNodesRequest())


# environment and command lines


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("FLWR_TELEMETRY_ENABLED", "flwr.supercore.telemetry"),
        ("FLWR_DISABLE_UPDATE_CHECK", "flwr.supercore.constant"),
        ("FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION", "flwr.common.constant"),
        ("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", "flwr.supercore.superexec.run_superexec"),
        ("FLWR_HOME", "flwr.common.constant"),
    ],
)
def test_flower_heeds_the_variable(name: str, of: str) -> None:
    assert f'"{name}"' in inspect.getsource(module(of))


def test_every_variable_of_flowers_that_we_set_is_in_this_contract() -> None:
    assert {name for name in QUIET if name.startswith("FLWR_")} | {"FLWR_HOME"} == {
        "FLWR_TELEMETRY_ENABLED",
        "FLWR_DISABLE_UPDATE_CHECK",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL",
        "FLWR_HOME",
    }


OPTIONS = {
    "flower-superlink": (
        "--host --port --ssl-ca-certfile --ssl-certfile --ssl-keyfile "
        "--superexec-auth-secret-file --isolation --database --health-server-address "
        "--enable-supernode-auth --disable-runtime-dependency-installation"
    ),
    "flower-superexec": (
        "--runtime-api-address --root-certificates --superexec-auth-secret-file "
        "--health-server-address"
    ),
    "flower-supernode": (
        "--superlink --root-certificates --auth-supernode-private-key --node-config --host "
        "--port --health-server-address"
    ),
    "flwr-clientapp": "--runtime-api-address --token --token-file --parent-pid",
    "flwr-serverapp": "--runtime-api-address --token-file --parent-pid",
}


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Program -> what its --help prints; all are started at once."""
    started = {
        name: subprocess.Popen(
            [PROGRAMS / name, "--help"],
            env={**QUIET, "PATH": str(PROGRAMS)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in OPTIONS
    }
    return {name: process.communicate(timeout=HELP_S)[0] for name, process in started.items()}


@pytest.mark.parametrize("program", OPTIONS)
def test_a_program_of_flowers_has_the_options_that_we_give_it(
    program: str, helps: dict[str, str]
) -> None:
    offered = set(re.findall(r"--[a-z-]+", helps[program]))
    assert set(OPTIONS[program].split()) <= offered


def test_our_command_lines_use_no_other_options(tmp_path: Path) -> None:
    from client.flower.launch import supernode_command
    from client.site.site_folder import SiteFolder
    from server.flower.programs import superexec_command, superlink_command
    from tests.server.federation.made_federation import made_federation

    folder = made_federation(tmp_path / "f")
    commands = {
        "flower-superlink": superlink_command(folder),
        "flower-superexec": superexec_command(folder, health_port=1),
        "flower-supernode": supernode_command(SiteFolder(tmp_path), superlink="a:1", health_port=1),
    }
    for program, command in commands.items():
        used = {word for word in command if word.startswith("--")}
        assert used == set(OPTIONS[program].split()), program


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("run", "--run-config --format"),
        ("ls", "--run-id --format"),
        ("stop", "--format"),
        ("log", "--show"),
        ("supernode register", "--name --format"),
        ("supernode unregister", "--format"),
    ],
)
def test_flwr_has_the_command_and_its_options(command: str, wanted: str) -> None:
    found: Any = typer.main.get_command(module("flwr.cli.app").app)
    for word in command.split():
        assert isinstance(found, Group)
        found = found.commands[word]
    offered = {
        option
        for parameter in found.params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    assert set(wanted.split()) <= offered


# the SuperLink's database


def test_the_database_tells_each_key_its_node_and_whether_it_was_unregistered(
    tmp_path: Path,
) -> None:
    from flwr.server.superlink.linkstate import LinkStateFactory
    from flwr.supercore.object_store import ObjectStoreFactory
    from flwr.superlink.federation import NoOpFederationManager

    database = tmp_path / "state.db"
    factory = LinkStateFactory(str(database), NoOpFederationManager(), ObjectStoreFactory())
    state = factory.state()
    keys = [ec.generate_private_key(ec.SECP384R1()).public_key() for _ in range(8)]
    pems = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys]
    ids = [state.create_node("owner", "name", pem, 10.0) for pem in pems]
    state.delete_node("owner", ids[0])
    found = _nodes(database)
    # ids of 64 bits: of eight, all lie below 2**63 once in 256 times only
    assert {key: node.id for key, node in found.items()} == {
        public_line(key): node_id for key, node_id in zip(keys, ids, strict=True)
    }
    statuses = [found[public_line(key)].status for key in keys]
    assert statuses == [UNREGISTERED, *["registered"] * 7]
    with pytest.raises(ValueError, match=r"(?i)public key already in use"):
        state.create_node("owner", "name", pems[0], 10.0)  # it takes no key twice


# the inline engine


def test_a_message_can_be_given_its_id_and_a_run_be_made_empty() -> None:
    from flwr.app import Message, RecordDict
    from flwr.supercore.run import Run
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    message = Message(RecordDict(), 2, "query.lesionfed")
    message.metadata.__dict__["_message_id"] = "an id"
    assert message.metadata.message_id == "an id"
    assert Run.create_empty(run_id=1).run_id == 1


def test_the_codes_of_flowers_own_errors_are_the_ones_with_advice() -> None:
    from server.events.failure_advice import ADVICE

    codes = {
        value
        for name, value in vars(module("flwr.common.constant").ErrorCode).items()
        if name.isupper()
    }
    advised = {int(code.removeprefix("flower-")) for code in ADVICE if code.startswith("flower-")}
    assert advised == codes
