"""The API's errors as values: seven codes, their titles, and the body that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TITLES = {
    "101": "Not found",
    "102": "Forbidden",
    "103": "Unauthorized",
    "104": "Internal Server Error",
    "105": "Invalid data",
    "106": "Missing data",
    "107": "Method not allowed",
}


@dataclass(frozen=True, slots=True)
class ApiError:
    """One entry of `errors`. `source` names the field at fault; None unless the status is 400."""

    code: str
    detail: str
    source: str | None = None

    def entry(self) -> dict[str, str | None]:
        """Return the JSON object; all four keys are always there."""
        return {
            "code": self.code,
            "title": TITLES[self.code],
            "detail": self.detail,
            "source": self.source,
        }


def error_body(*errors: ApiError) -> dict[str, Any]:
    """Return the body of every refusal, and of a refused item of a bulk request."""
    return {"errors": [error.entry() for error in errors]}
