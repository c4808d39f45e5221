"""Whose turn it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.fair_queue import FairQueue


def queue(*words: str) -> FairQueue[str]:
    """A word is an account's letter, its message's number, and perhaps a priority: "a1", "b2!3"."""
    found: FairQueue[str] = FairQueue()
    for word in words:
        name, _, priority = word.partition("!")
        found.add(name, name[0], int(priority or 0))
    return found


def test_one_account_in_the_order_of_coming() -> None:
    found = queue("a1", "a2", "a3")
    assert len(found) == 3
    assert list(found) == ["a1", "a2", "a3"]
    assert list(found.take(2)) == ["a1", "a2"]
    assert list(found.take(5)) == ["a3"]
    assert len(found) == 0
    assert list(found) == list(found.take(5)) == []


def test_accounts_take_turns() -> None:
    found = queue("a1", "a2", "a3", "a4", "b1", "c1", "c2")
    assert list(found.take(7)) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_turns_go_on_where_they_stopped() -> None:
    found = queue("a1", "a2", "a3", "b1", "b2")
    assert [*found.take(1), *found.take(1), *found.take(1)] == ["a1", "b1", "a2"]


def test_a_flood_delays_a_newcomer_by_one_message() -> None:
    found = queue(*(f"a{number}" for number in range(1000)))
    assert list(found.take(3)) == ["a0", "a1", "a2"]
    found.add("b1", "b", 0)
    assert "b1" in list(found.take(2))


def test_priority_counts_inside_an_account_only() -> None:
    found = queue("a1", "a2!3", "a3!1", "a4!3", "b1", "b2")
    assert list(found.take(6)) == ["a2", "b1", "a4", "b2", "a3", "a1"]


def test_a_priority_that_no_specification_has() -> None:
    assert list(queue("a1!3", "a2!9", "a3!2").take(3)) == ["a1", "a2", "a3"]


def test_how_many_are_ahead() -> None:
    found = queue("a1", "a2!1", "a3!3")
    assert [found.ahead("a", priority) for priority in (0, 1, 2, 3, 9)] == [3, 2, 1, 1, 1]
    assert found.ahead("c", 0) == 1, "one of the other account"


def test_others_are_ahead_by_their_turns_only() -> None:
    found = queue("a1", "a2", "a3", "b1", *(f"c{number}" for number in range(50)))
    assert found.ahead("a", 0) == 3 + 1 + 4
    assert found.ahead("d", 0) == 3


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=40),
    st.tuples(st.sampled_from("abcd"), st.integers(0, 3)),
    st.integers(0, 20),
)
def test_nobody_has_more_ahead_than_was_said(
    waiting: list[tuple[str, int]], new: tuple[str, int], taken: int
) -> None:
    found: FairQueue[object] = FairQueue()
    for item in waiting:
        found.add(item, *item)
    list(found.take(taken))
    said = found.ahead(*new)
    found.add("new", *new)
    true = list(found.take(100)).index("new")
    assert true <= said <= true + 4, "by one of each account, whose turn may be over"


def test_what_is_put_back_is_first_again() -> None:
    found = queue("a1", "a2", "b1", "b2")
    taken = list(found.take(3))
    for word in reversed(taken):
        found.put_back(word, word[0], 0)
    assert len(found) == 4
    assert list(found.take(4)) == ["a1", "b1", "a2", "b2"]


def test_late_ones_are_taken_out_wherever_they_stand() -> None:
    found = queue("a1", "a2", "a3!2", "a4", "b1", "b2")
    assert found.expire(lambda word: word == "c1") == []
    assert sorted(found.expire(lambda word: word not in {"a1", "a4"})) == ["a2", "a3", "b1", "b2"]
    assert len(found) == 2
    assert list(found.take(9)) == ["a1", "a4"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abc"), st.integers(0, 3)),
            st.integers(1, 4),
        ),
        max_size=80,
    )
)
def test_nothing_is_lost_and_rows_keep_their_order(steps: list[object]) -> None:
    found: FairQueue[tuple[str, int, int]] = FairQueue()
    added, taken = [], []
    for number, step in enumerate(steps):
        if isinstance(step, tuple):
            item = (step[0], step[1], number)
            found.add(item, step[0], step[1])
            added.append(item)
        else:
            assert isinstance(step, int)
            taken += list(found.take(step))
        assert len(found) == len(added) - len(taken)
    taken += list(found.take(len(added)))
    assert sorted(taken) == sorted(added)
    for account in "abc":
        for priority in range(4):
            row = [item for item in taken if item[:2] == (account, priority)]
            assert row == sorted(row)
