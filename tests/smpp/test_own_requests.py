import pytest

from gateway.smpp.constants import CommandId as C
from gateway.smpp.own_requests import OwnRequest, OwnRequests


def test_sequence_numbers_count_from_one() -> None:
    ours = OwnRequests()
    assert [ours.add(C.enquire_link, 1) for _ in range(3)] == [1, 2, 3]


def test_sequence_numbers_go_on_when_some_are_settled() -> None:
    ours = OwnRequests()
    for number in (1, 2, 3):
        assert ours.add(C.enquire_link, 1) == number
        assert ours.settle(number, C.enquire_link_resp) == OwnRequest(C.enquire_link, 1)


def test_sequence_numbers_wrap_below_the_bit_that_no_peer_expects() -> None:
    ours = OwnRequests()
    ours._next = 0x7FFFFFFE  # two thousand million requests later
    assert [ours.add(C.enquire_link, 1) for _ in range(3)] == [0x7FFFFFFE, 0x7FFFFFFF, 1]


@pytest.mark.parametrize(
    ("response", "settled"),
    [
        (C.unbind_resp, C.unbind),
        (C.generic_nack, C.unbind),
        (C.enquire_link_resp, None),
        (C.deliver_sm_resp, None),
        (C.submit_sm_resp, None),
        (C.data_sm_resp, None),
    ],
)
def test_a_response_settles_only_its_own_request(response: C, settled: C | None) -> None:
    ours = OwnRequests()
    ours.add(C.enquire_link, 1)
    number = ours.add(C.unbind, 1)
    found = ours.settle(number, response)
    assert (found and found.command_id) is settled
    assert ours.awaits(C.unbind) is (settled is None)
    assert ours.awaits(C.enquire_link)


@pytest.mark.parametrize("number", [0, 2, 0x7FFFFFFF, 0x80000001, 0xFFFFFFFF])
def test_a_sequence_number_of_nobody_settles_nothing(number: int) -> None:
    ours = OwnRequests()
    ours.add(C.enquire_link, 1)
    assert ours.settle(number, C.enquire_link_resp) is None
    assert ours.settle(number, C.generic_nack) is None


def test_a_request_is_settled_once() -> None:
    ours = OwnRequests()
    ours.add(C.enquire_link, 1)
    assert ours.settle(1, C.enquire_link_resp) == OwnRequest(C.enquire_link, 1)
    assert ours.settle(1, C.enquire_link_resp) is None
    assert not ours.awaits(C.enquire_link)


def test_what_is_not_answered_in_time_is_taken_out_once() -> None:
    ours = OwnRequests()
    ours.add(C.enquire_link, 10)
    ours.add(C.unbind, 11)
    ours.add(C.enquire_link, 12)
    assert ours.expired(9.99) == []
    assert ours.expired(11) == [OwnRequest(C.enquire_link, 10), OwnRequest(C.unbind, 11)]
    assert ours.expired(11) == []
    assert ours.settle(1, C.enquire_link_resp) is None  # too late
    assert ours.settle(3, C.enquire_link_resp) == OwnRequest(C.enquire_link, 12)


def test_a_deliver_sm_ends_once_and_is_counted_until_then() -> None:
    ours = OwnRequests()
    for tag in (70, 71, 72, 73):
        ours.add(C.deliver_sm, tag, tag)
    ours.add(C.enquire_link, 1)
    assert ours.undelivered == 4
    assert ours.settle(2, C.deliver_sm_resp) == OwnRequest(C.deliver_sm, 71, 71)
    assert ours.undelivered == 3
    assert [request.tag for request in ours.expired(70)] == [70, 0]
    assert ours.undelivered == 2
    ours.add(C.enquire_link, 100)
    assert ours.take_undelivered() == [72, 73]
    assert (ours.undelivered, ours.take_undelivered()) == (0, [])
    assert ours.settle(3, C.deliver_sm_resp) is None
    assert ours.awaits(C.enquire_link), "which is nobody's delivery"
