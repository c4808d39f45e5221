"""Values that are made for every message: frozen to the type checker, and cheap to make.

`dataclass(frozen=True)` sets every field through `object.__setattr__`, which makes a submit_sm of
17 fields cost 1.9 us and not 0.3. Here mypy alone refuses an assignment, and nothing at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_class(cls: type[_T]) -> type[_T]:
    """A dataclass with slots that compares and hashes by its fields, and is never changed."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
