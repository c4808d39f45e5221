"""Times and URLs, the two formats with many ways to be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.sandbox.fields import Moment, Url

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
URL: TypeAdapter[str] = TypeAdapter(Url)
NINE_FIVE = datetime(2018, 6, 22, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-06-22T09:05", NINE_FIVE),
        ("2018-06-22T09:05Z", NINE_FIVE),
        ("2018-06-22T09:05+00:00", NINE_FIVE),
        ("2018-06-22T09:05:07", NINE_FIVE + timedelta(seconds=7)),
        ("2018-06-22T09:05:07Z", NINE_FIVE + timedelta(seconds=7)),
        ("2018-06-22T09:05:07.250Z", NINE_FIVE + timedelta(seconds=7.25)),
        ("2018-06-22T12:05:00+03:00", NINE_FIVE),
        ("2018-06-22T03:35-05:30", NINE_FIVE),
        ("0001-01-01T00:00+23:59", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23.984)))),
    ],
)
def test_a_time(text: str, moment: datetime) -> None:
    read = MOMENT.validate_python(text)
    assert read.tzinfo is not None
    assert abs(read - moment) < timedelta(minutes=1) if read.year == 1 else read == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2018-06-22",
        "2018-06-22 09:05",
        "20180622T0905",
        "2018-06-22T09",
        "2018-06-22T09:05:07+0000",
        "2018-06-22T09:05:07z",
        "2018-06-22T09:05:07 Z",
        "2018-06-22T09:05:07Z\n",
        "2018-02-30T09:05",
        "2018-06-22T24:05",
        "2018-06-22T09:05+24:00",
        "2018-W25-5T09:05",
        "0000-01-01T00:00",
        "２018-06-22T09:05",
        "1529658307",
    ],
)
def test_no_time(text: str) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dlr",
        "//gw.example.com/dlr",
        "ftp://gw.example.com/dlr",
        "https:///dlr",
        "https://gw.example.com:99999/dlr",
        "https://gw.example.com:port/dlr",
        "https://[2001:db8::1/dlr",
        "https://gw.example.com/d lr",
        "https://gw.example.com/dlr\n",
    ],
)
def test_no_url(text: str) -> None:
    with pytest.raises(ValidationError):
        URL.validate_python(text)
