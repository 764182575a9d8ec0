"""The hub app; it also brings up Celery, so that every process publishes to the same broker."""

from django.apps import AppConfig

from hub.celery import app as celery_app

__all__ = ["HubConfig", "celery_app"]


class HubConfig(AppConfig):
    """A roaming hub: connects platforms, owns nothing."""

    name = "hub"
    verbose_name = "Hub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read permissions with the registry, note who changes them, and say where the hub keeps CDRs."""
        from auditlog.registry import auditlog

        from hub import permissions
        from hub.models import Permission
        from ocpi import cdr_finders, snapshot

        snapshot.also_load(permissions.NAME, permissions.load)
        cdr_finders.register("hub.cdr_facts")
        if not auditlog.contains(Permission):
            auditlog.register(Permission)
