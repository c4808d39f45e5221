"""Who may connect: what an `allow` list says of an address."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def allows(networks: Iterable[Network], peer: str) -> bool:
    """Whether `peer` is in one of them. Its zone (fe80::1%eth0) does not count.

    An IPv4 client of a listener on [::] has the address ::ffff:192.0.2.1; it is read as
    192.0.2.1. What is no address is in none.
    """
    try:
        found: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in networks)
