from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.timefmt import InvalidTime, format_absolute, format_relative, parse

NOW = datetime(2026, 7, 15, 12, 0, 0, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_no_time() -> None:
    assert parse("", NOW) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("261231120000008+", "2026-12-31T10:00:00"),
        ("261231120000508-", "2026-12-31T14:00:00.500"),
        ("261231234500001-", "2027-01-01T00:00:00"),
        ("261231120000000+", "2026-12-31T12:00:00"),
        ("261231120000000-", "2026-12-31T12:00:00"),
        ("261231120000900+", "2026-12-31T12:00:00.900"),
        ("000101000000048+", "1999-12-31T12:00:00"),
        ("991231235959048-", "2100-01-01T11:59:59"),
        ("261231120000023+", "2026-12-31T06:15:00"),  # Nepal, +05:45
        ("280229000000000+", "2028-02-29T00:00:00"),
        ("000229000000000+", "2000-02-29T00:00:00"),
        ("200101000000000+", "2020-01-01T00:00:00"),  # past
    ],
)
def test_absolute(text: str, moment: str) -> None:
    parsed = parse(text, NOW)
    assert parsed == utc(moment)
    assert parsed is not None
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("now", "text", "moment"),
    [
        ("2026-07-15T12:00:00", "020610233429000R", "2029-01-26T11:34:29"),
        ("2026-07-15T12:00:00", "000002000000000R", "2026-07-17T12:00:00"),
        ("2026-07-15T12:00:00", "000000000000000R", "2026-07-15T12:00:00"),
        ("2026-07-15T12:00:00.25", "000000000001000R", "2026-07-15T12:00:01.25"),
        # tenths and quarters of an hour mean nothing here
        ("2026-07-15T12:00:00", "000000000010999R", "2026-07-15T12:00:10"),
        # 72 hours, 90 minutes, 99 of everything
        ("2026-07-15T12:00:00", "000000720000000R", "2026-07-18T12:00:00"),
        ("2026-07-15T12:00:00", "000000009000000R", "2026-07-15T13:30:00"),
        ("2026-01-01T00:00:00", "009900000000000R", "2034-04-01T00:00:00"),
        ("2026-01-01T00:00:00", "990000000000000R", "2125-01-01T00:00:00"),
        # months and years over their ends
        ("2026-01-31T08:00:00", "000100000000000R", "2026-02-28T08:00:00"),
        ("2028-01-31T08:00:00", "000100000000000R", "2028-02-29T08:00:00"),
        ("2026-03-31T08:00:00", "000100000000000R", "2026-04-30T08:00:00"),
        ("2026-08-31T08:00:00", "000600000000000R", "2027-02-28T08:00:00"),
        ("2026-12-15T08:00:00", "000100000000000R", "2027-01-15T08:00:00"),
        ("2026-11-30T08:00:00", "001200000000000R", "2027-11-30T08:00:00"),
        ("2028-02-29T08:00:00", "010000000000000R", "2029-02-28T08:00:00"),
        ("2028-02-29T08:00:00", "040000000000000R", "2032-02-29T08:00:00"),
        # the day is cut to the month first, days are counted from there
        ("2026-01-31T08:00:00", "000101000000000R", "2026-03-01T08:00:00"),
        ("2028-02-28T23:59:59", "000000000001000R", "2028-02-29T00:00:00"),
    ],
)
def test_relative(now: str, text: str, moment: str) -> None:
    assert parse(text, utc(now)) == utc(moment)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "26123112000000+",
        "2612311200000000+",
        "261231120000000",
        "261231120000000+\n",
        " 261231120000000+",
        "26123112000000 +",
        "2612311200000x0+",
        "-61231120000000+",
        "26123112000000\u0663+",  # a digit, but not of ASCII
        "26123112000000\u00b2+",
        "2\u06661231120000000+",
        "261231120000000Z",
        "261231120000000r",
        "261231120000000 ",
        "000000000000000\u00d8",
        "261331120000000+",
        "260031120000000+",
        "261200120000000+",
        "261232120000000+",
        "260431120000000+",
        "260229120000000+",
        "261231240000000+",
        "261231126000000+",
        "261231120060000+",
        "261231120000049+",
        "261231120000099-",
        "000000000000000+",
        "00000200000000R",
        "00000200000000xR",
        "\x00" * 16,
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(InvalidTime):
        parse(text, NOW)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 12, 31, 10, 0, 0, tzinfo=UTC), "261231100000000+"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "260102030405000+"),
        (
            datetime(2026, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-2))),
            "270101013000000+",
        ),
        (datetime(2000, 1, 1, tzinfo=UTC), "000101000000000+"),
        (datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC), "991231235959000+"),
    ],
)
def test_format_absolute(moment: datetime, text: str) -> None:
    assert format_absolute(moment) == text


@pytest.mark.parametrize("year", [1999, 2100])
def test_years_without_a_form(year: int) -> None:
    with pytest.raises(InvalidTime):
        format_absolute(datetime(year, 6, 1, tzinfo=UTC))


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    )
)
def test_what_is_formatted_parses_back(moment: datetime) -> None:
    text = format_absolute(moment)
    assert len(text) == 16
    assert parse(text, NOW) == moment


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "000000000001000R"),
        (59, "000000000059000R"),
        (60, "000000000100000R"),
        (3_600, "000000010000000R"),
        (86_399, "000000235959000R"),
        (86_400, "000001000000000R"),
        (2 * 86_400, "000002000000000R"),
        (604_800 + 3_661, "000007010101000R"),
        (99 * 86_400, "000099000000000R"),
        # two digits of days are all there is
        (99 * 86_400 + 1, "000099000000000R"),
        (0xFFFFFFFF, "000099000000000R"),
    ],
)
def test_format_relative(seconds: int, text: str) -> None:
    assert format_relative(seconds) == text


@given(st.integers(1, 99 * 86_400))
def test_a_relative_time_parses_back(seconds: int) -> None:
    assert parse(format_relative(seconds), NOW) == NOW + timedelta(seconds=seconds)


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[0-9]{15}[-+R]", fullmatch=True)))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        moment = parse(text, NOW)
    except InvalidTime:
        return
    assert moment is None or moment.utcoffset() == timedelta(0)
