"""What the owner side keeps sealed, for whoever changes the keys (SEC-04)."""

from __future__ import annotations

from functools import partial
from typing import Any

from cpo.models import CertificateAuthority
from cpo.modules.certificates_backends import context
from ocpi.modules.sealing import Column


def _context(name: str, row: Any) -> str:
    return context(row.country_code, row.party_id, name)


COLUMNS = [Column(CertificateAuthority, name, partial(_context, name)) for name in ("key", "token")]
