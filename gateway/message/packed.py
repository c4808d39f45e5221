"""GSM 7-bit septets packed into octets, 3GPP TS 23.038 section 6.1.2.1.

Eight septets fill seven octets, the first septet in the low bits of the first octet. Behind a
user data header the first septet begins at the next multiple of seven bits, counted from the
header's own beginning (3GPP TS 23.040 section 9.2.3.24).

SMPP counts octets and not septets, so nothing tells a last septet from seven bits of padding.
`without_padding` is the rule for that.
"""

from __future__ import annotations

_BLOCK_SEPTETS = 256
_BLOCK_OCTETS = _BLOCK_SEPTETS * 7 // 8

# Padding is zero bits, or a carriage return where a whole septet is left (section 6.1.2.3.1).
_PADDING = (0x00, 0x0D)


def _halvings() -> tuple[tuple[int, int, int], ...]:
    """Masks for the lower and the upper half of each group of septets, and the distance.

    From one group of 256 septets, which are 1792 bits, down to 128 of two. Moving the upper
    half of a group of 2n septets up by n bits makes of it two groups that stand 8n bits
    apart; at n = 1 each septet has an octet of its own.
    """
    halvings = []
    half = _BLOCK_SEPTETS // 2
    while half:
        lower = 0
        for group in range(_BLOCK_SEPTETS // 2 // half):
            lower |= ((1 << 7 * half) - 1) << 16 * half * group
        halvings.append((lower, lower << 7 * half, half))
        half //= 2
    return tuple(halvings)


_HALVINGS = _halvings()


def fill_bits(udh_octets: int) -> int:
    """The bits between a header of `udh_octets`, its length octet included, and the text."""
    return -8 * udh_octets % 7


def unpack(octets: bytes, fill: int = 0) -> bytes:
    """Every whole septet in `octets` behind `fill` bits, one to an octet; padding included."""
    count = (8 * len(octets) - fill) // 7
    if count <= 0:
        return b""
    packed = int.from_bytes(octets, "little") >> fill & (1 << 7 * count) - 1
    if count <= _BLOCK_SEPTETS:
        return _spread(packed).to_bytes(count, "little")
    whole = packed.to_bytes(-(-7 * count // 8), "little")
    return b"".join(
        _spread(int.from_bytes(whole[first : first + _BLOCK_OCTETS], "little")).to_bytes(
            _BLOCK_SEPTETS, "little"
        )
        for first in range(0, len(whole), _BLOCK_OCTETS)
    )[:count]


def _spread(septets: int) -> int:
    """At most 256 septets as octets, all at once: a loop over them takes ten times as long."""
    for lower, upper, distance in _HALVINGS:
        septets = septets & lower | (septets & upper) << distance
    return septets


def without_padding(septets: bytes, fill: int = 0) -> bytes:
    """What `unpack` gave, without a last septet that is padding or looks just like it.

    That is a septet which ends with the last octet and has a value that senders pad with. A
    text with `@` or a carriage return just there loses it; without this rule every text of 7
    or 15 characters would gain one.
    """
    if septets and (7 * len(septets) + fill) % 8 == 0 and septets[-1] in _PADDING:
        return septets[:-1]
    return septets
