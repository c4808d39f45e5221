from gateway.bridge import scheduled as module
from gateway.bridge.scheduled import Scheduled
from gateway.smpp.pdu import Address

A, B, C = Address(5, 0, "Bank"), Address(1, 1, "37255500001"), Address(1, 1, "37255500002")


def test_found_by_both_addresses_until_due() -> None:
    memory = Scheduled()
    memory.add("one", "", A, B, due=100.0)
    memory.add("two", "WAP", A, B, due=200.0)
    memory.add("other", "", A, C, due=200.0)
    assert memory.find(A, B, 99.9) == ["one", "two"]
    assert memory.find(A, B, 100.0) == ["two"]
    assert memory.find(B, A, 0.0) == []
    assert memory.find(A, C, 0.0) == ["other"]


def test_a_service_type_narrows_it_down() -> None:
    memory = Scheduled()
    memory.add("plain", "", A, B, due=100.0)
    memory.add("wap", "WAP", A, B, due=100.0)
    assert memory.find(A, B, 0.0, "") == ["plain"]
    assert memory.find(A, B, 0.0, "WAP") == ["wap"]


def test_type_of_number_and_plan_do_not_count() -> None:
    memory = Scheduled()
    memory.add("one", "", A, B, due=100.0)
    assert memory.find(Address(0, 9, "Bank"), Address(0, 0, B.addr), 0.0) == ["one"]


def test_what_was_cancelled_is_forgotten() -> None:
    memory = Scheduled()
    memory.add("one", "", A, B, due=100.0)
    memory.forget("one")
    memory.forget("never known")
    assert memory.find(A, B, 0.0) == []


def test_the_oldest_is_forgotten_first() -> None:
    memory = Scheduled()
    for number in range(module._MOST + 3):
        memory.add(str(number), "", A, B, due=100.0)
    found = memory.find(A, B, 0.0)
    assert (len(found), found[0]) == (module._MOST, "3")
