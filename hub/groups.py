"""The three groups of people that an admin has: who looks, who operates, and who decides whom we trust (SEC-53)."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

VIEWER, OPERATOR, SECURITY = "viewer", "operator", "security"

_OURS = ("ocpi", "hub", "cpo", "emsp")
_ACCOUNTS = ("auth", "axes", "auditlog")
# Rows that say whom we trust: roles and hosts of partners, tokens and keys. The buttons stand on a platform's page.
_TRUST = (
    ("ocpi", "party"), ("ocpi", "requestedhost"), ("ocpi", "credentialstoken"), ("ocpi", "tlssettings"),
    ("ocpi", "meterkey"), ("cpo", "apitoken"), ("cpo", "certificateauthority"),
)  # fmt: skip


def create(*, anew: bool = False) -> dict[str, int]:
    """Make the groups; return how many rights each of those has that were made.

    A group that is there stays as people made it, unless all are to be made `anew`.
    """
    trust = Q(pk__in=[])
    for app, model in _TRUST:
        trust |= Q(content_type__app_label=app, content_type__model=model)
    looking = Q(content_type__app_label__in=_OURS, codename__startswith="view_")
    platforms = Q(content_type__app_label="ocpi", codename="change_platform")
    rights = {
        VIEWER: looking,
        OPERATOR: looking | (Q(content_type__app_label__in=_OURS) & ~trust),
        SECURITY: looking | trust | platforms | Q(content_type__app_label__in=_ACCOUNTS),
    }
    made = {}
    for name, which in rights.items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new or anew:
            found = Permission.objects.filter(which)
            group.permissions.set(found)
            made[name] = len(found)
    return made
