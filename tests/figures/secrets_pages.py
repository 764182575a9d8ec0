"""The people of FIG-09 in one instance: somebody fails to log in, logs in and looks at every page; it prints nothing.

`python -m tests.figures.secrets_pages FOLDER MOST` writes each page into a file of the folder, and what is secret about
it all into `secrets.json`. Pages are those that links lead to, from the first one on, and those of the API.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
from collections import deque
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import django

_LINK = re.compile(r'(?:href|hx-get|data-url|src)="([^"#]+)"')
_NOT_THERE = ("logout", "/static/", "/media/", "jsi18n", "export", ".csv", ".xlsx", "/live/events", "stream")


def main(place: str, most: str) -> None:
    """Look at the pages of this instance, at most so many; keep them in a folder."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    # At DEBUG it tells of every variable that a template asks for in vain, with a traceback: megabytes a page.
    logging.getLogger("django.template").setLevel(logging.INFO)
    folder = Path(place)
    known = _secrets()
    password = known["admin password"] = secrets.token_urlsafe(24)
    User.objects.create_superuser("operator", password=password)
    known["TOTP seed"] = _second_factor()
    client = Client(SERVER_NAME="127.0.0.1", raise_request_exception=False)
    _keep(folder, "wrong login", client.post("/admin/login/", {"username": "operator", "password": password + "x"}))
    client.post("/admin/login/", {"username": "operator", "password": password})
    if settings.SESSION_COOKIE_NAME not in client.cookies:
        raise RuntimeError("the login failed")
    known["session cookie"] = client.cookies[settings.SESSION_COOKIE_NAME].value
    _pages(folder, client, int(most))
    known["session cookie at the end"] = client.cookies[settings.SESSION_COOKIE_NAME].value
    (folder / "secrets.json").write_text(json.dumps(known))


def _secrets() -> dict[str, str]:
    """Return the secrets that this instance knows, opened."""
    from django.conf import settings

    from ocpi import snapshot

    found = {"SECRET_KEY": settings.SECRET_KEY}
    found |= {f"FIELD_KEYS {number}": key for number, key in enumerate(settings.FIELD_KEYS)}
    for platform in snapshot.current().platforms.values():
        if platform.sealed_token:
            found[f"token for {platform.name}"] = platform.target().token
    return found


def _second_factor() -> str:
    from django.contrib.auth.models import User
    from django_otp.plugins.otp_totp.models import TOTPDevice

    return str(TOTPDevice.objects.create(user=User.objects.get(), name="phone").key)


def _pages(folder: Path, client: object, most: int) -> None:
    waiting = deque(["/admin/", "/metrics", "/readyz", "/livez", "/live/", "/docs/", "/openapi.json"])
    seen: set[str] = set()
    kinds: dict[str, int] = {}
    while waiting and len(seen) < most:
        path = waiting.popleft()
        kind = re.sub(r"[0-9]+", "N", urlsplit(path).path)
        if path in seen or kinds.get(kind, 0) >= 4:  # a few rows of each kind
            continue
        seen.add(path)
        kinds[kind] = kinds.get(kind, 0) + 1
        answer = client.get(path)  # type: ignore[attr-defined]
        text = _keep(folder, path, answer)
        if answer.status_code == 302:
            waiting.append(urljoin(path, answer.headers["Location"]))
        for link in _LINK.findall(text):
            target = urlsplit(urljoin(path, unescape(link)))
            if not target.netloc and not any(word in target.path for word in _NOT_THERE):
                waiting.append(target.path + (f"?{target.query}" if target.query else ""))


def _keep(folder: Path, path: str, answer: object) -> str:
    """Write a page down with its status and headers, but for the cookie that it sets."""
    content = b"" if getattr(answer, "streaming", False) else answer.content  # type: ignore[attr-defined]
    text = content.decode(errors="replace")
    head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())  # type: ignore[attr-defined]
    number = len(list(folder.iterdir()))
    (folder / f"{number:04}.page").write_text(f"{answer.status_code} {path}\n{head}\n{text}")  # type: ignore[attr-defined]
    return text


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    main(*sys.argv[1:])
