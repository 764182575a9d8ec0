"""The emsp app."""

from django.apps import AppConfig


class EmspConfig(AppConfig):
    """The receiver side: drivers, their tokens, and what they may charge at."""

    name = "emsp"
    verbose_name = "eMSP"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say where this side keeps CDRs."""
        from ocpi import cdr_finders

        cdr_finders.register("emsp.modules.cdr_facts")
