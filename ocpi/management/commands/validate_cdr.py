"""Another name for `check_cdr`."""

from ocpi.management.commands.check_cdr import Command

__all__ = ["Command"]
