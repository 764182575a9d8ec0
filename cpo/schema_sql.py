"""SQL that models cannot say: kept counts of the lists, and CDRs that nobody can change."""

from __future__ import annotations

from ocpi import counts, list_sql

_PARTY = "upper(country_code) || '*' || upper(party_id)"
_COLUMNS = "country_code, party_id"
_EMSP = f"{_PARTY} || ' ' || upper(emsp_country_code) || '*' || upper(emsp_party_id)"

# The first migration's: table → scope, and the columns whose change moves a row into another scope.
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

# In whose list a row is; what is left out of it (LOC-15) has a scope of its own, what is private or deleted has none.
_SCOPES = {
    "cpo_location": f"CASE WHEN NOT private THEN CASE WHEN hidden THEN '-' ELSE '' END || {_PARTY} END",
    "cpo_tariff": f"CASE WHEN deleted_at IS NULL THEN {_PARTY} END",
    "cpo_session": _EMSP,
    "cpo_cdr": _EMSP,
}
LISTS = [*COUNTS_REVERSE, *(sql for table, scope in _SCOPES.items() for sql in list_sql.listed(table, scope))]
LISTS_REVERSE = [sql for table in _SCOPES for sql in list_sql.not_listed(table)]

# REL-46: a Credit CDR takes back an existing CDR of the same owner, and so does the CDR that follows it (CDR-24).
CREDITS = """
CREATE FUNCTION cpo_cdr_credits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM cpo_cdr c WHERE c.id = COALESCE(NEW.original_id, NEW.replaces_id) AND NOT c.credit
        AND UPPER(c.country_code) = UPPER(NEW.country_code) AND UPPER(c.party_id) = UPPER(NEW.party_id)
    ) THEN
        RAISE EXCEPTION 'CDR % names no CDR of its owner', NEW.object_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER cpo_cdr_credits BEFORE INSERT ON cpo_cdr FOR EACH ROW
    WHEN (NEW.original_id IS NOT NULL OR NEW.replaces_id IS NOT NULL) EXECUTE FUNCTION cpo_cdr_credits();
"""
CREDITS_REVERSE = "DROP FUNCTION cpo_cdr_credits() CASCADE;"
