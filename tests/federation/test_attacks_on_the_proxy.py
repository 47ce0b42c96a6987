"""An honest run while strangers and one enrolled site attack: real nginx, SuperLink, SuperNodes.

Strangers open 2,000 connections with half a header each, hold what they can, and send bodies of
200 MB without a key. The enrolled site sends another site a request in the coordinator's place.
Everything ends with the run, and by itself after ATTACK_S seconds.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Message
from flwr.app.message.message import remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from client.site.site_folder import SiteFolder
from common.code_digest import code_digest
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import Kit
from common.membership.node_key import public_key_of, read_node_key
from common.membership.requests_key import public_half, read_requests_key
from common.recipe.recipe import load_recipe
from common.wire.codec import Packed, pack
from common.wire.flower_record import to_record
from common.wire.messages import Assignment, StatisticsRequest
from server.flower.flower_nodes import _nodes
from server.flower.submission import submissions
from server.rounds.sealer import Sealer
from tests.federation import attackers
from tests.federation.attackers import N_HALF_HEADERS
from tests.federation.processes import wait_beside
from tests.federation.served import LESIONFED, ServedFederation, served
from tests.federation.test_serve_and_run import events_of, recipe_file, rounds_finished

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
pytestmark = [
    pytest.mark.federation,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

log = logging.getLogger(__name__)

VICTIM, FORGER = SITES = ("site-a", "site-b")
ATTACK_S = 600
RUN_S = 400.0
SITE = "import sys; from client.cli import main; sys.exit(main())"


class ProxiedFederation(ServedFederation):
    """As the two sides start it: nginx in front, `lesionfed-site run` at each site."""

    SERVE = (*LESIONFED, "serve", "--with-proxy")

    def start_sites(self) -> None:
        for name in self.sites:
            folder = self.site(name)
            folder.kit_file.parent.mkdir()
            folder.authority_file.write_bytes(self.folder.authority_file.read_bytes())
            folder.kit_file.write_text(self.kit(name).canonical_json(), "utf-8")
            command = [sys.executable, "-c", SITE, "run", "--folder", str(folder.path)]
            service = self._service(name, command, home=folder.flwr_home)
            wait_beside(
                [service],
                lambda log=service.log: "connected" in log.read_text("utf-8"),  # type: ignore[misc]
                name,
                limit_s=120,
            )

    def site(self, name: str) -> SiteFolder:
        return SiteFolder(self.base / "sites" / name)

    def kit(self, name: str) -> Kit:
        settings = self.folder.settings()
        return Kit(
            federation=settings.name,
            site=name,
            role="train",
            public_key=public_key_of(self.site(name).key_file),
            address=settings.address,
            port=settings.port,
            authority_fingerprint=certificate_fingerprint(self.folder.authority_file.read_bytes()),
            requests_key=public_half(read_requests_key(self.folder.requests_key_file)),
            lesionfed_version="0.1.0",
            code_digest=code_digest(),
            issued="2026-01-01T00:00:00+00:00",
        )

    def superlink_mb(self) -> float:
        """The most memory that the SuperLink has had, in MB."""
        [pid, *_] = [
            place.parent
            for place in Path("/proc").glob("[0-9]*/cmdline")
            if f"{self.folder.database_file.resolve()}".encode() in place.read_bytes()
        ]
        line = next(
            line for line in (pid / "status").read_text().splitlines() if line.startswith("VmHWM:")
        )
        return int(line.split()[1]) / 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """What the run and the attacks left behind.

    grown_mb      the SuperLink's most memory after, less that of before
    half_headers  connections made ("opened"), refused, and the most that were held at once
    bodies        kind of body and status of the answer -> how often
    programs      words of the command lines of Flower's processes that were seen
    tokens        command lines on which one stood
    """

    run: subprocess.CompletedProcess[str]
    events: list[dict[str, object]]
    grown_mb: float
    half_headers: dict[str, int]
    bodies: dict[str, int]
    programs: set[str]
    tokens: set[str]
    victims_log: str


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    base = tmp_path_factory.mktemp("attacked")
    with served(base, SITES, made=ProxiedFederation) as federation:
        assert isinstance(federation, ProxiedFederation)
        port, authority = str(federation.folder.settings().port), federation.folder.authority_file
        before_mb = federation.superlink_mb()
        attacks = [
            attack(kind, base / kind, port, authority) for kind in ("half-headers", "large-bodies")
        ]
        watch = Watch(base)
        try:
            started = federation.lesionfed(
                "run", "--recipe", recipe_file(federation), "--name", "first", "--detach"
            )
            assert started.returncode == 0, started.stderr
            run = federation.folder.run("first")
            server = federation.services[:1]
            wait_beside(
                server,
                lambda: ("statistics", 1) in rounds_finished(run),
                "the first round",
                limit_s=RUN_S,
            )
            forge(federation, run_id=int(submissions(run)[-1].flower_run_id))
            wait_beside(
                server,
                lambda: events_of(run)[-1]["event"] == "run-finished",
                "the end of the run",
                limit_s=RUN_S,
            )
            grown_mb = federation.superlink_mb() - before_mb
        finally:
            watch.end()
            for process in attacks:
                process.kill()
                process.wait()
        yield Aftermath(
            run=started,
            events=events_of(run),
            grown_mb=grown_mb,
            half_headers=last_line(base / "half-headers"),
            bodies=last_line(base / "large-bodies"),
            programs=watch.programs,
            tokens=watch.tokens,
            victims_log=(federation.site(VICTIM).logs / "supernode.log").read_text("utf-8"),
        )


class Watch:
    """What any user of this machine reads of a federation's processes: their command lines."""

    def __init__(self, base: Path) -> None:
        self.programs: set[str] = set()
        self.tokens: set[str] = set()
        self._home = str(base).encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for place in Path("/proc").glob("[0-9]*"):
                try:
                    words = (place / "cmdline").read_bytes().split(b"\0")
                    if b"--runtime-api-address" not in words:
                        continue
                    if self._home not in (place / "environ").read_bytes():
                        continue
                except OSError:  # it has just ended
                    continue
                self.programs |= {
                    word.decode("utf-8", "replace").rpartition("/")[2] for word in words
                }
                if b"--token" in words:
                    self.tokens.add(b" ".join(words).decode())


