"""A driver's card is blocked or let in again: its Token is kept with the other `valid`, and pushed (TOK-11, TOK-12)."""

from __future__ import annotations

import logging

from django.db import transaction

from emsp.models import Token
from emsp.modules import tokens_loading
from ocpi import documents

log = logging.getLogger(__name__)


def set_valid(token_id: int, *, valid: bool) -> bool:
    """Make a Token valid or invalid for everybody who has it; say whether it was otherwise before.

    :raises InvalidParameters: if the Token that is kept breaks its table.
    """
    with transaction.atomic():
        token = Token.objects.select_for_update().get(pk=token_id)
        if token.valid == valid:
            return False
        changed = tokens_loading.check(documents.set_member(token.document, "valid", valid).encode())
        tokens_loading.keep([changed])
    log.warning("token %s is %s by an operator", token_id, "let in again" if valid else "blocked")
    return True
