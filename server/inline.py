"""Flower's Grid in one process: the ServerApp and the ClientApp run unchanged, without a network.

The one place where `server` reaches `client`: the ClientApp is loaded by its declared reference,
as a SuperNode does, and nothing else of `client` is known here.
"""

from __future__ import annotations

import copy
import importlib
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

CLIENT_APP = "client.app:app"
RUN_ID = 1


def inline_key(name: str) -> str:
    """What stands in for a site's public key where no network is crossed."""
    return f"inline:{name}"


class InlineGrid(Grid):
    """Sites of this machine, asked one after another when their answer is pulled.

    site_files   site name -> its `site.toml`
    """

    def __init__(self, site_files: Mapping[str, Path]) -> None:
        self._app = _load_client_app()
        self._run = Run.create_empty(run_id=RUN_ID)
        self._names = dict(enumerate(site_files, start=SUPERLINK_NODE_ID + 1))
        self._contexts = {
            node_id: Context(
                run_id=RUN_ID,
                node_id=node_id,
                node_config={"site": str(site_files[name]), "inline": True},
                state=RecordDict(),
                run_config={},
            )
            for node_id, name in self._names.items()
        }
        self._waiting: dict[str, Message] = {}
        # a Message cannot be made without these; a SuperLink's process has them set by Flower
        TaskIdentity.run_id = RUN_ID
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        TaskIdentity.task_id = 1

    def set_run(self, run: Run) -> None:
        """Sets the run this grid works for."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run this grid works for."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to one site."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """All sites' node ids."""
        return list(self._names)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """All sites, with what stands in for their public keys."""
        return [
            NodeInfo(node_id=node_id, name=name, public_key=inline_key(name).encode())
            for node_id, name in self._names.items()
        ]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Keeps each message until its answer is pulled; returns their ids."""
        message_ids = []
        for message in messages:
            message_id = uuid.uuid4().hex
            message.metadata.__dict__["_message_id"] = message_id
            self._waiting[message_id] = copy.deepcopy(message)
            message_ids.append(message_id)
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Asks each site now and yields its answer: one answer in memory at a time."""
        for message_id in message_ids:
            if message_id in self._waiting:
                yield self._answer(self._waiting.pop(message_id))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """The answers to all messages; there is nothing to wait for, so no timeout."""
        return list(self.pull_messages(self.push_messages(messages)))

    def _answer(self, message: Message) -> Message:
        try:
            reply = self._app(message, self._contexts[message.metadata.dst_node_id])
        except Exception as error:  # as a SuperNode: whatever a ClientApp raises is an error reply
            failure = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__)
            reply = Message(failure, reply_to=message)
        reply.metadata.__dict__["_message_id"] = uuid.uuid4().hex
        return copy.deepcopy(reply)


def _load_client_app() -> ClientApp:
    module, _, attribute = CLIENT_APP.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    assert isinstance(app, ClientApp), f"{CLIENT_APP} is not a ClientApp"
    return app
