"""Absolute and relative times, SMPP 3.4 section 7.1.1: sixteen characters `YYMMDDhhmmsstnnp`.

`p` says what the digits are: `+` or `-` a moment whose local time is `nn` quarters of an
hour ahead of or behind UTC, `R` a distance from now. `t` is tenths of a second.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

_FORM = re.compile(r"([0-9]{2})" * 6 + r"([0-9])([0-9]{2})([+\-R])")
_CENTURY = 2000
_MOST_QUARTERS = 48
_MOST_SECONDS = 99 * 86_400  # two digits of days


class InvalidTime(ValueError):
    """The text is neither form; says which part is wrong."""


def parse(text: str, now: datetime) -> datetime | None:
    """The moment as an aware datetime in UTC, None for an empty text.

    `now` is aware, in UTC, and is where the relative form counts from. A moment in the past
    is returned like any other. Raises InvalidTime for everything else.
    """
    if not text:
        return None
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidTime("a time is 15 digits and one of + - R")
    *digits, sign = match.groups()
    year, month, day, hour, minute, second, tenths, quarters = map(int, digits)
    if sign == "R":
        # Counts, not a calendar: clients write 72 hours. Tenths and quarters have no meaning.
        return _months_later(now, 12 * year + month) + timedelta(
            days=day, hours=hour, minutes=minute, seconds=second
        )
    if quarters > _MOST_QUARTERS:
        raise InvalidTime("the difference from UTC is at most 48 quarters of an hour")
    try:
        local = datetime(
            _CENTURY + year, month, day, hour, minute, second, tenths * 100_000, tzinfo=UTC
        )
    except ValueError as error:
        raise InvalidTime(str(error)) from None
    ahead = timedelta(minutes=15 * quarters)
    return local - ahead if sign == "+" else local + ahead


def format_absolute(moment: datetime) -> str:
    """An aware `moment` in the absolute form, in UTC and whole seconds: `YYMMDDhhmmss000+`.

    Raises InvalidTime outside the years 2000 to 2099, which are all that the form can name.
    """
    moment = moment.astimezone(UTC)
    if not 0 <= moment.year - _CENTURY < 100:
        raise InvalidTime("the absolute form names the years 2000 to 2099 only")
    return moment.strftime("%y%m%d%H%M%S000+")


def format_relative(seconds: int) -> str:
    """So many seconds from now in the relative form: 1 s to 99 days, and what is beyond cut."""
    days, rest = divmod(min(seconds, _MOST_SECONDS), 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    return f"0000{days:02d}{hours:02d}{minutes:02d}{rest:02d}000R"


def _months_later(moment: datetime, months: int) -> datetime:
    """The same day and time `months` later, or the last day of a month that is shorter."""
    years, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
