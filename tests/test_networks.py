from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.networks import allows

LISTED = [ip_network(network) for network in ("192.0.2.0/24", "203.0.113.7", "2001:db8::/32")]


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("203.0.113.7", True),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.1", True),
        ("::ffff:192.0.3.1", False),
        ("::192.0.2.1", False),
        ("", False),
        ("gw.example.com", False),
    ],
)
def test_who_is_in_a_list(peer: str, allowed: bool) -> None:
    assert allows(LISTED, peer) is allowed
    assert not allows([], peer)
