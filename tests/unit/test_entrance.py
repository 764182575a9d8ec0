"""The root leads somewhere, and the icon is there."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("public", "there"), [(True, "/live/"), (False, "/admin/")])
def test_the_root_leads_to_what_whoever_comes_may_see(settings: Settings, public: bool, there: str) -> None:
    settings.LIVE_PUBLIC, settings.DEBUG = public, False

    answer = Client().get("/")

    assert (answer.status_code, answer.headers["Location"]) == (302, there)
    assert Client().post("/").status_code == 405


def test_the_icon_is_an_image(settings: Settings) -> None:
    answer = Client().get("/favicon.ico")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert b"".join(answer.streaming_content).lstrip().startswith(b"<svg")  # type: ignore[attr-defined]
