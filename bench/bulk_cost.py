"""What many messages in one request cost in one piece, while no session is served.

Bodies are made and answers are read by the gateway's own functions, each size in turn.
One JSON line gives, by number of messages, medians over the requests:

- `encode_us`: processor microseconds to encode one message's body, which is done when it comes;
- `stretch_us`: microseconds a message to put the request's body together and to read the answer;
- `stretch_ms`: the same in milliseconds a request: nothing else is done meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeVar

from twisted.internet.task import Clock

from bench.bulk_answers import Limit, content
from bench.submits import TEXT
from gateway.omnichannel.bulk import body_of, judge_bulk
from gateway.omnichannel.payload import SmsRequest, encode
from gateway.process import prepare

_T = TypeVar("_T")


class Clocked:
    """Processor times of one piece of work, in seconds: others may be at work on the machine."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def __call__(self, work: Callable[..., _T], *arguments: object) -> _T:
        begun = time.thread_time()
        found = work(*arguments)
        self._seconds.append(time.thread_time() - begun)
        return found

    @property
    def middle(self) -> float:
        return median(self._seconds)


class Trial:
    """Requests of so many messages."""

    def __init__(self, messages: int) -> None:
        self.messages = messages
        text = TEXT.decode()
        self._requests = [
            SmsRequest(f"+372{number:08}", text, "Bench") for number in range(messages)
        ]
        self._encoding, self._joining, self._reading = Clocked(), Clocked(), Clocked()
        self._body = body_of([encode(request) for request in self._requests])
        self._answer = content(self._body, Limit(0))

    def run(self, times: int) -> None:
        for _ in range(times):
            bodies: list[bytes] = self._encoding(list, map(encode, self._requests))
            self._joining(body_of, bodies)
            self._reading(judge_bulk, 201, self._answer, self._requests)

    def report(self) -> dict[str, Any]:
        stretch = self._joining.middle + self._reading.middle
        return {
            "octets": len(self._body),
            "encode_us": self._encoding.middle / self.messages * 1e6,
            "stretch_us": stretch / self.messages * 1e6,
            "stretch_ms": stretch * 1e3,
        }


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="what the parts of a request cost")
    parser.add_argument("messages", type=int, nargs="+", help="in one request")
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args(given)
    prepare(Clock())  # garbage is collected as the gateway has it
    trials = [Trial(messages) for messages in arguments.messages]
    most = max(arguments.messages)
    ends = time.monotonic() + arguments.seconds
    while True:  # in turn, as many messages each: the machine may be faster at times
        for trial in trials:
            trial.run(most // trial.messages)
        if time.monotonic() > ends:
            break
    print(json.dumps({str(trial.messages): trial.report() for trial in trials}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
