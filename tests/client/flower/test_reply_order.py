"""Flower's own node state and its own way to send, with messages that nobody on a network sent."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal
from flwr.supernode.nodestate import NodeStateFactory

from client.flower.reply_order import push_until_answered

PUSH = start_client_internal._push_messages


class Node:
    """What Flower's loop works on, and what it has sent."""

    def __init__(self) -> None:
        self.store = ObjectStoreFactory().store()
        factory = ObjectStoreFactory()
        factory.store_instance = self.store
        self.state = NodeStateFactory(factory).state()
        self.sent: list[str] = []

    def take(self, name: str) -> Message:
        """A message that the node has taken and not answered yet."""
        message = Message(RecordDict({"name": ConfigRecord({"is": name})}), 2, "query.lesionfed")
        start_client_internal._insert_message(message, self.state, self.store)
        self.state.get_messages_legacy(is_reply=False)  # its ClientApp has it
        return message

    def answer(self, message: Message) -> None:
        """The message's ClientApp has put its answer there."""
        reply = Message(message.content, reply_to=message)
        start_client_internal._insert_message(reply, self.state, self.store)

    def push(self, push_messages: Any) -> None:
        """The part of Flower's loop that sends."""

        def send(reply: Message, *_: object) -> tuple[set[str], str]:
            self.sent.append(str(reply.content["name"]["is"]))
            return set(), "session"

        push_messages(
            state=self.state, object_store=self.store, send=send, push_object=lambda *_: None
        )


@pytest.fixture
def node() -> Node:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    return Node()


def left_behind(node: Node) -> Message:
    """A message that was passed over has its answer there as the next one has been taken."""
    passed_over = node.take("passed over")
    newest = node.take("newest")
    node.answer(passed_over)
    return newest


def test_flowers_own_way_continues_with_the_answer_of_another_message(node: Node) -> None:
    newest = left_behind(node)
    node.push(PUSH)
    assert node.sent == ["passed over"]
    node.answer(newest)  # waits in vain until the next message is taken


def test_our_way_waits_for_the_newest_message_and_sends_what_is_there_before(node: Node) -> None:
    newest = left_behind(node)
    timer = threading.Timer(1.0, node.answer, args=(newest,))
    timer.start()
    node.push(push_until_answered(PUSH))
    timer.join()
    assert node.sent == ["passed over", "newest"]


def test_a_message_that_is_never_answered_does_not_hold_up_those_after_it(node: Node) -> None:
    node.take("passed over, and its process died")
    for name in ("next", "the one after"):
        node.answer(node.take(name))
        node.push(push_until_answered(PUSH))
    assert node.sent == ["next", "the one after"]


def test_a_message_in_its_turn_is_sent_once(node: Node) -> None:
    node.answer(node.take("only"))
    node.push(push_until_answered(PUSH))
    assert node.sent == ["only"]
