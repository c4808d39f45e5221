"""Lists of every length around the sizes that statements are made for."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, bindparam, select, update

from gateway.store.dialect import Gathered
from gateway.store.listed import MOST, Listed, inserting
from gateway.store.schema import SHORT_IDS
from gateway.store.sql import SqlStore

IDS: Table = SHORT_IDS
INSERT = Listed(list(IDS.c), lambda listed: inserting(IDS.insert(), listed))
READ = Listed(
    [IDS.c.number],
    lambda listed: select(Gathered(IDS.c.number, IDS.c.message_id)).where(
        IDS.c.number.in_(select(listed.c.number))
    ),
)
RENAME = Listed(
    [IDS.c.number],
    lambda listed: (
        update(IDS)
        .where(
            IDS.c.system_id == bindparam("whose"),
            IDS.c.number.in_(select(listed.c.number)),
            IDS.c.kept_at >= bindparam("since"),
        )
        .values(message_id=bindparam("name"))
    ),
)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 9, MOST - 1, MOST, MOST + 1, 2 * MOST + 3])
def test_any_number_of_rows(store: SqlStore, size: int) -> None:
    with store.transaction() as connection:
        INSERT.run(connection, [("bank", number, f"m{number}", 1) for number in range(size)])
        count = connection.exec_driver_sql("SELECT count(*) FROM short_ids").scalar_one()
        assert count == size
        found = READ.read(connection, [(number,) for number in range(size)])
        assert sorted(found) == [[number, f"m{number}"] for number in range(size)]


def test_other_parameters_stand_where_they_belong(store: SqlStore) -> None:
    with store.transaction() as connection:
        rows = [("bank", 1, "a", 5), ("bank", 2, "b", 5), ("shop", 3, "c", 5), ("bank", 4, "d", 1)]
        INSERT.run(connection, rows)
        numbers = [(1,), (3,), (4,)]
        RENAME.run(connection, numbers, whose="bank", since=2, name="new")
        found = READ.read(connection, [(number,) for number in range(1, 5)])
        assert sorted(found) == [[1, "new"], [2, "b"], [3, "c"], [4, "d"]]


def test_one_text_serves_many_lengths(store: SqlStore) -> None:
    with store.transaction() as connection:
        text = READ.text(connection.dialect, 4)
        assert text.count("?") == 4
        assert READ.text(connection.dialect, 4) is text
