from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.networks import allows, neighbourhood

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


@pytest.mark.parametrize(
    ("peer", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
        ("192.0.2.07", "192.0.2.07"),
    ],
)
def test_who_counts_as_one(peer: str, counted_as: str) -> None:
    assert neighbourhood(peer) == counted_as
