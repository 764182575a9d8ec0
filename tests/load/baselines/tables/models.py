"""Three tables with foreign keys, a column per field; and the two of the one-statement baseline."""

from __future__ import annotations

from django.db import models


class Location(models.Model):
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    location_id = models.CharField(max_length=36)
    publish = models.BooleanField(default=True)
    name = models.CharField(max_length=255, blank=True)
    address = models.CharField(max_length=45)
    city = models.CharField(max_length=45)
    postal_code = models.CharField(max_length=10, blank=True)
    country = models.CharField(max_length=3)
    coordinates = models.JSONField()
    parking_type = models.CharField(max_length=50, blank=True)
    operator = models.JSONField(null=True)
    facilities = models.JSONField(default=list)
    time_zone = models.CharField(max_length=255)
    opening_times = models.JSONField(null=True)
    images = models.JSONField(default=list)
    directions = models.JSONField(default=list)
    energy_mix = models.JSONField(null=True)
    last_updated = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["country_code", "party_id", "location_id"], name="one_location")]


class EVSE(models.Model):
    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="evses")
    uid = models.CharField(max_length=36)
    evse_id = models.CharField(max_length=48, blank=True)
    status = models.CharField(max_length=20)
    capabilities = models.JSONField(default=list)
    floor_level = models.CharField(max_length=4, blank=True)
    physical_reference = models.CharField(max_length=16, blank=True)
    coordinates = models.JSONField(null=True)
    directions = models.JSONField(default=list)
    images = models.JSONField(default=list)
    parking_restrictions = models.JSONField(default=list)
    last_updated = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["location", "uid"], name="one_evse")]


class Connector(models.Model):
    evse = models.ForeignKey(EVSE, on_delete=models.CASCADE, related_name="connectors")
    connector_id = models.CharField(max_length=36)
    standard = models.CharField(max_length=50)
    format = models.CharField(max_length=10)
    power_type = models.CharField(max_length=20)
    max_voltage = models.IntegerField()
    max_amperage = models.IntegerField()
    max_electric_power = models.IntegerField(null=True)
    tariff_ids = models.JSONField(default=list)
    terms_and_conditions = models.CharField(max_length=255, blank=True)
    last_updated = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["evse", "connector_id"], name="one_connector")]


class PlainLocation(models.Model):
    location_id = models.CharField(max_length=36, unique=True)
    last_updated = models.DateTimeField()


class PlainEvse(models.Model):
    location = models.ForeignKey(PlainLocation, on_delete=models.CASCADE)
    uid = models.CharField(max_length=36, unique=True)
    document = models.JSONField()
    last_updated = models.DateTimeField()
