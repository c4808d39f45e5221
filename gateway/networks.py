"""Addresses: who is in an `allow` list, and who counts as one and the same."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network


# What one customer of an Internet provider has at least: whoever has one address of it has all.
_SITE: Final = 64


def allows(networks: Iterable[Network], peer: str) -> bool:
    """Whether `peer` is in one of them. Its zone (fe80::1%eth0) does not count.

    An IPv4 client of a listener on [::] has the address ::ffff:192.0.2.1; it is read as
    192.0.2.1. What is no address is in none.
    """
    found = _address(peer)
    return found is not None and any(found in network for network in networks)


@lru_cache(maxsize=4096)  # a storm comes from few addresses, and each bind asks four times
def neighbourhood(peer: str) -> str:
    """Under what an address is counted and locked out: IPv4 by itself, IPv6 with its /64.

    192.0.2.1 and ::ffff:192.0.2.1 are one; what is no address stands for itself.
    """
    found = _address(peer)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, _SITE), strict=False))
    return peer if found is None else str(found)


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    try:
        found: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped
    return found
