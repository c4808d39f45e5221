"""The callback's URL and its signature: routes sealed into tokens, and who may call.

An accepted message leaves no row. What its receipts need to know travels to the API and back in
`dlr_url` instead, so any node that has the keys can answer any callback. The API keeps that URL
and proxies log it, so the route is encrypted: AES-SIV (RFC 5297), which needs no nonce and gives
the same route the same token. A token is the id of its key, two characters, and the sealed
octets in base64url: one path segment. It proves who made the route, not who calls; for that
stands `signed`.
"""

from __future__ import annotations

import binascii
import hmac
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.errors import GatewayError
from gateway.omnichannel.route import (
    LONGEST_ADDRESS,
    LONGEST_SERVICE_TYPE,
    BadRoute,
    Route,
    Target,
    pack,
    unpack,
)
from gateway.smpp.pdu import Address

PATH: Final = "/dlr/"  # what stands in dlr_url between callbacks.public_url and the token
KEY_OCTETS: Final = 64  # AES-256 for each of the two halves of AES-SIV
KID_CHARACTERS: Final = 2
# Seconds from a key's making until it seals: by then all nodes have read the file that has it.
PICKED_UP: Final = 300.0
LONGEST_TOKEN: Final = 3072  # 255 parts of which each asks for something else need 2,488

_SIV_OCTETS: Final = 16
# With more than the 16 octets that authenticate the rest.
_TOKEN: Final = re.compile(rf"[A-Za-z0-9]{{{KID_CHARACTERS}}}[A-Za-z0-9_-]{{23,}}")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")


class BadToken(GatewayError):
    """The token was not sealed with a key of the ring; `detail` says why, without the token."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that seals routes. `kid` names it in a token; `created` is wall-clock seconds."""

    kid: str  # 2 characters, letters or digits
    created: float
    secret: bytes = field(repr=False)  # 64 octets


class KeyRing:
    """Keys that open, and the one among them that seals. Raises ValueError without any key.

    The newest key that is older than five minutes seals, or the oldest one if none is. Of two
    that were made at the same time the later one counts as newer.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys: Final = tuple(sorted(keys, key=lambda key: key.created))
        if not self.keys:
            raise ValueError("a key ring needs a key")
        self._sealers: Final = {key.kid: AESSIV(key.secret) for key in self.keys}
        self._kid, self._changes_at = self._sealing(-math.inf)

    def sealing(self, now: float) -> Key:
        """The key that seals at `now`."""
        kid, _ = self._sealing(now)
        return next(key for key in self.keys if key.kid == kid)

    def _sealing(self, now: float) -> tuple[str, float]:
        """The id of the key that seals at `now`, and the moment when another one begins to."""
        taken = [key for key in self.keys if key.created + PICKED_UP <= now]
        later = self.keys[len(taken) :]
        seals = taken[-1] if taken else self.keys[0]
        return seals.kid, min((key.created + PICKED_UP for key in later), default=math.inf)

    def seal(self, route: Route, now: float) -> str:
        """The token of a route. Raises ValueError as `pack` does."""
        if now >= self._changes_at:
            self._kid, self._changes_at = self._sealing(now)
        kid = self._kid
        sealed = self._sealers[kid].encrypt(pack(route), [kid.encode()])
        written = binascii.b2a_base64(sealed, newline=False).translate(_TO_URL, b"=")
        return kid + written.decode("ascii")

    def open(self, token: str) -> Route:
        """The route of a token. Raises BadToken."""
        if len(token) > LONGEST_TOKEN:
            raise BadToken(f"has {len(token)} characters, more than {LONGEST_TOKEN}")
        if not _TOKEN.fullmatch(token):
            raise BadToken("is not written as a token")
        kid = token[:KID_CHARACTERS]
        sealer = self._sealers.get(kid)
        if sealer is None:
            raise BadToken(f"names the key {kid}, which is not in the key file")
        written = token[KID_CHARACTERS:].encode("ascii").translate(_FROM_URL)
        try:
            sealed = binascii.a2b_base64(written + b"=" * (-len(written) % 4), strict_mode=True)
            return unpack(sealer.decrypt(sealed, [kid.encode()]))
        except binascii.Error:
            raise BadToken("is not base64url") from None
        except InvalidTag:
            raise BadToken(f"was not sealed with the key {kid}") from None
        except BadRoute as error:
            raise BadToken(f"holds no route that can be read: {error.detail}") from None


def longest_token(system_id_octets: int, text_characters: int) -> int:
    """Characters of the longest token of a submit_sm, which is one message of the API.

    A data_sm has room for longer addresses, a submit_multi adds its id, a long message its parts.
    """
    address = Address(0, 0, "0" * LONGEST_ADDRESS)
    octets = _SIV_OCTETS + len(
        pack(
            Route(
                "x" * system_id_octets,
                0,
                0,
                address,
                address,
                service_type="x" * LONGEST_SERVICE_TYPE,
                text="x" * text_characters,
                targets=(Target(0, 0, 0),),
            )
        )
    )
    return KID_CHARACTERS + (octets * 4 + 2) // 3


def signature(body: bytes, password: str) -> str:
    """The X-Messente-Signature of a body: HMAC-SHA256 in 64 lower-case hexadecimal digits.

    The key is the password of the API user that sent the message (API document section 4.1).
    """
    return hmac.digest(password.encode(), body, "sha256").hex()


def signed(body: bytes, header_value: str | None, passwords: Iterable[str]) -> bool:
    """Whether a header is the signature of the raw body with one of the passwords.

    It takes as long whichever password it is and wherever the digits differ.
    """
    found = (header_value or "").strip().lower()
    if not found.isascii():  # compare_digest takes no other text
        return False
    agrees = False
    for password in passwords:
        agrees |= hmac.compare_digest(signature(body, password), found)
    return agrees
