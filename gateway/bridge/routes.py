"""Which submits ask for receipts, and the route by which theirs come back.

The route is sealed into the dlr_url of the request, so that a message leaves no row. An account
that polls has one all the same: there is nothing else that could ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from gateway.bridge.accounts import Account
from gateway.bridge.journey import Journey
from gateway.omnichannel.callback import PATH
from gateway.omnichannel.route import Route, Target
from gateway.smpp.constants import InterfaceVersion, Tag
from gateway.smpp.pdu import SubmitSm

# registered_delivery: a final receipt, or an intermediate notification (SMPP 3.4 section 5.2.17)
ASKS: Final = 0x13


class Seals(Protocol):
    """Who makes tokens of routes: a file of keys."""

    def seal(self, route: Route, now: float) -> str: ...


class Routes:
    """`now` gives wall-clock seconds."""

    def __init__(self, keys: Seals | None, public_url: str, now: Callable[[], float]) -> None:
        """Without `keys` or `public_url` nobody can be called back."""
        self._keys = keys
        self._prefix = public_url + PATH if public_url and keys is not None else ""
        self._now = now

    def of(self, journey: Journey, submits: Sequence[SubmitSm] | None = None) -> Route | None:
        """The route of a message, or None when no receipt of it is asked for.

        `submits` are all parts of a long message, in order: each is told under the id that it
        was answered with. The one that the journey brought is answered with the API's.
        """
        account = journey.origin.account
        if account.settings.receipts == "off" or not (self._prefix or account.awaits_reports):
            return None
        submit = journey.submit
        targets: tuple[Target, ...]
        if submits is None:
            if not submit.registered_delivery & ASKS:
                return None
            targets = (target_of(submit, 0),)
        else:
            last = journey.part.number if journey.part else 0
            targets = targets_of(enumerate(submits, 1), last)
            if not targets:
                return None
            submit = submits[0]
        text = journey.decoded.text[: account.settings.receipt_text] if journey.decoded else ""
        return Route(
            account.system_id,
            self._now(),
            journey.serial,
            submit.source,
            submit.destination,
            submit.service_type,
            journey.origin.interface_version is InterfaceVersion.V33,
            text.encode("ascii", "replace").decode("ascii") if text else "",
            journey.common_id,
            journey.base,
            targets,
        )

    def dlr_url(self, route: Route, account: Account) -> str:
        """Where the API is to report to, "" for nowhere."""
        if not self._prefix or account.settings.receipts == "poll":
            return ""
        assert self._keys is not None  # noqa: S101  there is no prefix without
        return self._prefix + self._keys.seal(route, route.submitted_at)


def targets_of(parts: Iterable[tuple[int, SubmitSm]], last: int = 0) -> tuple[Target, ...]:
    """The (numbered) parts that ask for receipts; number `last` is answered with the API's id."""
    return tuple(
        target_of(submit, 0 if number == last else number)
        for number, submit in parts
        if submit.registered_delivery & ASKS
    )


def target_of(submit: SubmitSm, number: int) -> Target:
    """How a submit asked, and under which number it is told."""
    if submit.tlvs:
        for tag, value in submit.tlvs:
            if tag == Tag.user_message_reference and len(value) == 2:
                return Target(number, submit.registered_delivery, int.from_bytes(value))
    return Target(number, submit.registered_delivery)
