-- Dump and restore. The mappings are dumped as lines with names in place of numbers, whoever dumps; each line that a restore brings is
-- looked up by itself.

-- A line for each mapping that the caller may know of: its table is one that the caller may read, or, where that is gone, it was set
-- up by a role that the caller is a member of. pg_read_all_data reads every table, so it gets the line of one that is gone, too. Called
-- by _lines_to_dump() as the extension's owner, so that row-level security, which pg_dump takes for an error, decides nothing here.
-- Keys are not in it.
CREATE FUNCTION sheet_sync._lines_for(caller oid) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (to_jsonb(m) || jsonb_build_object(
                'table_name', sheet_sync._full_name(m.table_name),
                'run_as', (SELECT r.rolname FROM pg_roles r WHERE r.oid = m.run_as),
                'columns', (SELECT jsonb_agg(to_jsonb(c) - 'mapping_id' - 'attnum' - 'header_known' ORDER BY c.position)
                            FROM sheet_sync.mapping_column c WHERE c.mapping_id = m.id)))::text
    FROM sheet_sync.mapping m
    WHERE COALESCE(has_table_privilege(caller, m.table_name, 'SELECT'), pg_has_role(caller, m.run_as, 'USAGE'))
          OR pg_has_role(caller, 'pg_read_all_data', 'USAGE')
    ORDER BY m.id
$$;

-- One line of a dump. A mapping whose table is not here ends and says so: follow_name() ties it to the table once that is there. Where
-- its role is not here, whoever restores stands in for it, as for every other object of such a dump.
CREATE FUNCTION sheet_sync._restore_mapping(line jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping;
    target oid := (SELECT c.oid FROM pg_class c WHERE c.oid = to_regclass(line ->> 'table_name') AND c.relkind IN ('r', 'p'));
    run_as oid := COALESCE(to_regrole(quote_ident(line ->> 'run_as')), current_user::regrole)::oid;
    occupied record;
BEGIN
    m := jsonb_populate_record(NULL::sheet_sync.mapping, line || jsonb_build_object('table_name', target, 'run_as', run_as));
    SELECT x.spreadsheet_id, x.created_at, x.registered_as INTO occupied FROM sheet_sync.mapping x WHERE x.id = m.id;
    IF FOUND AND (occupied.spreadsheet_id, occupied.created_at) = (m.spreadsheet_id, m.created_at) THEN
        RAISE NOTICE 'mapping % of table % is here already and stays as it is', m.id, occupied.registered_as;
        RETURN;
    ELSIF FOUND THEN
        m.id := nextval('sheet_sync.mapping_id_seq');
        RAISE NOTICE 'mapping % of table % becomes mapping %, as there is another one with its number', line ->> 'id', m.registered_as, m.id;
    END IF;
    IF target IS NULL AND m.state <> 'ended' THEN
        m.registered_as := COALESCE(line ->> 'table_name', m.registered_as);
        m.state := 'ended';
        m.retry_at := NULL;
        m.reason := format('table_missing: the dump that this mapping comes from was restored without table %s', m.registered_as);
        m.hint := format('Restore the table, then SELECT sheet_sync.follow_name(%s) ties the mapping to it. Or SELECT sheet_sync.dismiss(%s) takes this line away; the sheet stays as it is.',
                         m.id, m.id);
    END IF;
    BEGIN
        INSERT INTO sheet_sync.mapping OVERRIDING SYSTEM VALUE SELECT (m).*;
    EXCEPTION WHEN unique_violation THEN
        RAISE WARNING 'the mapping of table % to spreadsheet % is not restored: there is one already', m.registered_as, m.spreadsheet_id
            USING HINT = 'SELECT * FROM sheet_sync.status shows it.';
        RETURN;
    END;
    PERFORM setval('sheet_sync.mapping_id_seq', greatest(m.id, (SELECT s.last_value FROM sheet_sync.mapping_id_seq s)));
    PERFORM sheet_sync._make_lines(m.id);
    -- Columns have other numbers here and the same names; no column has the number 0. Their headers are looked for anew.
    INSERT INTO sheet_sync.mapping_column
    SELECT (jsonb_populate_record(NULL::sheet_sync.mapping_column, c || jsonb_build_object('mapping_id', m.id, 'header_known', false, 'attnum', COALESCE(
               (SELECT a.attnum FROM pg_attribute a
                WHERE a.attrelid = target AND a.attname = c ->> 'column_name' AND a.attnum > 0 AND NOT a.attisdropped), 0)))).*
    FROM jsonb_array_elements(line -> 'columns') c;
END
$$;

-- One line that cannot be a mapping here keeps no other one out, and stops no worker that takes it.
CREATE FUNCTION sheet_sync._try_to_restore(line jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sheet_sync._restore_mapping(line);
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'the mapping of table % to spreadsheet % is not restored: %', line ->> 'table_name', line ->> 'spreadsheet_id', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'sheet_sync.register_table() makes it anew.';
END
$$;

CREATE FUNCTION sheet_sync._take_line() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sheet_sync._try_to_restore(NEW.mapping);
    RETURN NULL;
END
$$;
CREATE TRIGGER take_line BEFORE INSERT ON sheet_sync._dumped_mapping FOR EACH ROW EXECUTE FUNCTION sheet_sync._take_line();
ALTER TABLE sheet_sync._dumped_mapping ENABLE ALWAYS TRIGGER take_line;

-- Lines that a restore has put in with all triggers off (pg_restore --disable-triggers): the worker takes them.
CREATE FUNCTION sheet_sync._take_lines() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    line jsonb;
BEGIN
    FOR line IN DELETE FROM sheet_sync._dumped_mapping d RETURNING d.mapping LOOP
        PERFORM sheet_sync._try_to_restore(line);
    END LOOP;
END
$$;

-- Capture triggers that speak for no mapping: a dump of a single table holds them and not its mapping.
CREATE FUNCTION sheet_sync._orphaned_triggers() RETURNS TABLE (table_name text, trigger_name text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tgrelid::regclass::text, quote_ident(t.tgname) FROM pg_trigger t
    WHERE t.tgfoid IN ('sheet_sync._capture_row()'::regprocedure, 'sheet_sync._capture_truncate()'::regprocedure)
      AND NOT t.tgisinternal AND t.tgparentid = 0
      AND NOT EXISTS (SELECT FROM sheet_sync.mapping m WHERE m.table_name = t.tgrelid AND t.tgname ~ format('^sheet_sync_(row|update|truncate)_%s$', m.id))
    ORDER BY 1, 2
$$;
