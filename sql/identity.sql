-- This table and no other. A mapping is tied to a table, whatever its name. It remembers the name that the table had when it was
-- registered, and what row-level security made of the reading of the mapping's role. Where another table has that name now, or the role
-- may read other rows than it might, only a person knows what is meant.

-- A name as it stands in mapping.registered_as: quoted where it must be, and with its schema, whatever the search_path.
CREATE FUNCTION sheet_sync._full_name(target oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target
$$;

-- What else has the name under which a table was registered; null where nothing has. A view that shows the table under its former name
-- leaves it in use.
CREATE FUNCTION sheet_sync._name_taken_by(target oid, registered_as text) RETURNS oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.oid FROM pg_class c
    WHERE c.oid = to_regclass(registered_as) AND c.oid <> target AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
      AND NOT EXISTS (SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                      WHERE w.ev_class = c.oid AND w.ev_type = '1' AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target)
$$;

-- Whether policies decide which rows of a table a role reads: what row_security_active() says of whoever asks, of somebody else.
-- This and the next become a part of the statements that call them, which a search_path of their own would prevent: all of those have one.
CREATE FUNCTION sheet_sync._is_filtered(target oid, reader oid) RETURNS boolean
    LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_class c JOIN pg_roles r ON r.oid = reader
                   WHERE c.oid = target AND c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
                     AND (c.relforcerowsecurity OR NOT pg_has_role(reader, c.relowner, 'USAGE')))
$$;

-- The policies that decide it.
CREATE FUNCTION sheet_sync._reading_policies(target oid, reader oid) RETURNS TABLE (policy oid)
    LANGUAGE sql STABLE ROWS 2 AS $$
    SELECT p.oid FROM pg_policy p
    WHERE p.polrelid = target AND p.polcmd IN ('*', 'r')
      AND EXISTS (SELECT FROM unnest(p.polroles) r(role) WHERE r.role = 0 OR pg_has_role(reader, r.role, 'USAGE'))
$$;

