"""SQL that Django's models cannot say: triggers that announce registry changes, and the partitioned exchange table."""

from __future__ import annotations

from datetime import date, timedelta

CHANNEL = "ocpi_registry"

# The columns of a platform that ocpi/snapshot.py reads: failures and answer times change all day, these do not.
_PLATFORM_COLUMNS = (
    "name", "state", "connection", "version", "versions_url", "base64_token", "token_out", "hosts", "paused_reason",
    "catch_up",
)  # fmt: skip
# Those that came with the counts of deviations.
_TOLERANCE_COLUMNS = ("detects_token", "late_authorization", "authorize_seconds", "longest_address")
_OTHER_TABLES = ("ocpi_party", "ocpi_endpoint", "ocpi_credentialstoken")

NOTIFY = f"""
CREATE FUNCTION {CHANNEL}_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{CHANNEL}', '');
    RETURN NULL;
END $$;
CREATE TRIGGER announce_rows AFTER INSERT OR DELETE OR TRUNCATE ON ocpi_platform
    FOR EACH STATEMENT EXECUTE FUNCTION {CHANNEL}_changed();
CREATE TRIGGER announce_columns AFTER UPDATE ON ocpi_platform FOR EACH ROW
    WHEN (({", ".join(f"OLD.{name}" for name in _PLATFORM_COLUMNS)})
          IS DISTINCT FROM ({", ".join(f"NEW.{name}" for name in _PLATFORM_COLUMNS)}))
    EXECUTE FUNCTION {CHANNEL}_changed();
""" + "".join(
    f"CREATE TRIGGER announce_rows AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
    f"FOR EACH STATEMENT EXECUTE FUNCTION {CHANNEL}_changed();\n"
    for table in _OTHER_TABLES
)


def announce_sql(table: str) -> str:
    """Return the SQL that announces every change of a table whose rows are read with the registry."""
    return (
        f"CREATE TRIGGER announce_rows AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {CHANNEL}_changed();"
    )


NOTIFY_TOLERANCE = f"""
CREATE TRIGGER announce_tolerance AFTER UPDATE ON ocpi_platform FOR EACH ROW
    WHEN (({", ".join(f"OLD.{name}" for name in _TOLERANCE_COLUMNS)})
          IS DISTINCT FROM ({", ".join(f"NEW.{name}" for name in _TOLERANCE_COLUMNS)}))
    EXECUTE FUNCTION {CHANNEL}_changed();
"""
NOTIFY_HUBS = f"""
CREATE TRIGGER announce_hubs AFTER UPDATE ON ocpi_platform FOR EACH ROW
    WHEN ((OLD.offers_clients, OLD.speaks_for_all) IS DISTINCT FROM (NEW.offers_clients, NEW.speaks_for_all))
    EXECUTE FUNCTION {CHANNEL}_changed();
"""
NOTIFY_HUBS_REVERSE = "DROP TRIGGER IF EXISTS announce_hubs ON ocpi_platform;"
NOTIFY_TOLERANCE_REVERSE = "DROP TRIGGER IF EXISTS announce_tolerance ON ocpi_platform;"
NOTIFY_TLS = (
    "CREATE TRIGGER announce_rows AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ocpi_tlssettings "
    f"FOR EACH STATEMENT EXECUTE FUNCTION {CHANNEL}_changed();"
)
NOTIFY_TLS_REVERSE = "DROP TRIGGER IF EXISTS announce_rows ON ocpi_tlssettings;"
NOTIFY_REVERSE = f"DROP FUNCTION IF EXISTS {CHANNEL}_changed() CASCADE;"

# Partitioned by day, so that old days are dropped instead of deleted (REL-55). Rows of a day without a partition go to
# the default one.
EXCHANGES = """
CREATE TABLE ocpi_exchange (
    id bigint NOT NULL,
    at timestamptz NOT NULL,
    direction varchar(3) NOT NULL,
    platform_id bigint,
    method varchar(7) NOT NULL,
    url text NOT NULL,
    module varchar(50) NOT NULL,
    object_path varchar(300) NOT NULL,
    request_id varchar(255) NOT NULL,
    correlation_id varchar(255) NOT NULL,
    from_party varchar(6) NOT NULL,
    to_party varchar(6) NOT NULL,
    http_status smallint,
    status_code smallint,
    milliseconds double precision,
    error text NOT NULL,
    request_headers text NOT NULL,
    request_body text NOT NULL,
    response_headers text NOT NULL,
    response_body text NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE ocpi_exchange_default PARTITION OF ocpi_exchange DEFAULT;
CREATE INDEX exchange_by_platform ON ocpi_exchange (platform_id, at);
CREATE INDEX exchange_by_correlation ON ocpi_exchange (correlation_id);
"""
EXCHANGES_REVERSE = "DROP TABLE IF EXISTS ocpi_exchange CASCADE;"


def partition_name(day: date) -> str:
    """Return the table that holds the exchanges of a day (UTC)."""
    return f"ocpi_exchange_{day:%Y%m%d}"


def create_partition_sql(day: date) -> str:
    """Return the SQL that makes the partition of a day (UTC)."""
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF ocpi_exchange "
        f"FOR VALUES FROM ('{day:%Y-%m-%d} 00:00:00+00') TO ('{day + timedelta(days=1):%Y-%m-%d} 00:00:00+00')"
    )
