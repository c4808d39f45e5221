"""Whoever gave a dlr_url: a scripted server that answers in turn, and what it was told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Self

from tests.omnichannel.https_server import Action, Answer, HttpsServer, Request

LIMIT = 5  # seconds


class Receiver(HttpsServer):
    """Answers as `script` says, one action for each request, and then with an empty 200."""

    script: Iterator[Action] = iter(())

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def action(self, request: Request) -> Action:
        self.requests.append(request)
        return next(self.script, Answer(200, b"", ()))

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}/dlr/token"

    def got(self, count: int) -> list[Request]:
        """The requests, once there are so many."""
        deadline = time.monotonic() + LIMIT
        while len(self.requests) < count:
            assert time.monotonic() < deadline, self.requests
            time.sleep(0.002)
        return self.requests
