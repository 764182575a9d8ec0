"""The URLs that charge points fetch firmware from and send logs to."""

from django.urls import path

from cpo import device_views
from cpo.modules import device_files

urlpatterns = [
    path(f"{device_files.PATH}/<str:secret>/", device_views.file, name="device-file"),
    # Some put the name of the file behind the URL they are given.
    path(f"{device_files.PATH}/<str:secret>/<path:name>", device_views.file, name="device-file-named"),
]
