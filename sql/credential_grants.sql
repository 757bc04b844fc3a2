-- Who may register tables with the account of a credential, and in which spreadsheets: whatever that account can read, whoever uses it can
-- have in a table. Superusers need no grant. Looked at where a table is registered, and not afterwards, as Postgres does with the
-- USAGE of a foreign server.

CREATE TABLE sheet_sync._credential_grant (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    credential     text NOT NULL,
    role           oid NOT NULL,
    spreadsheet_id text,
    granted_at     timestamptz NOT NULL DEFAULT pg_catalog.now()
);
-- Hides it from pg_read_all_data, as the other private tables are hidden.
ALTER TABLE sheet_sync._credential_grant ENABLE ROW LEVEL SECURITY;
CREATE UNIQUE INDEX _credential_grant_of ON sheet_sync._credential_grant (credential, role, COALESCE(spreadsheet_id, ''));
COMMENT ON TABLE sheet_sync._credential_grant IS 'Which roles may use which credentials. Not dumped: it goes with the keys.';
COMMENT ON COLUMN sheet_sync._credential_grant.role IS '0 stands for every role.';
COMMENT ON COLUMN sheet_sync._credential_grant.spreadsheet_id IS 'Null where it is granted for every spreadsheet that the account can open.';

CREATE VIEW sheet_sync.credential_grant AS
SELECT g.credential, CASE WHEN g.role = 0 THEN 'public' ELSE r.rolname::text END AS role, g.spreadsheet_id, g.granted_at
FROM sheet_sync._credential_grant g LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.role
WHERE g.role = 0 OR r.oid IS NOT NULL;
COMMENT ON VIEW sheet_sync.credential_grant IS 'What grant_credential() has granted. For superusers, who may grant SELECT on it to others.';

-- Without a spreadsheet: whether for every one.
CREATE FUNCTION sheet_sync._may_use_credential(caller oid, credential text, spreadsheet_id text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = caller)
        OR EXISTS (SELECT FROM sheet_sync.credential_grant g
                   WHERE g.credential = _may_use_credential.credential AND (g.role = 'public' OR pg_has_role(caller, g.role, 'USAGE'))
                     AND (g.spreadsheet_id IS NULL OR g.spreadsheet_id = _may_use_credential.spreadsheet_id))
$$;

CREATE FUNCTION sheet_sync._require_credential(caller oid, credential text, spreadsheet_id text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    IF sheet_sync._may_use_credential(caller, credential, spreadsheet_id) IS NOT TRUE THEN
        RAISE EXCEPTION 'role % may not use credential "%" with %', quote_ident(pg_get_userbyid(caller)), credential,
                        CASE WHEN spreadsheet_id IS NULL THEN 'every spreadsheet' ELSE 'this spreadsheet' END
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('A superuser can allow it: SELECT sheet_sync.grant_credential(%L, %L%s);', credential, pg_get_userbyid(caller),
                                CASE WHEN spreadsheet_id IS NULL THEN '' ELSE format(', ARRAY[%L]', spreadsheet_id) END);
    ELSIF credential <> 'default' AND NOT EXISTS (SELECT FROM sheet_sync._credential c WHERE c.name = credential) THEN
        RAISE EXCEPTION 'there is no credential "%"', credential
            USING ERRCODE = 'undefined_object', HINT = format('SELECT sheet_sync.set_credential(%L, pg_read_file(''/path/key.json'')::jsonb);', credential);
    END IF;
END
$$;

-- The role that is named, or 0 for everybody.
CREATE FUNCTION sheet_sync._grantee(role text) RETURNS oid
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    found oid := CASE WHEN role = 'public' THEN 0 ELSE (SELECT r.oid FROM pg_roles r WHERE r.rolname = role) END;
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION 'role "%" does not exist', role
            USING ERRCODE = 'undefined_object', HINT = 'Give the name of a role, as \du shows it, or ''public'' for everybody.';
    END IF;
    RETURN found;
END
$$;

-- Grants add up.
CREATE FUNCTION sheet_sync._grant_credential(caller oid, credential text, role text, spreadsheets text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    PERFORM sheet_sync._require_credential(caller, credential, spreadsheet_id) FROM unnest(COALESCE(spreadsheets, ARRAY[NULL])) s(spreadsheet_id);
    INSERT INTO sheet_sync._credential_grant (credential, role, spreadsheet_id)
    SELECT credential, sheet_sync._grantee(role), s.id FROM unnest(COALESCE(spreadsheets, ARRAY[NULL])) s(id)
    ON CONFLICT DO NOTHING;
END
$$;

-- Answers whether there was anything to take away.
CREATE FUNCTION sheet_sync._revoke_credential(caller oid, credential text, role text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    grantee oid := sheet_sync._grantee(role);
    granted boolean;
    used text;
BEGIN
    DELETE FROM sheet_sync._credential_grant g WHERE g.credential = credential AND g.role = grantee;
    granted := FOUND;
    SELECT string_agg(m.table_name::text, ', ' ORDER BY m.id) INTO used FROM sheet_sync.mapping m
    WHERE m.credential = credential AND m.state <> 'ended' AND sheet_sync._may_use_credential(m.run_as, credential, m.spreadsheet_id) IS NOT TRUE
      AND (grantee = 0 OR pg_has_role(m.run_as, grantee, 'USAGE'));
    IF used IS NOT NULL THEN
        RAISE NOTICE 'mappings that exist go on: %', used USING HINT = 'sheet_sync.unregister_table() ends them.';
    END IF;
    RETURN granted;
END
$$;
