"""SQL of the audit trail: entries stay as they are, and each is chained to the one before (SEC-56).

An entry gets its number and hash by a deferred trigger, that is at commit. The lock that puts entries in order is held
for the length of a commit only, whatever else the transaction does before, so audited work never waits for audited
work, and an entry that is rolled back leaves no gap.
"""

_LOCK = "hashtext('ocpi_auditentry')"

# The netstrings ("5:hello") keep fields apart: no two entries write the same text. `ocpi.audit.text_of` is its twin.
CHAIN = f"""
CREATE FUNCTION ocpi_audit_text(entry ocpi_auditentry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(octet_length(field) || ':' || field, '' ORDER BY place) FROM unnest(ARRAY[
        entry.previous, entry.number::text, to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        entry.action, entry.actor, entry.about, entry.details]) WITH ORDINALITY AS fields(field, place)
$$;
CREATE FUNCTION ocpi_audit_link() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry ocpi_auditentry;
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock({_LOCK});
    SELECT * INTO entry FROM ocpi_auditentry WHERE id = NEW.id;
    SELECT number, hash INTO last FROM ocpi_auditentry WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1;
    entry.number := coalesce(last.number, 0) + 1;
    entry.previous := coalesce(last.hash, '');
    UPDATE ocpi_auditentry SET number = entry.number, previous = entry.previous,
        hash = encode(sha256(convert_to(ocpi_audit_text(entry), 'UTF8')), 'hex') WHERE id = entry.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ocpi_audit_link AFTER INSERT ON ocpi_auditentry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ocpi_audit_link();

CREATE FUNCTION ocpi_audit_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.number := NULL;
    NEW.previous := '';
    NEW.hash := '';
    NEW.at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER ocpi_audit_begin BEFORE INSERT ON ocpi_auditentry FOR EACH ROW EXECUTE FUNCTION ocpi_audit_begin();

CREATE FUNCTION ocpi_audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.number IS NULL AND NEW.number IS NOT NULL
       AND (OLD.id, OLD.at, OLD.action, OLD.actor, OLD.about, OLD.details)
           = (NEW.id, NEW.at, NEW.action, NEW.actor, NEW.about, NEW.details) THEN
        RETURN NEW;  -- it is being linked
    END IF;
    RAISE EXCEPTION 'the audit trail is never changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ocpi_audit_stays BEFORE UPDATE OR DELETE ON ocpi_auditentry
    FOR EACH ROW EXECUTE FUNCTION ocpi_audit_stays();
"""  # noqa: S608 - constants only
STAYS_WHOLE = """
CREATE TRIGGER ocpi_audit_stays_whole BEFORE TRUNCATE ON ocpi_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION ocpi_audit_stays();
"""
CHAIN_REVERSE = """
DROP FUNCTION IF EXISTS ocpi_audit_stays() CASCADE;
DROP FUNCTION IF EXISTS ocpi_audit_begin() CASCADE;
DROP FUNCTION IF EXISTS ocpi_audit_link() CASCADE;
DROP FUNCTION IF EXISTS ocpi_audit_text(ocpi_auditentry) CASCADE;
"""

# What is written whoever does it, in whatever way: a platform's state, token and hosts, its tokens, and its roles.
# Values of tokens stay where they are; digests tell nothing and say which one it was.
REGISTRY = """
CREATE FUNCTION ocpi_audit_registry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    platform bigint;
    named text;
    changes jsonb;
BEGIN
    SELECT jsonb_object_agg(column_name, CASE
               WHEN column_name IN ('token_out', 'digest') THEN '"changed"'::jsonb
               ELSE jsonb_build_array(old_row -> column_name, new_row -> column_name) END)
      INTO changes FROM unnest(TG_ARGV[1:]) AS column_name
     WHERE old_row -> column_name IS DISTINCT FROM new_row -> column_name;
    IF changes IS NULL OR coalesce(coalesce(new_row, old_row) ->> 'through_hub', '') = 'true' THEN
        RETURN NULL;  -- what a hub says about parties behind it is no decision of ours
    END IF;
    IF TG_TABLE_NAME = 'ocpi_platform' THEN
        named := coalesce(new_row ->> 'name', old_row ->> 'name');
    ELSE
        platform := coalesce(new_row ->> 'platform_id', old_row ->> 'platform_id')::bigint;
        SELECT name INTO named FROM ocpi_platform WHERE id = platform;
        named := coalesce(named, 'platform ' || platform);
        IF TG_TABLE_NAME = 'ocpi_party' THEN
            named := concat(coalesce(new_row ->> 'country_code', old_row ->> 'country_code'), '*',
                            coalesce(new_row ->> 'party_id', old_row ->> 'party_id'), ':',
                            coalesce(new_row ->> 'role', old_row ->> 'role'), ' on ', named);
        END IF;
    END IF;
    INSERT INTO ocpi_auditentry (action, actor, about, details, previous, hash)
    VALUES (TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.added' WHEN 'DELETE' THEN '.removed' ELSE '.changed' END,
            coalesce(nullif(current_setting('ocpi.actor', true), ''), 'the system'), left(named, 300),
            changes::text, '', '');
    RETURN NULL;
END $$;
CREATE TRIGGER audit_rows AFTER INSERT OR DELETE ON ocpi_platform FOR EACH ROW
    EXECUTE FUNCTION ocpi_audit_registry('platform', 'name', 'state', 'versions_url', 'hosts', 'any_role');
CREATE TRIGGER audit_columns AFTER UPDATE OF name, state, versions_url, hosts, any_role, token_out ON ocpi_platform
    FOR EACH ROW WHEN ((OLD.name, OLD.state, OLD.versions_url, OLD.hosts, OLD.any_role, OLD.token_out)
        IS DISTINCT FROM (NEW.name, NEW.state, NEW.versions_url, NEW.hosts, NEW.any_role, NEW.token_out))
    EXECUTE FUNCTION ocpi_audit_registry('platform', 'name', 'state', 'versions_url', 'hosts', 'any_role', 'token_out');
CREATE TRIGGER audit_rows AFTER INSERT OR UPDATE OR DELETE ON ocpi_credentialstoken FOR EACH ROW
    EXECUTE FUNCTION ocpi_audit_registry('token', 'purpose', 'last_four', 'expires_at', 'digest');
CREATE TRIGGER audit_rows AFTER INSERT OR UPDATE OR DELETE ON ocpi_party FOR EACH ROW
    EXECUTE FUNCTION ocpi_audit_registry('role', 'role', 'approved', 'claimed');
"""
REGISTRY_REVERSE = "DROP FUNCTION IF EXISTS ocpi_audit_registry() CASCADE;"

# Since when a platform is as it is, whoever changed it.
CONNECTION_SINCE = """
CREATE FUNCTION ocpi_connection_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.connection = NEW.connection AND (OLD.paused_reason = '') = (NEW.paused_reason = '') THEN
        NEW.connection_since := OLD.connection_since;
    ELSE
        NEW.connection_since := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER connection_since BEFORE INSERT OR UPDATE OF connection, paused_reason, connection_since ON ocpi_platform
    FOR EACH ROW EXECUTE FUNCTION ocpi_connection_since();
"""
CONNECTION_SINCE_REVERSE = "DROP FUNCTION IF EXISTS ocpi_connection_since() CASCADE;"
