"""What the gateway itself refuses before the API is asked, whatever was requested."""

from __future__ import annotations

from typing import Final

from twisted.python.failure import Failure

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus

LEAST_TIME: Final = 0.3  # seconds before the deadline; with less, the API is not asked


def cause_of(failure: Failure) -> str:
    """What the log says of a failure: the detail of a refusal, the traceback of a fault."""
    return getattr(failure.value, "detail", "") or failure.getTraceback()


class Throttled(GatewayError):
    """The account is above its rate."""

    command_status = CommandStatus.ESME_RTHROTTLED
    temporary = True


class Overloaded(GatewayError):
    """As many requests are in flight as may be; `command_status` is what the bound says."""

    temporary = True


class Overdue(GatewayError):
    """The request waited for its whole response_deadline before it could be sent."""

    command_status = CommandStatus.ESME_RMSGQFUL
    temporary = True


class NotFound(GatewayError):
    """The account has no such message; `command_status` is that of its request."""
