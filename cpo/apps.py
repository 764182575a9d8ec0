"""The cpo app."""

from django.apps import AppConfig


class CpoConfig(AppConfig):
    """The owner side: charge points, locations, tariffs, sessions, CDRs."""

    name = "cpo"
    verbose_name = "CPO"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say where this side keeps CDRs, what it keeps sealed, and which secrets are its own."""
        from cpo import live_keys
        from cpo.modules import api_tokens
        from ocpi import audit_rows, cdr_finders, live_secrets, snapshot
        from ocpi.modules import sealing

        cdr_finders.register("cpo.cdr_facts")
        audit_rows.register(
            "cdr.out", "cpo.CDR", "country_code", "party_id", "object_id", "last_updated", "document", "created_at",
            "session_id", "token_uid", "start_date_time", "emsp_country_code", "emsp_party_id", "credit",
            "original_id", "replaces_id", "reason",
        )  # fmt: skip
        sealing.register("cpo.sealed_columns")
        live_secrets.also_tokens("cpo.api_tokens", api_tokens.live)
        live_secrets.also_keys(live_keys.is_live, needed=live_keys.needed)
        snapshot.also_hear(live_keys.CHANNEL, live_keys.heard)
