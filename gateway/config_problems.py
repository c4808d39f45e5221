"""What is wrong with a configuration, in words for the person who wrote it.

One line each: the source (file or environment variable), the place in the document, what
is wrong, what to do. Values are repeated only where they cannot be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config import Section, Settings

Loc = tuple[int | str, ...]

# pydantic's error type -> our words; the context's values fill the braces.
WORDS: Final[dict[str, str]] = {
    "missing": "is required",
    "string_type": 'must be text in quotes, such as "..."',
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "tuple_type": 'must be a list, such as ["..."]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "value_error": "{error}",
}
NUMBERS_SHOWN: Final = frozenset({"greater_than", "greater_than_equal", "less_than_equal"})


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like `word`, or "" when none comes near."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean "..."?`, or "" when nothing comes near."""
    near = nearest(word, known)
    return f', did you mean "{near}"?' if near else ""


def model_at(loc: Loc) -> type[BaseModel] | None:
    """The model that holds the keys below `loc`; None below anything but a table of ours."""
    model: type[BaseModel] | None = Settings
    for step in loc:
        if isinstance(step, int):
            continue  # the element of a list: its model was found with the list
        field = model.model_fields.get(step) if model else None
        model = model_in(field.annotation) if field else None
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a field is or lists; None for a plain value."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def place(loc: Loc, document: Mapping[str, Any]) -> str:
    """`loc` as it reads in the file: `accounts[0] "bank".max_binds`."""
    words, here = "", document
    for step in loc:
        try:
            here = here[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            here = {}
        if isinstance(step, int):
            words += f"[{step}]"
            if isinstance(here, dict) and isinstance(here.get("system_id"), str):
                words += f' "{here["system_id"]}"'
        else:
            key = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else f'"{step}"'
            words += f".{key}" if words else key
    return words


def unknown_key(loc: Loc) -> str:
    """What to say of a key that its table does not have."""
    key, model = str(loc[-1]), model_at(loc[:-1])
    if model is None:
        return "unknown key"
    homes = [
        f"[[{name}]]" if name == "accounts" else f"[{name}]"
        for name, field in Settings.model_fields.items()
        if (table := model_in(field.annotation)) and key in table.model_fields
    ]
    if len(homes) == 1:
        return f"unknown key, it belongs in {homes[0]}"
    if near := suggestion(key, model.model_fields):
        return f"unknown key{near}"
    return f"unknown key; known here: {', '.join(sorted(model.model_fields))}"


def _words(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(error["loc"])
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        listed = ", ".join(f'"{word}"' for word in allowed)
        found = error["input"]
        near = suggestion(found, allowed) if isinstance(found, str) else ""
        return f"must be one of {listed}{near}"
    words = WORDS[kind].format_map(context) if kind in WORDS else error["msg"]
    if kind in NUMBERS_SHOWN:
        return f"{words} (found {error['input']})"
    if kind == "tuple_type" and error["loc"] == ("accounts",):
        return "must be a list of tables: write [[accounts]] with two brackets"
    return words


def in_words(error: ValidationError) -> list[tuple[Loc, str]]:
    """Every fault pydantic found, as its place and what is wrong there."""
    return [(fault["loc"], _words(fault)) for fault in error.errors(include_url=False)]
