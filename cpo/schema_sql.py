"""SQL that models cannot say: kept counts of the lists, and CDRs that nobody can change."""

from __future__ import annotations

from ocpi import counts

_PARTY = "upper(country_code) || '*' || upper(party_id)"
_COLUMNS = "country_code, party_id"
_EMSP = f"{_PARTY} || ' ' || upper(emsp_country_code) || '*' || upper(emsp_party_id)"

# table → scope, and the columns whose change moves a row into another scope.
_COUNTED: dict[str, tuple[str, str]] = {
    "cpo_location": (f"CASE WHEN hidden THEN '-' ELSE '' END || {_PARTY}", "hidden"),
    "cpo_tariff": (f"CASE WHEN deleted_at IS NOT NULL THEN '-' ELSE '' END || {_PARTY}", "deleted_at"),
    "cpo_session": (_EMSP, ""),
    "cpo_cdr": (_EMSP, ""),
    "cpo_token": (_PARTY, ""),
}

COUNTS = [
    sql
    for table, (scope, moving) in _COUNTED.items()
    for sql in (
        counts.migration_sql(table, scope),
        *([counts.scope_change_sql(table, scope, f"{moving}, {_COLUMNS}")] if moving else []),
    )
]
COUNTS_REVERSE = [counts.reverse_sql(table) for table in _COUNTED]

# REL-46: refused by the database, not only by code.
CDRS = """
CREATE FUNCTION cpo_cdr_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a CDR is never changed or deleted (%)', OLD.object_id USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER cpo_cdr_stays BEFORE UPDATE OR DELETE ON cpo_cdr FOR EACH ROW EXECUTE FUNCTION cpo_cdr_stays();
"""
CDRS_REVERSE = "DROP FUNCTION cpo_cdr_stays() CASCADE;"
