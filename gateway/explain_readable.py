"""Explanations as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain_words import Explained

Row = tuple[str, str]


def readable(explained: Explained) -> str:
    """One entry of `explain` as lines; no octet of it can steer the terminal."""
    if "set" in explained:
        name, rows = f"set {explained['set']['number']}", [*_set(explained["set"])]
    else:
        name, rows = explained.get("command", "(no whole header)"), [*_pdu(explained)]
    return "\n".join([name, *(f"  {name:<24} {_shown(value)}" for name, value in rows)])


def _pdu(explained: Explained) -> Iterator[Row]:
    for name in ("command_length", "command_id", "command_status", "sequence_number"):
        if name in explained:
            yield name, str(explained[name])
    for name, value in explained.get("fields", {}).items():
        meaning = explained["meanings"].get(name)
        yield name, str(value) + (f"  ({meaning})" if meaning else "")
    for tlv in explained.get("tlvs", ()):
        meaning = f"  ({tlv['meaning']})" if "meaning" in tlv else ""
        yield f"TLV {tlv['name']}", f"{tlv['tag']}, {tlv['value'] or 'empty'}{meaning}"
    if "stray" in explained:
        yield "behind the fields", explained["stray"]
    yield from _message(explained.get("message", {}))
    if "part_of" in explained:
        yield "part of", explained["part_of"]
    if fault := explained.get("malformed"):
        yield "MALFORMED", f"{fault['field']}: {fault['detail']}"
        yield "answer", explained["answer"]


def _message(message: Explained) -> Iterator[Row]:
    for name, value in message.items():
        if name == "udh_elements":
            for element in value:
                meaning = f"  ({element['meaning']})" if "meaning" in element else ""
                data = element["data"] or "empty"
                yield f"udh element {element['iei']}", f"{element['name']}, {data}{meaning}"
        elif name == "concatenation":
            yield "concatenation", f"{value['meaning']}  ({value['kind']})"
        elif name == "notes":
            yield from (("note", note) for note in value)
        elif isinstance(value, list):
            yield f"message {name}", ", ".join(value)
        else:
            yield name if name.startswith("udh") else f"message {name}", str(value)


def _set(found: Explained) -> Iterator[Row]:
    for name, value in found.items():
        if name == "message":
            yield from _message(value)
        elif name == "destination_addr":
            yield name, ", ".join(value)
        elif name != "number":
            yield name, str(value)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
