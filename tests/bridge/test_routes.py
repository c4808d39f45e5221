"""Which submits ask for receipts, and what the route says by which theirs come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.bridge.routes import Routes, target_of, targets_of
from gateway.omnichannel.route import Target
from gateway.smpp.constants import InterfaceVersion
from gateway.smpp.pdu import Address, SubmitSm, Tlv
from tests.bridge.receiving import route_of
from tests.bridge.trial import FROM, ID, TEXT, TO, V33, V34, V50, Trial, submit
from tests.omnichannel.scripted_transport import accepted, in_turn


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


def sent(message: SubmitSm, version: InterfaceVersion = V34, **account: Any) -> Trial:
    trial = Trial(in_turn(accepted(ID)), **account)
    trial.submit(message, version=version)
    assert trial.status == "ESME_ROK"
    return trial


def reference(value: bytes) -> Tlv:
    return Tlv(0x0204, value)


@pytest.mark.parametrize(
    ("asks", "octets"), [(False, [0, 0x0C, 0xE0]), (True, [1, 2, 3, 0x10, 0x12, 0x1C, 0xFF])]
)
def test_who_asks(asks: bool, octets: list[int]) -> None:
    for octet in octets:
        check(octet, asks)


def check(octet: int, asks: bool) -> None:
    trial = sent(submit(registered_delivery=octet))
    assert ("dlr_url" in trial.transport.posts[0].sms) is asks
    assert targets_of([(1, submit(registered_delivery=octet))]) == (
        (Target(1, octet),) if asks else ()
    )


@pytest.mark.parametrize(
    ("receipts", "calls"), [("callback", True), ("both", True), ("poll", False), ("off", False)]
)
def test_the_api_is_told_where_to_call_if_the_account_wants_it(receipts: str, calls: bool) -> None:
    trial = sent(submit(registered_delivery=1), receipts=receipts)
    assert ("dlr_url" in trial.transport.posts[0].sms) is calls


@pytest.mark.parametrize(
    ("keys", "public_url"), [(False, "https://gw.example.com"), (True, ""), (False, "")]
)
def test_without_keys_or_a_url_nobody_can_be_called_back(keys: bool, public_url: str) -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.relay._routes = Routes(trial.keys if keys else None, public_url, trial.clock.seconds)
    trial.submit(submit(registered_delivery=1))
    assert trial.status == "ESME_ROK"
    assert "dlr_url" not in trial.transport.posts[0].sms


@pytest.mark.parametrize("version", [V33, V34, V50])
def test_the_route_repeats_what_the_esme_wrote(version: InterfaceVersion) -> None:
    source, destination = Address(5, 0, "Bank 1"), Address(2, 8, "055512345")
    trial = sent(
        submit(
            source=source,
            destination=destination,
            service_type="CMT",
            registered_delivery=0x12,
            tlvs=(Tlv(0x1400, b"vendor"), reference(b"\x12\x34"), reference(b"\0\1")),
        ),
        version,
        country_prefix="372",
        receipt_text=10,
    )
    route = route_of(trial)
    assert (route.system_id, route.source, route.destination) == ("bank", source, destination)
    assert (route.service_type, route.text) == ("CMT", TEXT[:10])
    assert (route.submitted_at, route.v33) == (1_000.0, version is V33)
    assert (route.common_id, route.base) == ("", b"")
    assert route.targets == (Target(0, 0x12, 0x1234),)
    assert TO not in trial.transport.posts[0].sms["dlr_url"]


def test_the_route_has_a_number_of_its_own() -> None:
    trial = Trial(in_turn(accepted(ID)))
    for _ in range(3):
        trial.submit(submit(registered_delivery=1))
    routes = [route_of(trial, place) for place in range(3)]
    assert [route.serial for route in routes] == [1, 2, 3]
    urls = {post.sms["dlr_url"] for post in trial.transport.posts}
    assert len(urls) == 3


@pytest.mark.parametrize(
    ("value", "found"),
    [(b"", None), (b"\1", None), (b"\1\2\3", None), (b"\0\0", 0), (b"\xff\xfe", 0xFFFE)],
)
def test_a_user_message_reference_has_two_octets(value: bytes, found: int | None) -> None:
    assert target_of(submit(tlvs=(reference(value),)), 7) == Target(7, 0, found)


def test_the_parts_that_ask_and_the_one_with_the_apis_id() -> None:
    parts = [submit(registered_delivery=octet) for octet in (1, 0, 2, 0x10)]
    assert targets_of(enumerate(parts, 1), 3) == (Target(1, 1), Target(0, 2), Target(4, 0x10))
    assert targets_of(enumerate(parts, 1), 2) == (Target(1, 1), Target(3, 2), Target(4, 0x10))
    assert targets_of(enumerate([submit(), submit()], 1), 2) == ()


@pytest.mark.parametrize(("length", "text"), [(0, ""), (4, "Caf?"), (20, "Caf? ??? and so on, ")])
def test_the_text_is_short_and_plain(length: int, text: str) -> None:
    ucs2 = "Café ряд and so on, and on".encode("utf-16-be")
    trial = sent(
        submit(registered_delivery=1, data_coding=8, short_message=ucs2), receipt_text=length
    )
    assert route_of(trial).text == text


def test_the_longest_fields_make_a_url_that_opens() -> None:
    trial = Trial(in_turn(accepted(ID)), country_prefix="372", receipt_text=20)
    account = trial.new_account("é" * 64, receipt_text=20)
    trial.submit(
        submit(
            source=Address(5, 0, "Longest Nam"),
            destination=Address(1, 1, TO + "0000"),
            service_type="CMTXY",
            registered_delivery=0x11,
            tlvs=(reference(b"\xff\xff"),),
        ),
        account=account,
    )
    assert trial.status == "ESME_ROK"
    assert route_of(trial).system_id == "é" * 64
    assert FROM not in trial.transport.posts[0].sms["dlr_url"]
