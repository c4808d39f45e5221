"""Every error the gateway raises on purpose.

An error carries what the wire must say: the `command_status` an ESME sees, whether
trying again can help, and the fields that the log line keeps. Nothing else decides
what an ESME is told about a refusal that the gateway itself makes.
"""

from __future__ import annotations

from typing import ClassVar

from gateway.smpp.constants import CommandStatus


class GatewayError(Exception):
    """A refusal with its SMPP answer.

    `command_status` is what the ESME sees, `temporary` whether the same request may
    succeed later, `fields` what the log says beside the message. `detail` is written
    for the operator: what was wrong, where, and what to do. It never holds message
    text, passwords or unmasked numbers.
    """

    command_status: CommandStatus = CommandStatus.ESME_RSYSERR
    temporary: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        command_status: CommandStatus | None = None,
        **fields: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields
        if command_status is not None:
            self.command_status = command_status


class ConfigurationError(GatewayError):
    """The configuration cannot be used; `problems` has one readable line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
