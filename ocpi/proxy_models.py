"""Rows of other models in another light, for pages of the admin; their permissions say who may see them."""

from __future__ import annotations

from ocpi.models import FinishedDelivery, Platform


class Connection(Platform):
    """A platform on the page of connections."""

    class Meta:
        proxy = True
        default_permissions = ()


class Lane(Platform):
    """A platform on the page of lanes."""

    class Meta:
        proxy = True
        default_permissions = ()


class DeadLetter(FinishedDelivery):
    """A delivery that failed."""

    class Meta:
        proxy = True
        default_permissions = ()
