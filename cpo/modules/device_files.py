"""Files that charge points fetch and leave: one-time URLs, a size limit, kept where no web server looks (OCPP-85).

A URL has a secret of 256 bits, of which only a digest is kept. It is good for one charge point's job, for a while and a
few uses: a download may break off and begin again, an upload is taken once. A file gets a name made up by us in
`OCPP_FILES_DIR`, mode 0600; the sender's name and content type decide nothing, nothing is ever run or unpacked, and it
is given back only to people in the admin, as an attachment.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F

from cpo.models import DeviceFile, DeviceJob, FileLink
from ocpi import clock

PATH = "ocpp/files"
KEPT = timedelta(days=90)
FIRMWARE_BYTES = 2 << 30
_GOOD_FOR = timedelta(days=7)
_DOWNLOADS = 20
_UPLOADS = 1
_AT_ONCE = 200


class TooLarge(Exception):
    """What comes is larger than the limit."""


class Empty(Exception):
    """Nothing came."""


class NoLink(Exception):
    """There is no such link, or it is used up or over."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A link that is being used."""

    link_id: int
    job: DeviceJob


def download_url(job: DeviceJob) -> str:
    """Return a URL from which the charge point of a job can fetch its firmware."""
    return _url(job, upload=False, uses=_DOWNLOADS)


def upload_url(job: DeviceJob) -> str:
    """Return a URL to which the charge point of a job can send its log."""
    return _url(job, upload=True, uses=_UPLOADS)


def _url(job: DeviceJob, *, upload: bool, uses: int) -> str:
    secret = secrets.token_urlsafe(32)
    FileLink.objects.create(
        digest=_digest(secret), job=job, upload=upload, uses_left=uses, expires_at=clock.now() + _GOOD_FOR
    )
    return f"{settings.OCPP_FILES_URL.rstrip('/')}/{PATH}/{secret}/"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def claim(secret: str, *, upload: bool, address: str = "") -> Claimed:
    """Take one use of a link.

    :raises NoLink: if it has none left.
    """
    now = clock.now()
    good = FileLink.objects.filter(digest=_digest(secret), upload=upload, uses_left__gt=0, expires_at__gt=now)
    link = good.select_related("job__image__file", "job__charge_point").first()
    if link is None or not good.filter(pk=link.pk).update(
        uses_left=F("uses_left") - 1, used_at=now, address=address[:64]
    ):
        raise NoLink
    return Claimed(link.pk, link.job)


def give_back(claimed: Claimed) -> None:
    """Undo a use that came to nothing, so that the charge point can try again."""
    FileLink.objects.filter(pk=claimed.link_id).update(uses_left=F("uses_left") + 1)


def close(job: DeviceJob) -> None:
    """End the links of a job that is over, but for what is still on its way to us."""
    FileLink.objects.filter(job=job, upload=False).update(uses_left=0)


def store(chunks: Iterable[bytes], *, name: str, limit: int) -> DeviceFile:
    """Write what comes to disk.

    :raises TooLarge: if it is more than `limit` bytes; nothing is left of it then.
    :raises Empty: if there are none.
    """
    folder = _folder()
    stored_as = secrets.token_hex(16)
    path, size, digest = folder / stored_as, 0, hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"more than {limit:,} bytes")
                digest.update(chunk)
                file.write(chunk)
            if not size:
                raise Empty
            file.flush()
            os.fsync(file.fileno())
        shown = os.path.basename(name.replace("\\", "/").replace("\x00", ""))[:150]
        return DeviceFile.objects.create(stored_as=stored_as, name=shown, size=size, sha256=digest.hexdigest())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def path_of(file: DeviceFile) -> Path:
    """Return where a file lies."""
    return _folder() / file.stored_as


def _folder() -> Path:
    folder = Path(settings.OCPP_FILES_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def forget_old() -> int:
    """Remove logs older than 90 days, links that are over, and files nobody knows; return how many files."""
    FileLink.objects.filter(expires_at__lt=clock.now() - _GOOD_FOR).delete()
    old = DeviceFile.objects.filter(created_at__lt=clock.now() - KEPT, images=None).order_by("pk")[:_AT_ONCE]
    removed = 0
    for file in old:
        path = path_of(file)
        with transaction.atomic():
            file.delete()
            path.unlink(missing_ok=True)
        removed += 1
    return removed
