"""The emsp app."""

from django.apps import AppConfig


class EmspConfig(AppConfig):
    """The receiver side: drivers, their tokens, and what they may charge at."""

    name = "emsp"
    verbose_name = "eMSP"
    default_auto_field = "django.db.models.BigAutoField"