-- Moves whenever they change, or a function that they call does; empty where there is nothing of it. Asked in every turn: no
-- expression is printed, as that would wait for locks on tables that a policy looks into.
CREATE FUNCTION sheet_sync._policies_seen(target oid, reader oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN sheet_sync._is_filtered(target, reader) THEN (
        SELECT 'policies' || COALESCE(string_agg(format(' %s:%s', p.oid, p.xmin) || COALESCE(f.seen, ''), '' ORDER BY p.oid), '')
        FROM sheet_sync._reading_policies(target, reader) x JOIN pg_policy p ON p.oid = x.policy
        LEFT JOIN LATERAL (SELECT string_agg(format(',%s:%s', f.oid, f.xmin), '' ORDER BY f.oid) AS seen
                           FROM pg_depend d JOIN pg_proc f ON f.oid = d.refobjid
                           WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass) f ON true
        ) ELSE '' END
$$;

-- Which rows of a table row-level security lets a role read, in words that a dump keeps; null where it hides none.
CREATE FUNCTION sheet_sync._readable_rows(target oid, reader oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN NOT sheet_sync._is_filtered(target, reader) THEN NULL
        WHEN bool_and(p.polpermissive) AND bool_or(pg_get_expr(p.polqual, p.polrelid) = 'true') THEN NULL
        ELSE COALESCE(string_agg(format('%s%I USING (%s)', CASE WHEN p.polpermissive THEN '' ELSE 'restrictive ' END, p.polname,
                                        COALESCE(regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\n\s*', ' ', 'g'), 'false')) || COALESCE(f.versions, ''),
                                 ', ' ORDER BY p.polname), 'none') END
    FROM sheet_sync._reading_policies(target, reader) x JOIN pg_policy p ON p.oid = x.policy
    LEFT JOIN LATERAL (SELECT string_agg(format(' with %s as of %s', f.oid::regprocedure, to_hex(hashtext(pg_get_functiondef(f.oid)))), '' ORDER BY f.oid::regprocedure::text) AS versions
                       FROM pg_depend d JOIN pg_proc f ON f.oid = d.refobjid
                       WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass AND f.prokind <> 'a') f ON true
$$;

-- Which table a mapping's statements find under its name, whose it is, and what its role reads of it. What was read or changed while
-- this was otherwise is not believed. Asked in every turn, so it asks no more than it must.
CREATE FUNCTION sheet_sync._identity(m sheet_sync.mapping) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws(' ', c.oid, c.relowner, t.name, m.registered_as,
                     CASE WHEN t.name <> m.registered_as THEN sheet_sync._name_taken_by(c.oid, m.registered_as) END,
                     CASE WHEN c.relrowsecurity THEN sheet_sync._policies_seen(c.oid, m.run_as) END)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL format('%I.%I', n.nspname, c.relname) t(name)
    WHERE c.oid = m.table_name
$$;

-- Why a mapping's table may not be the one that is meant, or not all of it; no line where all is as it was agreed on.
CREATE FUNCTION sheet_sync._doubts(m sheet_sync.mapping) RETURNS TABLE (reason text, message text, hint text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'table_swapped',
           format('table %s was renamed to %s, and %s is named %s now', m.registered_as, t.name,
                  CASE o.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table' ELSE 'another table' END,
                  m.registered_as),
           CASE WHEN o.relkind IN ('r', 'p')
                THEN format('To go on with the table that is named %s now: SELECT sheet_sync.follow_name(%s); To stay with %s: SELECT sheet_sync.resume(%L);', m.registered_as, m.id, t.name, t.name)
                ELSE format('To stay with %s: SELECT sheet_sync.resume(%L); Or end the mapping: SELECT sheet_sync.unregister_table(%L);', t.name, t.name, t.name) END
    FROM sheet_sync._full_name(m.table_name) t(name) JOIN pg_class o ON o.oid = sheet_sync._name_taken_by(m.table_name, m.registered_as)
    UNION ALL
    SELECT 'row_security',
           CASE WHEN m.readable_rows IS NULL
                THEN format('row-level security applies to role %s on table %s now, and rows that it hides would leave the sheet (policies: %s)', m.run_as, t.name, r.rows)
                WHEN r.rows IS NULL
                THEN format('row-level security no longer hides any row of table %s from role %s: those that it hid would come into the sheet (policies before: %s)', t.name, m.run_as, m.readable_rows)
                ELSE format('the policies that decide which rows of table %s role %s reads have changed: rows may leave the sheet, or come into it (policies before: %s; now: %s)',
                            t.name, m.run_as, m.readable_rows, r.rows) END,
           CASE WHEN m.readable_rows IS NULL
                THEN format('Once %s may read all rows again it goes on by itself: ALTER TABLE %s NO FORCE ROW LEVEL SECURITY; or a policy for %s with USING (true). ', m.run_as, t.name, m.run_as)
                ELSE 'Where the policies become again what they were, it goes on by itself. ' END
           || format('If the sheet shall have the rows that %s may read now: SELECT sheet_sync.resume(%L);', m.run_as, t.name)
    FROM sheet_sync._full_name(m.table_name) t(name), sheet_sync._readable_rows(m.table_name, m.run_as) r(rows)
    WHERE r.rows IS DISTINCT FROM m.readable_rows
    LIMIT 1
$$;

-- Take as agreed on how things are now: the table with the name that it has, and the rows that the mapping's role may read.
CREATE FUNCTION sheet_sync._agree(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping;
BEGIN
    UPDATE sheet_sync.mapping x
    SET registered_as = sheet_sync._full_name(x.table_name), readable_rows = sheet_sync._readable_rows(x.table_name, x.run_as)
    WHERE x.id = mapping_id RETURNING x.* INTO m;
    IF m.readable_rows IS NOT NULL THEN
        RAISE NOTICE 'row-level security applies to role % on table %: the sheet has only the rows that it lets the role read', m.run_as, m.registered_as
            USING DETAIL = format('Policies: %s.', m.readable_rows),
                  HINT = 'The sync worker''s session has none of the settings that an application makes: a policy that asks current_setting() hides there what it hides without them.';
    END IF;
END
$$;

-- A person's answer is to the question that stands: what has become otherwise since is asked anew. Where nothing is in doubt, the table's
-- name may have become another one, and is the agreed one from now on.
CREATE FUNCTION sheet_sync._answer_doubts(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    doubt record;
    m sheet_sync.mapping;
BEGIN
    SELECT x.* INTO m FROM sheet_sync.mapping x WHERE x.id = mapping_id;
    SELECT d.* INTO doubt FROM sheet_sync._doubts(m) d;
    IF NOT FOUND OR doubt.reason = 'table_swapped' AND m.reason = format('%s: %s', doubt.reason, doubt.message) THEN
        UPDATE sheet_sync.mapping x SET registered_as = sheet_sync._full_name(x.table_name) WHERE x.id = mapping_id;
    ELSIF doubt.reason = 'row_security' AND m.reason = format('%s: %s', doubt.reason, doubt.message) THEN
        PERFORM sheet_sync._agree(mapping_id);
    END IF;
END
$$;

-- The table was dropped: the mapping ends, and says so until somebody has taken note. Its table's number may be another table's in time,
-- and in a dump it would be that from the start, so it goes.
CREATE FUNCTION sheet_sync._end_mapping(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    PERFORM set_config('sheet_sync.following', 'on', true);
    UPDATE sheet_sync.mapping m
    SET table_name = NULL, state = 'ended', retry_at = NULL,
        reason = format('table_dropped: the table was dropped (it was registered as %s)', m.registered_as),
        hint = format('Table and mapping are gone, the sheet stays as it is: SELECT sheet_sync.dismiss(%s) takes this line away. Where a table is named %s again, SELECT sheet_sync.follow_name(%s) ties the mapping to it.',
                      m.id, m.registered_as, m.id)
    WHERE m.id = mapping_id AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.table_name);
    PERFORM set_config('sheet_sync.following', 'off', true);
    DELETE FROM sheet_sync._stop s WHERE s.mapping_id = mapping_id;
END
$$;

-- A mapping that is named by its number, for a role that may act as the mapping's.
CREATE FUNCTION sheet_sync._mapping_for(caller oid, mapping_id integer) RETURNS sheet_sync.mapping
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping;
BEGIN
    SELECT x.* INTO m FROM sheet_sync.mapping x WHERE x.id = mapping_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no mapping %', mapping_id
            USING ERRCODE = 'undefined_object', HINT = 'SELECT mapping_id, table_name, sheet FROM sheet_sync.status lists the mappings.';
    ELSIF NOT pg_has_role(caller, m.run_as, 'USAGE') THEN
        RAISE EXCEPTION 'mapping % belongs to another role', mapping_id
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('It was set up by role %s; role %I is not a member of it.', m.run_as, pg_get_userbyid(caller)),
                  HINT = 'Ask that role, or become it with SET ROLE.';
    END IF;
    RETURN m;
END
$$;

CREATE FUNCTION sheet_sync._dismiss(caller oid, mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping := sheet_sync._mapping_for(caller, mapping_id);
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = m.table_name) THEN
        RAISE EXCEPTION 'mapping % has not ended', mapping_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('SELECT sheet_sync.unregister_table(%L); ends the mappings of its table.', m.table_name);
    END IF;
    DELETE FROM sheet_sync.mapping x WHERE x.id = mapping_id;
END
$$;

-- Tie a mapping to the table that has the name now under which it was registered. Which rows of it were agreed on nobody knows, so both
-- sides are merged afresh, which deletes nothing. Answers the table, and the filter, which is still to be tried on it in the caller's name.
CREATE FUNCTION sheet_sync._follow_name(caller oid, mapping_id integer, OUT target regclass, OUT row_filter text)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping := sheet_sync._mapping_for(caller, mapping_id);
    other record;
    gone text;
BEGIN
    target := to_regclass(m.registered_as);
    IF target IS NULL THEN
        RAISE EXCEPTION 'no table is named % now', m.registered_as
            USING ERRCODE = 'undefined_table',
                  HINT = CASE WHEN m.state = 'ended' THEN format('SELECT sheet_sync.dismiss(%s) takes the mapping away.', mapping_id)
                              ELSE format('The mapping follows its table by itself, which is named %s now.', m.table_name) END;
    ELSIF target = m.table_name THEN
        RAISE EXCEPTION 'mapping % is tied to table % already', mapping_id, target
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT mapping_id, state, reason, hint FROM sheet_sync.status shows what stands.';
    END IF;
    -- The sheet is of one owner and the table that has the name may be of another: only who may speak for both can tie them.
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = m.table_name) THEN
        PERFORM sheet_sync._require_owner(caller, m.table_name);
    END IF;
    PERFORM sheet_sync._check_table(caller, target, m.direction);
    PERFORM sheet_sync._check_key(target, sheet_sync._key_columns(target, m.key_columns));
    SELECT x.id, x.table_name INTO other FROM sheet_sync.mapping x
    WHERE x.id <> mapping_id AND x.state <> 'ended' AND x.spreadsheet_id = m.spreadsheet_id
      AND (x.sheet_id = m.sheet_id OR lower(x.sheet_title) = lower(m.sheet_title)) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'table % is mapped to the tab of mapping % already', other.table_name, mapping_id
            USING ERRCODE = 'duplicate_object', DETAIL = format('By mapping %s.', other.id),
                  HINT = format('End one of the two: SELECT sheet_sync.%s;', CASE WHEN m.state = 'ended' THEN format('dismiss(%s)', mapping_id) ELSE format('unregister_table(%L)', m.table_name) END);
    END IF;
    SELECT string_agg(quote_ident(c.column_name), ', ' ORDER BY c.position) INTO gone FROM sheet_sync.mapping_column c
    WHERE c.mapping_id = mapping_id
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped);
    IF FOUND AND gone IS NOT NULL THEN
        RAISE NOTICE 'table % does not have all mapped columns: % will be left alone in the sheet', target, gone;
    END IF;

    PERFORM sheet_sync._drop_triggers(mapping_id);
    PERFORM set_config('sheet_sync.following', 'on', true);
    UPDATE sheet_sync.mapping x
    SET table_name = target, run_as = (SELECT c.relowner FROM pg_class c WHERE c.oid = target)::regrole,
        state = CASE WHEN x.state = 'ended' THEN 'initialising' ELSE x.state END
    WHERE x.id = mapping_id;
    PERFORM set_config('sheet_sync.following', 'off', true);
    -- No column has the number 0: those that the table does not have leave, as after DROP COLUMN.
    UPDATE sheet_sync.mapping_column c
    SET attnum = COALESCE((SELECT a.attnum FROM pg_attribute a
                           WHERE a.attrelid = target AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped), 0)
    WHERE c.mapping_id = mapping_id;
    PERFORM sheet_sync._merge_afresh(mapping_id);
    UPDATE sheet_sync._cycle c SET layout = NULL, labels = NULL WHERE c.mapping_id = mapping_id;
    PERFORM sheet_sync._make_triggers(mapping_id);
    PERFORM sheet_sync._follow_columns(mapping_id);
    PERFORM sheet_sync._agree(mapping_id);
    row_filter := m.row_filter;
END
$$;
