"""The `healthcheck` verb: one GET, for containers without curl."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit


def probe(url: str, timeout: float) -> tuple[bool, str]:
    """Whether `url` answers 200 within `timeout` seconds, and one line that says what it said.

    No proxy is used whatever the environment says: the admin listener is next door.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False, f"{url}: write a URL such as http://127.0.0.1:8080/readyz"
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        connection = connect(parts.hostname, parts.port, timeout=timeout)
        try:
            connection.request("GET", parts.path or "/")
            answer = connection.getresponse()
            line = answer.read(200).decode("utf-8", "replace").partition("\n")[0].strip()
        finally:
            connection.close()
    except TimeoutError:
        return False, f"{url}: no answer in {timeout:g} s"
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return False, f"{url}: {' '.join(reason.split())}"
    return answer.status == 200, f"{answer.status} {line}".strip()
