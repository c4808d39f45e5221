"""The default extension table of 3GPP TS 23.038 and the national ones, section A.2, as data.

A single shift table replaces the default one, so each is whole here: the characters of the
default one stand in it where the language keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator

# Section 6.2.1.1, the codes behind 0x1B in the default alphabet.
EXTENSION: dict[int, str] = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

# The one character of the default table that a language drops.
TELUGU_EURO = (12, 0x65)

# Section A.2: the first code of a run and its characters. What the ten Asian tables share:
_ASIAN: dict[int, str] = {
    0x00: "@£$¥¿\"¤%&'",
    0x0B: "*+",
    0x0E: "-/",
    0x10: "<=>¡",
    0x15: "¡_#*",
    0x41: "ABCDEFGHIJKLMNO",
    0x50: "PQRSTUVWXYZ",
}

_RUNS: dict[int, dict[int, str]] = {
    1: {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"},
    2: {
        0x09: "ç",
        0x41: "Á",
        0x49: "Í",
        0x4F: "Ó",
        0x55: "Ú",
        0x61: "á",
        0x69: "í",
        0x6F: "ó",
        0x75: "ú",
    },
    3: {
        0x05: "ê",
        0x09: "ç",
        0x0B: "Ôô",
        0x0E: "Áá",
        0x12: "ΦΓ",
        0x15: "ΩΠΨΣΘ",
        0x1F: "Ê",
        0x41: "À",
        0x49: "Í",
        0x4F: "Ó",
        0x55: "Ú",
        0x5B: "ÃÕ",
        0x61: "Â",
        0x69: "í",
        0x6F: "ó",
        0x75: "ú",
        0x7B: "ãõ",
        0x7F: "â",
    },
    4: {
        **_ASIAN,
        0x19: "\u09e6\u09e7",
        0x1C: "\u09e8\u09e9\u09ea\u09eb",
        0x20: "\u09ec\u09ed\u09ee\u09ef\u09df\u09e0\u09e1\u09e2",
        0x2A: "\u09e3\u09f2\u09f3\u09f4\u09f5",
        0x30: "\u09f6\u09f7\u09f8\u09f9\u09fa",
    },
    5: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0ae6\u0ae7\u0ae8\u0ae9",
        0x20: "\u0aea\u0aeb\u0aec\u0aed\u0aee\u0aef",
    },
    6: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0966\u0967\u0968\u0969",
        0x20: "\u096a\u096b\u096c\u096d\u096e\u096f\u0951\u0952",
        0x2A: "\u0953\u0954\u0958\u0959\u095a",
        0x30: "\u095b\u095c\u095d\u095e\u095f\u0960\u0961\u0962\u0963\u0970\u0971",
    },
    7: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0ce6\u0ce7\u0ce8\u0ce9",
        0x20: "\u0cea\u0ceb\u0cec\u0ced\u0cee\u0cef\u0cde\u0cf1",
        0x2A: "\u0cf2",
    },
    8: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0d66\u0d67\u0d68\u0d69",
        0x20: "\u0d6a\u0d6b\u0d6c\u0d6d\u0d6e\u0d6f\u0d70\u0d71",
        0x2A: "\u0d72\u0d73\u0d74\u0d75\u0d7a",
        0x30: "\u0d7b\u0d7c\u0d7d\u0d7e\u0d7f",
    },
    9: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0b66\u0b67\u0b68\u0b69",
        0x20: "\u0b6a\u0b6b\u0b6c\u0b6d\u0b6e\u0b6f\u0b5c\u0b5d",
        0x2A: "\u0b5f\u0b70\u0b71",
    },
    10: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0a66\u0a67\u0a68\u0a69",
        0x20: "\u0a6a\u0a6b\u0a6c\u0a6d\u0a6e\u0a6f\u0a59\u0a5a",
        0x2A: "\u0a5b\u0a5c\u0a5e\u0a75",
    },
    11: {
        **_ASIAN,
        0x19: "\u0964\u0965",
        0x1C: "\u0be6\u0be7\u0be8\u0be9",
        0x20: "\u0bea\u0beb\u0bec\u0bed\u0bee\u0bef\u0bf3\u0bf4",
        0x2A: "\u0bf5\u0bf6\u0bf7\u0bf8\u0bfa",
    },
    12: {
        **_ASIAN,
        0x1C: "\u0c66\u0c67\u0c68\u0c69",
        0x20: "\u0c6a\u0c6b\u0c6c\u0c6d\u0c6e\u0c6f\u0c58\u0c59",
        0x2A: "\u0c78\u0c79\u0c7a\u0c7b\u0c7c",
        0x30: "\u0c7d\u0c7e\u0c7f",
    },
    13: {
        **_ASIAN,
        0x19: "\u0600\u0601",
        0x1C: "\u06f0\u06f1\u06f2\u06f3",
        0x20: "\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9\u060c\u060d",
        0x2A: "\u060e\u060f\u0610\u0611\u0612",
        0x30: "\u0613\u0614\u061b\u061f\u0640\u0652\u0658\u066b\u066c\u0672\u0673\u06cd",
        0x3F: "\u06d4",
    },
}


def _single(language: int, runs: dict[int, str]) -> Iterator[tuple[int, str]]:
    """The cells of one single shift table."""
    for code, char in EXTENSION.items():
        if (language, code) != TELUGU_EURO:
            yield code, char
    for first, characters in runs.items():
        yield from enumerate(characters, first)


SINGLE: dict[int, dict[int, str]] = {
    language: dict(_single(language, runs)) for language, runs in _RUNS.items()
}
