"""The national languages of 3GPP TS 23.038 section 6.2.1.2.4, and their tables.

A language is named by its identifier, the octet that the user data header carries (3GPP TS
23.040 sections 9.2.3.24.15 and 9.2.3.24.16). `LOCKING` replaces the default alphabet,
`SINGLE` the default extension table; the two may name different languages.
"""

from __future__ import annotations

from gateway.message.gsm_locking import LOCKING
from gateway.message.gsm_single_shift import EXTENSION, SINGLE

__all__ = ["EXTENSION", "LOCKING", "NAMES", "SINGLE"]

NAMES: dict[int, str] = {
    1: "Turkish",
    2: "Spanish",
    3: "Portuguese",
    4: "Bengali and Assamese",
    5: "Gujarati",
    6: "Hindi",
    7: "Kannada",
    8: "Malayalam",
    9: "Oriya",
    10: "Punjabi",
    11: "Tamil",
    12: "Telugu",
    13: "Urdu",
}
