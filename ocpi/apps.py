"""The protocol app; it also registers the checks of the settings."""

from django.apps import AppConfig

from ocpi import checks as checks  # registers them


class OcpiConfig(AppConfig):
    """The protocol: what every platform must know."""

    name = "ocpi"
    verbose_name = "OCPI"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Begin to write down logins, and limit transactions: their signals need all models."""
        from ocpi import audit_accounts, transaction_limits

        audit_accounts.connect()
        transaction_limits.connect()
