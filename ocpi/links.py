"""URLs put together and taken from `Link` headers; text only, nothing is called here."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_LINK = re.compile(r"<([^<>]*)>([^<>]*)")
_REL_NEXT = re.compile(r';\s*rel\s*=\s*(?:next\b|"(?:[^"]*\s)?next[\s"])', re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,12}")


def join(url: str, *segments: str, query: Mapping[str, str] | None = None) -> str:
    """Return a URL below a published one: one slash between, each segment percent-encoded, its own query kept."""
    path, mark, kept = url.partition("?")
    below = _below(segments)
    if below:
        path = path.rstrip("/") + "/" + below
    parts = [part for part in (kept, urlencode(query, quote_via=quote) if query else "") if part]
    return path + ("?" + "&".join(parts) if parts or (mark and not below) else "")


# One change goes to the same path of a hundred receivers.
@lru_cache(maxsize=4096)
def _below(segments: tuple[str, ...]) -> str:
    # No encoding saves "." and ".." from being taken for a folder, so the dots at least do not look like one.
    below = [quote(s, safe="") if s.strip(".") or not s else s.replace(".", "%2E") for s in segments]
    if "" in below:
        raise ValueError("a path segment is empty")
    return "/".join(below)


def next_reference(link: str) -> str | None:
    """Return what a `Link` header names as the next page; the header may be empty, or hold several links."""
    return next((to for to, parameters in _LINK.findall(link) if to and _REL_NEXT.search(parameters)), None)


def next_by_offset(here: str, headers: Mapping[str, str], count: int) -> str | None:
    """Return the URL of the next page if a full page came without a link although the total says there is more."""
    total, limit = number(headers, "x-total-count"), number(headers, "x-limit")
    if not count or total is None or limit is None or count < limit:
        return None
    offset = offset_of(here) + count
    return None if offset >= total else at_offset(here, offset)


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Return the number in a header, if it is one."""
    text = headers.get(name, "")
    return int(text) if _COUNT.fullmatch(text) else None


def offset_of(url: str) -> int:
    """Return the offset that a URL of a page names."""
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return next((int(value) for name, value in query if name == "offset" and _COUNT.fullmatch(value)), 0)


def at_offset(url: str, offset: int) -> str:
    """Return the URL of a page with another offset."""
    place = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(place.query, keep_blank_values=True) if name != "offset"]
    return place._replace(query=urlencode([*query, ("offset", str(offset))], quote_via=quote)).geturl()
