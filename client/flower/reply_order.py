"""The node goes on once the message that it has just taken is answered, not at any answer.

Flower's node takes a message, waits until some answer is ready, sends what is ready, and takes the
next message. Where the coordinator's server died while a message came in, that message is passed
over ("not in RUNNING status") but its ClientApp runs, and its answer is the one that is ready when
the next message has just been taken. From then on the node sends each answer only after it has got
the message behind it: every round ends at its deadline, and the site's answer comes one round late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Push = Callable[..., None]


def until_answered(push_messages: Push) -> Push:
    """Flower's `_push_messages`, called until the newest message of the node has its answer.

    push_messages   waits until an answer is ready, then sends all that are
    """

    def push(*, state: Any, **others: Any) -> None:
        newest = _newest_message(state)
        push_messages(state=state, **others)
        while newest is not None and _is_unanswered(state, newest):
            push_messages(state=state, **others)

    return push


def _newest_message(state: Any) -> str | None:
    """The id of the message that was stored last; answers are left out."""
    with state.lock_msg_store:
        asked = [
            message_id
            for message_id, entry in state.msg_store.items()
            if not entry.message.metadata.reply_to_message_id
        ]
    return asked[-1] if asked else None


def _is_unanswered(state: Any, message_id: str) -> bool:
    """Flower forgets a message once its answer has been sent, or was not wanted."""
    with state.lock_msg_store:
        return message_id in state.msg_store
