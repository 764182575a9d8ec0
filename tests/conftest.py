"""Where the fixtures come from; the servers and settings of a run are in `servers.py`, which pytest loads earlier."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.fixtures", "tests.front_doors"]

# A busy machine is no failure of the code.
settings.register_profile("house", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
