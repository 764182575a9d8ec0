"""An exchange as a line for a shell that asks the same again, without the token: that is `$TOKEN`. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from ocpi.headers import REQUEST_ID
from ocpi.models import Exchange
from ocpi.secrets import without_keys

CUT = " […]"  # ends a body that is kept in part
MASKED = "…"
# What curl says itself, what belongs to one connection, and what is secret.
_LEFT_OUT = frozenset(
    ("authorization", "proxy-authorization", "cookie", "host", "content-length", "connection", "accept-encoding",
     "transfer-encoding", "user-agent", "keep-alive", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
     REQUEST_ID.lower())
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Curl:
    """A line to copy, and what is not as it was sent."""

    line: str
    remarks: tuple[str, ...]


def curl(row: Exchange, *, base_url: str) -> Curl:
    """Return a line that sends the request of an exchange once more; what came in is sent to `base_url`.

    X-Request-ID is left out: another try is another request.
    """
    remarks = []
    url = row.url if "://" in row.url else f"{base_url}{row.url}"
    if (shown := without_keys(url)) != url:
        remarks.append("The key in the URL is not shown; put it in the place of what stands there.")
    # A "[" or "{" in a URL is only itself, and no list of URLs.
    words = ["curl", "-gsS", "-X", shlex.quote(row.method), shlex.quote(shown)]
    words += ["-H", '"Authorization: Token $TOKEN"']
    for name, value in headers(row.request_headers):
        if name.lower() not in _LEFT_OUT:
            words += ["-H", shlex.quote(f"{name}: {without_keys(value)}")]
    body = row.request_body
    if incomplete := why_incomplete(row):
        remarks.append(f"The body is not the one that was sent: {incomplete}.")
    if body and not body.endswith(CUT):
        if without_keys(body) != body:
            remarks.append("A key in the body is not shown.")
        words += ["--data-raw", shlex.quote(without_keys(body))]
    return Curl(" ".join(words), tuple(remarks))


def headers(text: str) -> list[tuple[str, str]]:
    """Return the names and values of headers as they are kept, one a line."""
    lines = (line.partition(": ") for line in text.split("\n"))
    return [(name, value) for name, colon, value in lines if name and colon]


def why_incomplete(row: Exchange) -> str:
    """Return why the body that is kept is not the one that was sent, or nothing if it is."""
    body = row.request_body
    if body.endswith(CUT):
        return "it was too long to be kept whole"
    if body.startswith("[") and body.endswith("may hold a token]"):
        return "it may hold a token and was not kept"
    if f'"{MASKED}' in body:
        return "a secret in it is masked"
    length = next((value for name, value in headers(row.request_headers) if name.lower() == "content-length"), "")
    if not body and (row.method in ("PUT", "PATCH") or length.isdigit()) and length != "0":
        return "it is no longer kept"
    return ""
