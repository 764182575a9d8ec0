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
        """Read permissions with the registry, hear of known ids, note who changes rules, say where CDRs are.

        Lines of the log are looked through for live secrets from now on.
        """
        from auditlog.registry import auditlog

        from hub import known_objects, log_lines, permissions
        from hub.models import Permission
        from ocpi import cdr_finders, live_secrets, snapshot

        snapshot.also_load(permissions.NAME, permissions.load)
        snapshot.also_hear(known_objects.CHANNEL, known_objects.heard)
        cdr_finders.register("hub.cdr_facts")
        log_lines.also_hide(live_secrets.hide_at_hand)
        if not auditlog.contains(Permission):
            auditlog.register(Permission)
