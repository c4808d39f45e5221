"""Every error says what the wire must say."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import gateway
from gateway.errors import ConfigurationError, GatewayError
from gateway.smpp.constants import CommandStatus


def subclasses(kind: type[GatewayError]) -> set[type[GatewayError]]:
    found = set(kind.__subclasses__())
    return found.union(*(subclasses(one) for one in found)) if found else found


for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    # alembic runs the migrations in its own surroundings.
    if not module.name.endswith("__main__") and ".migrations." not in module.name:
        importlib.import_module(module.name)
ALL: list[type[GatewayError]] = [GatewayError, *subclasses(GatewayError)]
ALL.sort(key=lambda kind: kind.__name__)


def test_what_an_error_carries() -> None:
    error = GatewayError("no such number", ton=2, octets=7)
    assert error.detail == str(error) == "no such number"
    assert error.fields == {"ton": 2, "octets": 7}
    assert error.command_status is CommandStatus.ESME_RSYSERR
    assert not error.temporary


def test_one_error_can_have_a_status_of_its_own() -> None:
    error = GatewayError("x", command_status=CommandStatus.ESME_RINVSCHED)
    assert error.command_status is CommandStatus.ESME_RINVSCHED
    # It is this one's alone.
    assert GatewayError("y").command_status is CommandStatus.ESME_RSYSERR
    assert GatewayError.command_status is CommandStatus.ESME_RSYSERR


def test_the_status_is_no_log_field() -> None:
    error = GatewayError("x", command_status=CommandStatus.ESME_RINVSCHED, ton=1)
    assert error.fields == {"ton": 1}


@pytest.mark.parametrize("kind", ALL, ids=[kind.__name__ for kind in ALL])
def test_no_error_can_say_that_all_is_well(kind: type[GatewayError]) -> None:
    assert isinstance(kind.command_status, CommandStatus)
    assert kind.command_status is not CommandStatus.ESME_ROK
    assert isinstance(kind.temporary, bool)


@pytest.mark.parametrize("kind", ALL, ids=[kind.__name__ for kind in ALL])
def test_temporary_errors_have_a_status_that_esmes_retry(kind: type[GatewayError]) -> None:
    """SMPP reference section 4.4: 08, 14 and 58 are retried, everything else is final."""
    retried = {
        CommandStatus.ESME_RSYSERR,
        CommandStatus.ESME_RMSGQFUL,
        CommandStatus.ESME_RTHROTTLED,
        CommandStatus.ESME_RBINDFAIL,
        CommandStatus.ESME_RX_T_APPN,
    }
    assert not kind.temporary or kind.command_status in retried


def test_the_tree_is_known() -> None:
    """The walk above finds the errors: otherwise the tests above prove nothing."""
    names = {kind.__name__ for kind in ALL}
    assert {
        "BindRefused",
        "BinaryContent",
        "InvalidDestination",
        "Throttled",
        "Unacceptable",
    } <= names


def test_a_configuration_error_has_a_line_for_each_fault() -> None:
    problems = ["smpp.listen: a port is at most 65535", "accounts.0: no password"]
    error = ConfigurationError(problems)
    assert error.problems == problems
    assert str(error) == "\n".join(problems)
    assert isinstance(error, GatewayError)
