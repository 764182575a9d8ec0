"""The emsp app."""

from django.apps import AppConfig


class EmspConfig(AppConfig):
    """The receiver side: drivers, their tokens, and what they may charge at."""

    name = "emsp"
    verbose_name = "eMSP"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say where this side keeps CDRs."""
        from ocpi import audit_rows, cdr_finders

        cdr_finders.register("emsp.modules.cdr_facts")
        audit_rows.register(
            "cdr.in", "emsp.CDR", "country_code", "party_id", "object_id", "last_updated", "document", "created_at",
            "platform_id", "key", "digest", "session_id", "credit_reference_id", "token_uid", "start_date_time",
        )  # fmt: skip
