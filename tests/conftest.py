"""Where the fixtures come from; the servers and settings of a run are in `servers.py`, which pytest loads earlier."""

pytest_plugins = ["tests.fixtures", "tests.front_doors"]
