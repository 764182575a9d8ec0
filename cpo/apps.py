"""The cpo app."""

from django.apps import AppConfig


class CpoConfig(AppConfig):
    """The owner side: charge points, locations, tariffs, sessions, CDRs."""

    name = "cpo"
    verbose_name = "CPO"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say where this side keeps CDRs, and what it keeps sealed."""
        from ocpi import cdr_finders
        from ocpi.modules import sealing

        cdr_finders.register("cpo.cdr_facts")
        sealing.register("cpo.sealed_columns")
