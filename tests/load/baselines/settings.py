"""The least that Django needs: no middleware, the same persistent connections as the product."""

import os

from hub import environment

SECRET_KEY = "only for the baselines of a benchmark, never used for anything else"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.load.baselines.urls"
MIDDLEWARE = ["tests.load.baselines.content_length.add"]  # else gunicorn sends chunks, which cost more
INSTALLED_APPS = ["rest_framework", "tests.load.baselines.tables"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {}
if os.environ.get("DATABASE_URL"):
    DATABASES["default"] = {**environment.database("DATABASE_URL", ""), "CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}