def attack(kind: str, log: Path, port: str, authority: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, attackers.__file__, kind, port, str(ATTACK_S), str(authority)],
            stdout=sink,
            stderr=sink,
        )


def last_line(log: Path) -> dict[str, int]:
    """What an attacker had done when it was ended."""
    lines = [line for line in log.read_text("utf-8").splitlines(keepends=True) if line[-1] == "\n"]
    found: dict[str, int] = json.loads(lines[-1])
    return found


def forge(federation: ProxiedFederation, *, run_id: int) -> None:
    """The forger's node sends the victim's a request as if it were the coordinator's."""
    own = read_node_key(federation.site(FORGER).key_file)
    nodes = {key: node.id for key, node in _nodes(federation.folder.database_file).items()}
    victim = nodes[public_key_of(federation.site(VICTIM).key_file)]
    sender = Node(node_id=nodes[public_key_of(federation.site(FORGER).key_file)])
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run_id, SUPERLINK_NODE_ID, 1
    message = Message(to_record(forged_request()), victim, "query.lesionfed", ttl=300.0)
    message.metadata.__dict__["_message_id"] = message.object_id
    tree, objects = get_object_tree(message), get_all_nested_objects(message)
    settings = federation.folder.settings()
    with FleetHttpClient(
        f"https://{settings.address}:{settings.port}",
        interceptors=[NodeAuthHttpInterceptor(own, own.public_key())],
        verify=ssl.create_default_context(cafile=federation.folder.authority_file),
    ) as client:
        bare = remove_content_from_message(message)
        answer = client.PushMessages(
            PushMessagesRequest(
                node=sender, messages_list=[message_to_proto(bare)], message_object_trees=[tree]
            )
        )
        assert answer.objects_to_push, "the SuperLink did not take the forged request"
        for object_id in answer.objects_to_push:
            client.PushObject(
                PushObjectRequest(
                    node=sender,
                    run_id=run_id,
                    session_id=answer.session_id,
                    object_id=object_id,
                    object_content=objects[object_id].deflate(),
                )
            )


def forged_request() -> Packed:
    assignment = Assignment(
        run="first",
        phase="statistics",
        round_index=1,
        recipe=load_recipe("default").canonical_json(),
        code_digest=code_digest(),
        site=VICTIM,
        site_index=0,
        n_sites=2,
        exchange_id="f" * 32,
    )
    sealer = Sealer(sitting=1 << 52, key=Ed25519PrivateKey.generate())
    return sealer.seal(pack(StatisticsRequest(assignment=assignment)), assignment)


def test_the_honest_run_completes_with_every_site_in_every_round(aftermath: Aftermath) -> None:
    assert aftermath.events[-1]["status"] == "completed", aftermath.events[-1]
    assert [e for e in aftermath.events if e["event"] == "site-failed"] == []
    trained = {
        (e["round"], e["site"])
        for e in aftermath.events
        if e["event"] == "reply" and e["phase"] == "training"
    }
    assert trained == {(number, site) for number in (1, 2) for site in SITES}


def test_half_headers_were_held_by_the_thousand(aftermath: Aftermath) -> None:
    assert aftermath.half_headers["opened"] >= N_HALF_HEADERS
    assert aftermath.half_headers["most held"] >= N_HALF_HEADERS // 2


def test_bodies_of_200_mb_reach_nobody(aftermath: Aftermath) -> None:
    log.info("%.0f MB more, %s, %s", aftermath.grown_mb, aftermath.half_headers, aftermath.bodies)
    answers = {what: n for what, n in aftermath.bodies.items() if what != "most held"}
    assert sum(answers.values()) >= 4
    assert {what.split()[1] for what in answers} <= {"413", "cut"}
    assert aftermath.grown_mb < 400


def test_a_request_of_another_site_is_refused_unread(aftermath: Aftermath) -> None:
    log = " ".join(aftermath.victims_log.split())
    assert "does not bear the signature of this federation's coordinator" in log


def test_no_token_stands_on_a_command_line(aftermath: Aftermath) -> None:
    """Another user of the coordinator's machine could act in the run's name with it."""
    assert "flwr-serverapp" in aftermath.programs
    assert aftermath.tokens == set()
