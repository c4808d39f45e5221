"""What waits to be asked with one set of credentials, and in which order it leaves. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import ceil
from typing import Protocol

from gateway.omnichannel.fair_queue import FairQueue
from gateway.omnichannel.rate import Rate


class Errand(Protocol):
    """What is to be asked. `deadline` is in the clock's seconds, `octets` are those of its body."""

    deadline: float
    octets: int

    def leave_out(self, words: str) -> None:
        """It is not asked; `words` say why."""
        ...


class Message(Errand, Protocol):
    """A message, which may share a request with others."""

    account: str
    priority: int


class Lane:
    """All that is asked with one set of credentials; false while nothing waits."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.messages: FairQueue[Message] = FairQueue()
        self.questions: deque[Errand] = deque()
        # Of requests that were refused as a whole, or divided: each goes by itself, and first.
        self.portions: deque[list[Message]] = deque()
        self._question_next = True

    def __bool__(self) -> bool:
        return bool(self.messages or self.questions or self.portions)

    def __iter__(self) -> Iterator[Errand]:
        return chain(self.messages, self.questions, chain.from_iterable(self.portions))

    def next(self, most: int, most_octets: int) -> Sequence[Errand]:
        """What leaves next: some messages, or one question. Empty when nothing waits."""
        if self.portions:
            return self.portions.popleft()
        self.messages.requests += 1
        ask = self.questions and (self._question_next or not self.messages)
        self._question_next = not ask
        return [self.questions.popleft()] if ask else self._share(most, most_octets)

    def _share(self, most: int, most_octets: int) -> list[Message]:
        """Messages for one request; a larger one than `most_octets` goes alone."""
        shared: list[Message] = []
        octets = 0
        for message in self.messages.take(most):
            octets += message.octets + 1  # and a comma
            if shared and octets > most_octets:
                self.messages.put_back(message, message.account, message.priority)
                break
            shared.append(message)
        return shared

    def requests_before(self, message: Message, ahead: int, most: int) -> int:
        """How many leave before the one that takes along a message with so many ahead of it.

        A question that waits takes every other request.
        """
        requests = ceil(self.messages.wait(message.account, message.priority, ahead, most))
        return len(self.portions) + requests - 1 + min(requests, len(self.questions))

    def expire(self, late: Callable[[Errand], bool]) -> list[Errand]:
        """Take out those for whom it is too late."""
        found = [*self.messages.expire(late), *filter(late, self.questions)]
        self.questions = deque(one for one in self.questions if not late(one))
        for portion in self.portions:
            found += filter(late, portion)
            portion[:] = [one for one in portion if not late(one)]
        self.portions = deque(filter(None, self.portions))
        return found
