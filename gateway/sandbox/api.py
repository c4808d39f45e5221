"""The API's operations: a request body or an id in, an answer out. No HTTP server here.

The order of judgement for a POST is the same for one message and for many: the JSON, the
schema, the script of the destination, and only then is anything accepted. A bulk request
accepts all its good items or, when a script refuses the whole of it, none.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from twisted.internet.defer import Deferred, gatherResults

from gateway.sandbox.answers import NO_MESSAGE, Answer, error_answer, json_answer
from gateway.sandbox.api_errors import ApiError, error_body
from gateway.sandbox.callbacks import Callbacks
from gateway.sandbox.delivery_result import delivery_result
from gateway.sandbox.lifecycle import Timeline
from gateway.sandbox.schema import Omnimessage, read_bulk, read_omnimessage
from gateway.sandbox.scripts import Script, course_for, script_for
from gateway.sandbox.state import MessagePart, Messages, MessageState

DEFAULT_SENDER = "Sandbox"  # what the account would be set to

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
    """The operations on one account's messages. `counts` and `messages` are for reading.

    `delivery_delay` is in seconds, see `lifecycle`.
    """

    def __init__(self, counts: Counter[str], callbacks: Callbacks, delivery_delay: float) -> None:
        self.counts = counts
        self.messages = Messages()
        self._callbacks = callbacks
        self._delivery_delay = delivery_delay

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
        accepted, told = self._accept(outcome, value, now)
        answer = replace(json_answer(201, accepted), after=told)
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
        waits: list[Deferred[None]] = []
        for item, (_, outcome) in zip(items, judged, strict=True):
            if isinstance(outcome, tuple):
                self.counts["refused"] += 1
                results.append(error_body(*outcome))
            else:
                accepted, told = self._accept(outcome, item, now)
                results.append(accepted)
                waits += [told] if told else []
        answer = json_answer(201, {"messages": results})
        if waits:
            answer = replace(answer, after=gatherResults(waits))
        return scripts[0].applied_to(answer) if scripts else answer

    def status(self, omnimessage_id: str, now: datetime) -> Answer:
        """GET /omnimessage/{id}/status: the first channel's, the others are not tried."""
        state = self.messages.state(omnimessage_id)
        if state is None:
            return NO_MESSAGE
        reached = state.reached(now)
        first, *others = state.parts
        statuses = [delivery_result(state, first, reached)]
        statuses += [delivery_result(state, part, None) for part in others]
        body = {"omnimessage_id": omnimessage_id, "to": state.to, "statuses": statuses}
        return json_answer(200, body)

    def cancel(self, omnimessage_id: str, now: datetime) -> Answer:
        """DELETE /omnimessage/{id}: 202 while its time has not come, 404 otherwise."""
        state = self.messages.cancel(omnimessage_id, now)
        if state is None:
            return NO_MESSAGE
        self.counts["cancelled"] += 1
        self._callbacks.cancelled(state, now)
        return json_answer(202, {})

    def shown(self, count: int, now: datetime) -> list[dict[str, Any]]:
        """Return the newest messages as they were posted, each with what it has come to."""
        return [
            {
                "omnimessage_id": message.omnimessage_id,
                "to": message.to,
                "received": message.received.isoformat(),
                "request": message.request,
                "status": self._word(message.omnimessage_id, now),
            }
            for message in self.messages.newest(count)
        ]

    def _word(self, omnimessage_id: str, now: datetime) -> str | None:
        state = self.messages.state(omnimessage_id)
        reached = state.reached(now) if state else None
        return reached.step.status if reached else None

    def _judge(self, value: object) -> tuple[Script | None, Omnimessage | Refusal]:
        message = read_omnimessage(value)
        if isinstance(message, tuple):
            return None, message
        script = script_for(message.to)
        error = script.error_for(message.messages[0].channel) if script else None
        return script, (error,) if error else message

    def _accept(
        self, message: Omnimessage, request: Any, now: datetime
    ) -> tuple[dict[str, Any], Deferred[None] | None]:
        """Return the message's answer, and what that must wait for."""
        omnimessage_id = str(uuid4())
        parts = tuple(
            MessagePart(str(uuid4()), part.channel, part.sender or DEFAULT_SENDER)
            for part in message.messages
        )
        begins = max(now, message.time_to_send or now)
        timeline = Timeline(course_for(message.to), begins, self._delivery_delay)
        state = MessageState(omnimessage_id, message.to, parts, now, timeline, message.dlr_url)
        self.messages.keep(state, request)
        self.counts["accepted"] += 1
        answer = {
            "messages": [
                {"channel": part.channel, "message_id": part.message_id, "sender": part.sender}
                for part in parts
            ],
            "omnimessage_id": omnimessage_id,
            "to": message.to,
        }
        return answer, self._callbacks.follow(state, now)

    def _not_json(self) -> Answer:
        self.counts["refused"] += 1
        return error_answer(400, ApiError("105", "The body is not JSON", "payload"))
