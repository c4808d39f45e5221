"""What the keys about the pace of requests and about bulk must agree on; a part of `config_checks`.

Nothing here is a fault: each key has a meaning by itself, though perhaps not the one that was
wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from gateway.config import Settings
from gateway.config_values import LOOPBACK_HOSTS

# What is about messages that wait for their turn, which nobody does without a limit.
_FOR_THOSE_THAT_WAIT: Final = (
    "rate_burst",
    "bulk_max",
    "bulk_octets",
    "max_waiting",
    "max_waiting_octets",
)


def warnings(settings: Settings) -> Iterator[str]:
    """What works but is likely not meant, one line each."""
    api = settings.omnichannel
    given = api.model_fields_set
    if not api.rate_limit:
        for key in _FOR_THOSE_THAT_WAIT:
            if key in given:
                yield f"omnichannel.{key}: does nothing with rate_limit = 0"
        return
    limit = f"{api.rate_limit:.10g}"
    if "rate_burst" in given and api.rate_burst > api.rate_limit:
        yield f"omnichannel.rate_burst: is above rate_limit, which is {limit} and bounds it"
    for key in ("bulk_max", "bulk_octets"):
        if key in given and api.bulk == "off":
            yield f'omnichannel.{key}: does nothing with bulk = "off"'
    asks = any(account.receipts in {"poll", "both"} for account in settings.accounts)
    if asks and api.poll_rate > api.rate_limit:
        yield (
            f"omnichannel.poll_rate: is above rate_limit, which is {limit} and holds for these "
            "questions too: they may take every other request, and many come too late"
        )
    if _inside(settings) and 0 < settings.sandbox.rate_limit < api.rate_limit:
        yield (
            "sandbox.rate_limit: is below omnichannel.rate_limit, so the sandbox answers 429 to "
            "what the gateway takes for allowed"
        )


def _inside(settings: Settings) -> bool:
    """Whether it is the gateway's own sandbox that is asked."""
    asked = urlsplit(settings.omnichannel.base_url)
    own = urlsplit(f"//{settings.sandbox.listen}")
    return (
        bool(settings.sandbox.listen)
        and asked.hostname in LOOPBACK_HOSTS
        and (asked.port == own.port)
    )
