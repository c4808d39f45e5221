"""The API's operations: a request body or an id in, an answer out. No HTTP server here.

The order of judgement for a POST is the same for one message and for many: the JSON, the
schema, the script of the destination, and only then is anything accepted. A bulk request
accepts all its good items or, when a script refuses the whole of it, none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from gateway.sandbox.answers import NO_MESSAGE, Answer, error_answer, json_answer
from gateway.sandbox.api_errors import ApiError, error_body
from gateway.sandbox.schema import Omnimessage, read_bulk, read_omnimessage
from gateway.sandbox.scripts import Script, script_for
from gateway.sandbox.state import Messages, MessageState

DEFAULT_SENDER = "Sandbox"  # what the account would be set to
ACCEPTED = "%Y-%m-%dT%H:%M:%S.%f"  # the documentation's samples bear no zone

Refusal = tuple[ApiError, ...]


def _read_json(body: bytes) -> Any:
    """Decode a body. Raises ValueError for what is not JSON: NaN is not, nor is UTF-16."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(body.decode(), parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class Api:
    """The operations on one account's messages. `counts` and `messages` are for reading."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.messages = Messages()

    def send_one(self, body: bytes, now: datetime) -> Answer:
        """POST /omnimessage: 201 or 400, or what the destination's script makes of it."""
        try:
            value = _read_json(body)
        except ValueError:
            return self._not_json()
        script, outcome = self._judge(value)
        if isinstance(outcome, tuple):
            self.counts["refused"] += 1
            return error_answer(400, *outcome)
        if script and script.refusal:
            return script.refusal
        answer = json_answer(201, self._accept(outcome, value, now))
        return script.applied_to(answer) if script else answer

    def send_many(self, body: bytes, now: datetime) -> Answer:
        """POST /omnimessages: 201 with an answer for each item, in the items' order."""
        try:
            value = _read_json(body)
        except ValueError:
            return self._not_json()
        items = read_bulk(value)
        if isinstance(items, tuple):
            self.counts["refused"] += 1
            return error_answer(400, *items)
        judged = [self._judge(item) for item in items]
        scripts = [script for script, _ in judged if script and not script.error]
        for script in scripts:
            if script.refusal:
                return script.refusal
        results: list[dict[str, Any]] = []
        for item, (_, outcome) in zip(items, judged, strict=True):
            if isinstance(outcome, tuple):
                self.counts["refused"] += 1
                results.append(error_body(*outcome))
            else:
                results.append(self._accept(outcome, item, now))
        answer = json_answer(201, {"messages": results})
        return scripts[0].applied_to(answer) if scripts else answer

    def status(self, omnimessage_id: str) -> Answer:
        """GET /omnimessage/{id}/status: null while in process, DELETED once cancelled."""
        state = self.messages.state(omnimessage_id)
        if state is None:
            return NO_MESSAGE
        statuses = [
            {
                "status": "DELETED" if state.cancelled else None,
                "channel": channel,
                "message_id": message_id,
                "error": None,
                "err": 0 if state.cancelled else None,
                "timestamp": state.received.astimezone(UTC).strftime(ACCEPTED),
                "price_info": None,
                "sender": sender,
            }
            for message_id, channel, sender in state.parts
        ]
        body = {"omnimessage_id": omnimessage_id, "to": state.to, "statuses": statuses}
        return json_answer(200, body)

    def cancel(self, omnimessage_id: str, now: datetime) -> Answer:
        """DELETE /omnimessage/{id}: 202 while its time has not come, 404 otherwise."""
        if not self.messages.cancel(omnimessage_id, now):
            return NO_MESSAGE
        self.counts["cancelled"] += 1
        return json_answer(202, {})

    def _judge(self, value: object) -> tuple[Script | None, Omnimessage | Refusal]:
        message = read_omnimessage(value)
        if isinstance(message, tuple):
            return None, message
        script = script_for(message.to)
        error = script.error_for(message.messages[0].channel) if script else None
        return script, (error,) if error else message

    def _accept(self, message: Omnimessage, request: Any, now: datetime) -> dict[str, Any]:
        omnimessage_id = str(uuid4())
        parts: Sequence[tuple[str, str, str]] = [
            (str(uuid4()), part.channel, part.sender or DEFAULT_SENDER) for part in message.messages
        ]
        state = MessageState(omnimessage_id, message.to, tuple(parts), now, message.time_to_send)
        self.messages.keep(state, request)
        self.counts["accepted"] += 1
        return {
            "messages": [
                {"channel": channel, "message_id": message_id, "sender": sender}
                for message_id, channel, sender in parts
            ],
            "omnimessage_id": omnimessage_id,
            "to": message.to,
        }

    def _not_json(self) -> Answer:
        self.counts["refused"] += 1
        return error_answer(400, ApiError("105", "The body is not JSON", "payload"))
