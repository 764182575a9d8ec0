"""Pages that show rows of another model in another light: who may see and operate them is that model's to say."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from ocpi.admin_pages import Pages


class ProxyPages(Pages):
    """A page of a proxy model."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "view") or self._may(request, "change")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change")

    def _may(self, request: HttpRequest, what: str) -> bool:
        meta = self.model._meta.concrete_model._meta
        return bool(getattr(request, "user").has_perm(f"{meta.app_label}.{what}_{meta.model_name}"))  # noqa: B009
