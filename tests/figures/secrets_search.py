"""Secrets searched for in whatever an instance lets out: as they are, in Base64, hexadecimal and URL form."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

SHORTEST = 12  # characters: of anything shorter a hit may be chance


def forms(secret: str) -> set[str]:
    """Return the texts by which a secret is recognized, wherever in Base64 it may begin."""
    octets = secret.encode()
    found = {secret, quote(secret, safe=""), octets.hex(), octets.hex().upper()}
    for before in range(3):  # Base64 turns three octets into four characters: what stands before decides how
        text = base64.b64encode(b"\0" * before + octets).decode().rstrip("=")
        core = text[(0, 2, 3)[before] : len(text) - 1]  # its ends depend on what stands beside it
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return {text for text in found if len(text) >= SHORTEST}


@dataclass(slots=True)
class Search:
    """What has been searched, and where which secret was found."""

    secrets: Mapping[str, str]  # by what it is
    octets: Counter[str] = field(default_factory=Counter)  # searched, by kind of output
    hits: list[tuple[str, str, str, str]] = field(default_factory=list)  # kind, place, secret, what stands around it
    _names: dict[bytes, str] = field(init=False)
    _pattern: re.Pattern[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._names = {form.encode(): name for name, secret in self.secrets.items() for form in forms(secret)}
        self._pattern = re.compile(b"|".join(re.escape(form) for form in sorted(self._names, key=len, reverse=True)))

    def look(self, kind: str, place: str, text: bytes | str) -> None:
        """Search one output."""
        octets = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self.octets[kind] += len(octets)
        for match in self._pattern.finditer(octets):
            around = octets[max(0, match.start() - 60) : match.start()].decode(errors="replace")
            self.hits.append((kind, place, self._names[match[0]], around))

    def of(self, kind: str) -> int:
        return sum(hit[0] == kind for hit in self.hits)

    def misses(self, texts: Iterable[str] = ("{}", "before {} behind", '{{"a": "{}"}}', "a:{}")) -> int:
        """Return how many planted secrets are not found: a search that finds nothing proves nothing."""
        missed = 0
        for secret in self.secrets.values():
            for text in texts:
                plain = text.format(secret).encode()
                for planted in (plain, base64.b64encode(plain), base64.urlsafe_b64encode(plain), plain.hex().encode(),
                                quote(plain, safe="").encode()):  # fmt: skip
                    missed += self._pattern.search(planted) is None
        return missed
