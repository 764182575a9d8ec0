"""Locations received and listed by DRF serializers and the ORM on three tables: how it is usually done.

Nothing is pushed to anybody here; the list prefetches, the PUT writes row by row with `update_or_create`.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from rest_framework import exceptions, serializers
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.load import registry
from tests.load.baselines.tables.models import EVSE, Connector, Location

TOKENS = {registry.authorization(registry.CPO_TOKEN), registry.authorization(registry.EMSP_TOKEN)}


class ConnectorSerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    id = serializers.CharField(source="connector_id", max_length=36)

    class Meta:
        model = Connector
        exclude = ["evse", "connector_id"]


class EvseSerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    connectors = ConnectorSerializer(many=True)

    class Meta:
        model = EVSE
        exclude = ["id", "location"]


class LocationSerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    id = serializers.CharField(source="location_id", max_length=36)
    evses = EvseSerializer(many=True)

    class Meta:
        model = Location
        exclude = ["location_id"]
        validators: list[Any] = []


class View(APIView):
    """A token is asked for, as everywhere."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.headers.get("Authorization") not in TOKENS:
            raise exceptions.PermissionDenied


def _envelope(data: Any = None) -> Response:
    return Response({"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z", "data": data})


class Locations(View):
    """A page, with its EVSEs and Connectors."""

    def get(self, request: Request) -> Response:
        pages = LimitOffsetPagination()
        pages.default_limit = 100
        found = Location.objects.prefetch_related("evses__connectors").order_by("id")
        page = pages.paginate_queryset(found, request, view=self)
        return _envelope(LocationSerializer(page, many=True).data)


class OneLocation(View):
    """A whole Location."""

    def put(self, request: Request, location_id: str) -> Response:
        given = LocationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        evses = values.pop("evses")
        with transaction.atomic():
            location, _ = Location.objects.update_or_create(
                country_code="NL", party_id="TNM", location_id=location_id, defaults=values
            )
            for evse_values in evses:
                connectors = evse_values.pop("connectors")
                evse, _ = EVSE.objects.update_or_create(
                    location=location, uid=evse_values.pop("uid"), defaults=evse_values
                )
                for connector in connectors:
                    Connector.objects.update_or_create(
                        evse=evse, connector_id=connector.pop("connector_id"), defaults=connector
                    )
        return _envelope()


class OneEvse(View):
    """What changed of an EVSE."""

    def patch(self, request: Request, location_id: str, uid: str) -> Response:
        evse = get_object_or_404(EVSE.objects.select_related("location"), location__location_id=location_id, uid=uid)
        given = EvseSerializer(evse, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            given.save()
            evse.location.last_updated = evse.last_updated
            evse.location.save()
        return _envelope()
