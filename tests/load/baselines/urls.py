"""Where the baselines' views are."""

from __future__ import annotations

import os

from django.urls import URLPattern, re_path

from tests.load.baselines import drf_forward

urlpatterns: list[URLPattern] = [
    re_path(r"^ocpi/hub/2.2.1/sender/(?P<rest>sessions/.*)$", drf_forward.Forward.as_view()),
]

if os.environ.get("DATABASE_URL"):
    from tests.load.baselines import one_statement, three_tables

    urlpatterns += [
        re_path(r"^three/locations$", three_tables.Locations.as_view()),
        re_path(r"^three/locations/NL/TNM/(?P<location_id>[^/]+)$", three_tables.OneLocation.as_view()),
        re_path(r"^three/locations/NL/TNM/(?P<location_id>[^/]+)/(?P<uid>[^/]+)$", three_tables.OneEvse.as_view()),
        re_path(r"^one/locations/NL/TNM/(?P<location_id>[^/]+)/(?P<uid>[^/]+)$", one_statement.patch_evse),
    ]
