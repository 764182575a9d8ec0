"""Links from whatever an admin page shows to the messages it came with or went out with."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html

# Which module a document belongs to, by the name of its model.
_MODULES = {
    "location": "locations",
    "tariff": "tariffs",
    "session": "sessions",
    "cdr": "cdrs",
    "token": "tokens",
}
_LINK = '<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>'


def picture_url(correlation_id: str) -> str:
    """Return the page that shows a message's way through this platform."""
    return f"{reverse('admin:ocpi_exchange_message')}?{urlencode({'id': correlation_id})}"


def to_picture(correlation_id: str) -> str:
    """Return a correlation id as a link to its message."""
    return format_html(_LINK, picture_url(correlation_id), correlation_id) if correlation_id else "–"


def picture_link(correlation_id: str) -> str:
    """Return a short link to the picture of a message, for lists."""
    return format_html(_LINK, picture_url(correlation_id), "picture") if correlation_id else ""


def of_object(row: Any) -> str:
    """Return a link to the exchanges about a stored object, or nothing if there is no such module."""
    name = str(row._meta.model_name)
    module = row.module if name == "sharedobject" else _MODULES.get(name, "")
    object_id = row.path.partition("/")[0] if name == "sharedobject" else getattr(row, "object_id", "")
    if not module or not object_id:
        return "–"
    query = urlencode({"object": object_id, "module": module})
    return format_html(_LINK, f"{reverse('admin:ocpi_exchange_changelist')}?{query}", f"exchanges about {object_id}")


def has_messages(model: Any) -> bool:
    """Say whether exchanges about rows of a model can be found."""
    return str(model._meta.model_name) in ("sharedobject", *_MODULES)
