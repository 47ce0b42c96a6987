"""The node waits for the reply to the message that it has just received, not for any reply.

Flower's node receives a message, waits until some reply is ready, sends what is ready, receives the
next message. Where the coordinator's server died while a message came in, that message is ignored
("not in RUNNING status") but its ClientApp runs, and its reply is the one that is ready when
the next message has just come. From then on the node sends each reply only after it has received
the message after it: every round ends at its deadline, and the site's reply comes one round late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Push = Callable[..., None]


def push_until_answered(push_messages: Push) -> Push:
    """Flower's `_push_messages`, called until the newest message of the node has its reply.

    push_messages   waits until a reply is ready, then sends all that are
    """

    def push(*, state: Any, **others: Any) -> None:
        newest = _newest_message(state)
        push_messages(state=state, **others)
        while newest is not None and _is_unanswered(state, newest):
            push_messages(state=state, **others)

    return push


def _newest_message(state: Any) -> str | None:
    """The id of the message that was stored last; replies are left out."""
    with state.lock_msg_store:
        asked = [
            message_id
            for message_id, entry in state.msg_store.items()
            if not entry.message.metadata.reply_to_message_id
        ]
    return asked[-1] if asked else None


def _is_unanswered(state: Any, message_id: str) -> bool:
    """Whether Flower still has the message: it deletes it once its reply was sent or refused."""
    with state.lock_msg_store:
        return message_id in state.msg_store
