-- What the public functions do inside the catalog. Each runs as the extension's owner, called by the Rust function of the same
-- name without underscore, which hands over who called it (`caller`); nobody else may execute them.

-- How a column's values travel: by the base type under any domains.
CREATE FUNCTION sheet_sync._kind(type oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE base(oid, typbasetype) AS (
        SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = type
        UNION ALL
        SELECT t.oid, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typbasetype
    )
    SELECT CASE b.oid
               WHEN 'bool'::regtype THEN 'boolean'
               WHEN 'int2'::regtype THEN 'integer' WHEN 'int4'::regtype THEN 'integer' WHEN 'int8'::regtype THEN 'integer'
               WHEN 'float4'::regtype THEN 'float4' WHEN 'float8'::regtype THEN 'float8' WHEN 'numeric'::regtype THEN 'numeric'
               WHEN 'date'::regtype THEN 'date' WHEN 'time'::regtype THEN 'time'
               WHEN 'timestamp'::regtype THEN 'timestamp' WHEN 'timestamptz'::regtype THEN 'timestamptz'
               WHEN 'interval'::regtype THEN 'interval' WHEN 'json'::regtype THEN 'json' WHEN 'jsonb'::regtype THEN 'json'
               -- Ranges are printed with other bounds than were typed: that is to be seen.
               ELSE CASE WHEN t.typcategory = 'A' THEN 'array' WHEN t.typcategory = 'S' OR t.typtype NOT IN ('b', 'e') THEN 'text' ELSE 'printed' END
           END
    FROM base b JOIN pg_type t ON t.oid = b.oid WHERE b.typbasetype = 0
$$;

-- Headers match columns when they are equal but for case, blanks and underscores.
CREATE FUNCTION sheet_sync._normal_header(header text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(lower(header), '[\s_]+', '_', 'g')
$$;

CREATE FUNCTION sheet_sync._require_owner(caller oid, table_name regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner oid := (SELECT relowner FROM pg_class WHERE oid = table_name);
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'there is no table with oid %', table_name::oid
            USING ERRCODE = 'undefined_table',
                  HINT = COALESCE((SELECT format('A mapping is named by an integer: %s::integer.', m.id) FROM sheet_sync.mapping m WHERE m.id::bigint = _require_owner.table_name::oid::bigint),
                                  'The table was dropped. SELECT mapping_id, reason, hint FROM sheet_sync.status WHERE state = ''ended'' shows what is left of its mappings.');
    ELSIF NOT pg_has_role(caller, owner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', table_name
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('The table belongs to role %I; role %I is not a member of it.', pg_get_userbyid(owner), pg_get_userbyid(caller)),
                  HINT = 'Ask the owner of the table, or become one with SET ROLE.';
    END IF;
END
$$;

-- The ids of a table's mappings, after the checks that every public function makes.
CREATE FUNCTION sheet_sync._mappings_of(caller oid, table_name regclass, spreadsheet_id text DEFAULT NULL) RETURNS SETOF integer
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    PERFORM sheet_sync._require_owner(caller, table_name);
    RETURN QUERY SELECT m.id FROM sheet_sync.mapping m
                 WHERE m.table_name = table_name AND (spreadsheet_id IS NULL OR m.spreadsheet_id = spreadsheet_id)
                 ORDER BY m.id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not mapped to a spreadsheet%', table_name, COALESCE(' ' || spreadsheet_id, '')
            USING ERRCODE = 'undefined_object',
                  HINT = COALESCE((SELECT format('Mapping %s was registered under this name. SELECT sheet_sync.follow_name(%s) ties it to this table.', m.id, m.id)
                                   FROM sheet_sync.mapping m
                                   WHERE m.registered_as = sheet_sync._full_name(table_name) AND m.table_name IS DISTINCT FROM table_name AND pg_has_role(caller, m.run_as, 'USAGE')
                                   ORDER BY m.id LIMIT 1),
                                  'SELECT * FROM sheet_sync.status lists the mappings; sheet_sync.register_table() makes one.');
    END IF;
END
$$;

-- Which of several tabs of a table is meant is not to be guessed where a call changes something: they are listed.
CREATE FUNCTION sheet_sync._refuse_several(call text, mappings integer[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target regclass := (SELECT m.table_name FROM sheet_sync.mapping m WHERE m.id = mappings[1]);
BEGIN
    RAISE EXCEPTION 'table % has % tabs: say which one is meant', target, cardinality(mappings)
        USING ERRCODE = 'invalid_parameter_value',
              DETAIL = (SELECT string_agg(format('Mapping %s: sheet "%s" of spreadsheet %s, %s.', m.id, m.sheet_title, m.spreadsheet_id, m.state), E'\n' ORDER BY m.id)
                        FROM sheet_sync.mapping m WHERE m.id = ANY (mappings)),
              HINT = format('Name the mapping: SELECT sheet_sync.%s(%s); For all of them: SELECT sheet_sync.%s(mapping_id) FROM sheet_sync.status WHERE mapping_id IN (%s);',
                            call, mappings[1], call, array_to_string(mappings, ', '));
END
$$;

-- The mappings that a call is about: the one that it names, or those of a table, after the checks that every public function makes.
-- `call` is the function's name where it is not for several at once.
CREATE FUNCTION sheet_sync._chosen(caller oid, table_name regclass, mapping_id integer, call text) RETURNS SETOF integer
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping;
    mappings integer[];
BEGIN
    IF mapping_id IS NULL THEN
        mappings := ARRAY(SELECT sheet_sync._mappings_of(caller, table_name));
        IF call IS NOT NULL AND cardinality(mappings) > 1 THEN
            PERFORM sheet_sync._refuse_several(call, mappings);
        END IF;
        RETURN QUERY SELECT unnest(mappings);
        RETURN;
    END IF;
    SELECT x.* INTO m FROM sheet_sync.mapping x WHERE x.id = mapping_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no mapping %', mapping_id
            USING ERRCODE = 'undefined_object', HINT = 'SELECT mapping_id, table_name, sheet FROM sheet_sync.status lists the mappings.';
    ELSIF m.state = 'ended' THEN
        RAISE EXCEPTION 'mapping % has ended: its table was dropped', mapping_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('SELECT sheet_sync.dismiss(%s) takes its line away; SELECT sheet_sync.follow_name(%s) ties it to the table that has the name now.', mapping_id, mapping_id);
    END IF;
    PERFORM sheet_sync._require_owner(caller, m.table_name);
    RETURN NEXT mapping_id;
END
$$;

-- The key columns: those asked for, where a unique index makes them a key, or the primary key's.
CREATE FUNCTION sheet_sync._key_columns(table_name regclass, asked text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown text;
    primary_key text[];
    nullable text;
BEGIN
    IF asked IS NULL THEN
        IF EXISTS (SELECT FROM pg_index i WHERE i.indrelid = table_name AND i.indisprimary AND NOT i.indimmediate) THEN
            RAISE EXCEPTION 'the primary key of table % is DEFERRABLE', table_name
                USING ERRCODE = 'invalid_table_definition',
                      DETAIL = 'Postgres cannot look such a key up while it inserts.',
                      HINT = 'Name the columns of another unique index with key_columns, or make the constraint NOT DEFERRABLE.';
        END IF;
        SELECT array_agg(a.attname::text ORDER BY k.ord) INTO primary_key
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = table_name AND i.indisprimary AND k.ord <= i.indnkeyatts;
        IF primary_key IS NULL THEN
            RAISE EXCEPTION 'table % has no primary key', table_name
                USING ERRCODE = 'invalid_table_definition',
                      DETAIL = 'A key names a row on both sides; without one an edit could hit the wrong row.',
                      HINT = 'Add a primary key, or name the NOT NULL columns of a unique index with key_columns.';
        END IF;
        RETURN primary_key;
    END IF;
    IF cardinality(asked) = 0 OR EXISTS (SELECT FROM unnest(asked) c GROUP BY c HAVING count(*) > 1) THEN
        RAISE EXCEPTION 'key_columns names % column', CASE cardinality(asked) WHEN 0 THEN 'no' ELSE 'more than once the same' END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name each column of a unique index once, or leave the argument out for the primary key.';
    END IF;
    SELECT c INTO unknown FROM unnest(asked) c
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = table_name AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of table % does not exist', unknown, table_name
            USING ERRCODE = 'undefined_column', HINT = 'key_columns takes the names of columns as the table has them.';
    END IF;
    PERFORM FROM pg_index i
    WHERE i.indrelid = table_name AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND i.indnkeyatts = cardinality(asked)
      AND NOT EXISTS (SELECT FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord)
                      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                      WHERE k.ord <= i.indnkeyatts AND a.attname <> ALL (asked));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'columns (%) of table % are not unique', array_to_string(asked, ', '), table_name
            USING ERRCODE = 'invalid_table_definition',
                  DETAIL = 'No valid unique index covers just these columns.',
                  HINT = format('CREATE UNIQUE INDEX ON %s (%s);', table_name, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(asked) c));
    END IF;
    SELECT a.attname INTO nullable FROM pg_attribute a
    WHERE a.attrelid = table_name AND a.attname = ANY (asked) AND NOT a.attnotnull LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'key column "%" of table % may be NULL', nullable, table_name
            USING ERRCODE = 'invalid_table_definition', DETAIL = 'A row whose key is NULL has no name in the sheet.',
                  HINT = format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', table_name, nullable);
    END IF;
    RETURN asked;
END
$$;

-- Whether the table keeps the key unique and never null: only then does a key name one row.
CREATE FUNCTION sheet_sync._key_holds(target oid, key_columns text[]) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = target AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND i.indnkeyatts = cardinality(key_columns)
          AND NOT EXISTS (SELECT FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord)
                          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                          WHERE k.ord <= i.indnkeyatts AND (a.attname <> ALL (key_columns) OR NOT a.attnotnull)))
$$;

-- How values of a key's column are compared: as the index does that keeps the key unique, its primary key's before any other's.
CREATE FUNCTION sheet_sync._key_equality(target oid, key_columns text[], attnum smallint,
                                         OUT operator text, OUT is_own boolean, OUT collating text, OUT is_deterministic boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname), o.oid < 16384,
           CASE WHEN c.oid <> 100 OR c.oid <> a.attcollation THEN format(' COLLATE %I.%I', cn.nspname, c.collname) ELSE '' END,
           COALESCE(c.collisdeterministic, true)
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_opclass p ON p.oid = i.indclass[k.ord - 1]
    JOIN pg_amop m ON m.amopfamily = p.opcfamily AND m.amopstrategy = 3 AND m.amoplefttype = p.opcintype AND m.amoprighttype = p.opcintype
    JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
    LEFT JOIN pg_collation c ON c.oid = i.indcollation[k.ord - 1] LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace
    WHERE i.indrelid = target AND k.attnum = _key_equality.attnum AND k.ord <= i.indnkeyatts
      AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality(key_columns)
      AND NOT EXISTS (SELECT FROM unnest(i.indkey::smallint[]) WITH ORDINALITY x(attnum, ord)
                      JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = x.attnum
                      WHERE x.ord <= i.indnkeyatts AND b.attname <> ALL (key_columns))
    ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1
$$;

-- The sequence of an identity column, or of one whose default is its next number.
CREATE FUNCTION sheet_sync._column_sequence(target oid, attnum smallint) RETURNS oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- Where a column's own sequence is not the one that its default takes numbers from, that one counts.
    SELECT COALESCE(
        (SELECT q.oid
         FROM pg_attrdef d
         JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
         JOIN pg_class q ON q.oid = p.refobjid AND q.relkind = 'S'
         WHERE d.adrelid = target AND d.adnum = _column_sequence.attnum AND pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\(''.*''::regclass\)$'
         ORDER BY q.oid LIMIT 1),
        (SELECT q.oid
         FROM pg_depend p JOIN pg_class q ON q.oid = p.objid AND q.relkind = 'S'
         WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = target AND p.refobjsubid = _column_sequence.attnum
           AND p.classid = 'pg_class'::regclass AND p.deptype IN ('a', 'i')
         ORDER BY q.oid LIMIT 1))
$$;

-- A table and its partitions. Asked at every glance, so nothing of it is locked and pg_class is not scanned.
CREATE FUNCTION sheet_sync._with_partitions(target oid) RETURNS SETOF oid
    LANGUAGE sql STABLE ROWS 4 SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE family(relid) AS (
        SELECT target
        UNION ALL
        SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.relid
    )
    SELECT relid FROM family
$$;

-- Why a table cannot be synced as it is now; no line where it can.
CREATE FUNCTION sheet_sync._unfit(target oid, direction text) RETURNS TABLE (reason text, message text, hint text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'unlogged',
           CASE WHEN c.oid = target THEN format('table %s is UNLOGGED', target::regclass)
                ELSE format('partition %s of table %s is UNLOGGED', c.oid::regclass, target::regclass) END
           || ': after a crash of the server it is empty, which must not empty the sheet',
           format('ALTER TABLE %s SET LOGGED;', c.oid::regclass)
    FROM sheet_sync._with_partitions(target) f(relid) JOIN pg_class c ON c.oid = f.relid
    WHERE c.relpersistence = 'u'
    UNION ALL
    SELECT 'table_has_children',
           format('table %s has inheritance children, whose rows are shown with its own and yet are not captured with them', target::regclass),
           'Register the children, or make the table a partitioned one.'
    FROM pg_class c
    WHERE c.oid = target AND c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = target)
    UNION ALL
    SELECT 'table_has_rules',
           format('table %s has a rule ON %s (%I)', target::regclass, CASE r.ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END, r.rulename)
           || ': Postgres then takes no INSERT … ON CONFLICT or no RETURNING, without which nobody knows what became of a row',
           format('Write the rule as a trigger and drop it: DROP RULE %I ON %s; or only show the table, with direction => ''to_sheet''.', r.rulename, target::regclass)
    FROM pg_rewrite r
    WHERE r.ev_class = target AND r.ev_type IN ('2', '3', '4') AND r.ev_enabled <> 'D' AND direction <> 'to_sheet'
    LIMIT 1
$$;

-- The labels of a mapping's enum columns, as oid:label: a label that is renamed keeps its oid.
CREATE FUNCTION sheet_sync._labels(mapping_id integer) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(e.oid || ':' || e.enumlabel ORDER BY e.oid)
    FROM (SELECT DISTINCT e.oid, e.enumlabel
          FROM sheet_sync.mapping m
          JOIN sheet_sync.mapping_column c ON c.mapping_id = m.id
          JOIN pg_attribute a ON a.attrelid = m.table_name AND a.attnum = c.attnum
          JOIN pg_type t ON t.oid = a.atttypid
          JOIN pg_enum e ON e.enumtypid IN (t.oid, t.typbasetype, t.typelem)
          WHERE m.id = $1) e
$$;

-- A label of an enum was renamed: no row changed, and all rows that have it show another value. Rows that have it in their key got
-- another key, which is told as capture tells it.
CREATE FUNCTION sheet_sync._follow_labels(mapping_id integer, before text[], after text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    key_enums oid[];
BEGIN
    -- For each column of the key the enum that it is of, or null.
    SELECT array_agg(COALESCE((SELECT e.enumtypid FROM pg_enum e WHERE e.enumtypid IN (t.oid, t.typbasetype) LIMIT 1), 0) ORDER BY k.place) INTO key_enums
    FROM sheet_sync.mapping m
    CROSS JOIN LATERAL unnest(m.key_columns) WITH ORDINALITY k(name, place)
    JOIN sheet_sync.mapping_column c ON c.mapping_id = m.id AND c.column_name = k.name
    JOIN pg_attribute a ON a.attrelid = m.table_name AND a.attnum = c.attnum
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE m.id = mapping_id;
    WITH renamed AS (
        SELECT e.enumtypid AS enum, substr(b.line, strpos(b.line, ':') + 1) AS was, e.enumlabel::text AS label
        FROM unnest(before) b(line) JOIN pg_enum e ON e.oid = split_part(b.line, ':', 1)::oid
        WHERE b.line <> ALL (after)
    ), keys AS (
        SELECT b.key::text[] AS was,
               (SELECT array_agg(COALESCE(r.label, part.text) ORDER BY part.place)
                FROM unnest(b.key::text[]) WITH ORDINALITY part(text, place)
                LEFT JOIN renamed r ON r.enum = key_enums[part.place] AND r.was = part.text) AS now
        FROM sheet_sync._base_row b WHERE b.mapping_id = mapping_id AND EXISTS (SELECT FROM renamed r WHERE r.enum = ANY (key_enums))
    )
    INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at, renamed_from)
    SELECT mapping_id, d.key, clock_timestamp(), d.renamed_from
    FROM keys k CROSS JOIN LATERAL (VALUES (1, k.was, NULL::text[]), (2, k.now, k.was)) d(place, key, renamed_from)
    WHERE k.was <> k.now
    ORDER BY k.was, d.place;
    INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (mapping_id, NULL, clock_timestamp());
END
$$;

-- What keeps VACUUM from cleaning this database's tables, ours too, whose rows change with every cycle; and how to end it.
CREATE FUNCTION sheet_sync._held_back(for_longer_than interval) RETURNS TABLE (detail text, hint text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.what || ': VACUUM cannot clean away old versions of rows meanwhile, in any table of this database, and syncing gets slower', h.cure
    FROM (SELECT format('session %s (user %s, application "%s") has had a transaction open since %s', a.pid, a.usename, a.application_name,
                        date_trunc('second', a.xact_start)),
                 format('Commit it or roll it back where it was begun; or SELECT pg_terminate_backend(%s);', a.pid)
          FROM pg_stat_activity a
          WHERE a.datname = current_database() AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
            AND a.backend_type NOT IN ('autovacuum worker', 'parallel worker', 'walsender')
            AND a.xact_start < clock_timestamp() - for_longer_than
          UNION ALL
          SELECT format('transaction "%s" of user %s has been prepared since %s and neither committed nor rolled back', p.gid, p.owner,
                        date_trunc('second', p.prepared)),
                 format('COMMIT PREPARED %L; or ROLLBACK PREPARED %L;', p.gid, p.gid)
          FROM pg_prepared_xacts p
          WHERE p.database = current_database() AND p.prepared < clock_timestamp() - for_longer_than
          UNION ALL
          SELECT format('replication slot "%s" is used by nobody and keeps what a standby''s queries last needed', s.slot_name),
                 format('Start the standby again; or, if it is gone for good, SELECT pg_drop_replication_slot(%L);', s.slot_name)
          FROM pg_replication_slots s
          WHERE NOT s.active AND s.xmin IS NOT NULL) h(what, cure)
$$;

-- The statements that give a mapping's role what it lacks to read and write the mapped columns of its table; null where it lacks nothing,
-- or where the table is another role's by now, which is asked about first.
CREATE FUNCTION sheet_sync._missing_rights(m sheet_sync.mapping) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NULLIF(concat_ws(' ',
        CASE WHEN NOT has_schema_privilege(m.run_as, c.relnamespace, 'USAGE')
             THEN format('GRANT USAGE ON SCHEMA %s TO %s;', c.relnamespace::regnamespace, m.run_as) END,
        (SELECT format('GRANT %s ON %s TO %s;', string_agg(p.name, ', ' ORDER BY p.place), sheet_sync._full_name(c.oid), m.run_as)
         FROM (VALUES (1, 'SELECT', true), (2, 'INSERT', m.direction <> 'to_sheet'), (3, 'UPDATE', m.direction <> 'to_sheet'),
                      (4, 'DELETE', m.direction <> 'to_sheet' AND m.on_sheet_delete = 'delete')) p(place, name, is_needed)
         WHERE p.is_needed AND NOT has_table_privilege(m.run_as, c.oid, p.name)
           AND (p.name = 'DELETE' OR EXISTS (SELECT FROM sheet_sync.mapping_column k
                                             WHERE k.mapping_id = m.id AND (p.name = 'SELECT' OR k.direction <> 'to_sheet')
                                               AND NOT has_column_privilege(m.run_as, c.oid, k.attnum, p.name)))
         HAVING count(*) > 0)), '')
    FROM pg_class c WHERE c.oid = m.table_name AND c.relowner = m.run_as
$$;

-- (Re)make the capture triggers of a mapping, for its columns as they are now. Nothing in them may depend on a column of the table:
-- that would forbid ALTER TABLE … DROP COLUMN and ALTER COLUMN … TYPE.
CREATE FUNCTION sheet_sync._make_triggers(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping;
    keys text;
    watched text;
    name text;
BEGIN
    SELECT x.* INTO m FROM sheet_sync.mapping x WHERE x.id = mapping_id;
    SELECT string_agg(quote_literal(k), ', ' ORDER BY o) INTO keys FROM unnest(m.key_columns) WITH ORDINALITY u(k, o);
    -- A row filter may be about any column.
    IF NOT m.all_columns AND m.row_filter IS NULL THEN
        SELECT string_agg(', ' || quote_literal(c.column_name), '' ORDER BY c.position) INTO watched
        FROM sheet_sync.mapping_column c WHERE c.mapping_id = mapping_id;
    END IF;
    PERFORM sheet_sync._drop_triggers(mapping_id);
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION sheet_sync._capture_row(%L, %L, %s)',
                   'sheet_sync_row_' || mapping_id, m.table_name, mapping_id, cardinality(m.key_columns), keys);
    -- Images, not values: '1.0' and '1.00' are equal and yet a change, and json has no equality at all.
    EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %s FOR EACH ROW WHEN (OLD.* OPERATOR(pg_catalog.*<>) NEW.*) '
                   'EXECUTE FUNCTION sheet_sync._capture_row(%L, %L, %s%s)',
                   'sheet_sync_update_' || mapping_id, m.table_name, mapping_id, cardinality(m.key_columns), keys, COALESCE(watched, ''));
    EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION sheet_sync._capture_truncate(%L)',
                   'sheet_sync_truncate_' || mapping_id, m.table_name, mapping_id);
    FOREACH name IN ARRAY ARRAY['row', 'update', 'truncate'] LOOP
        -- Always: rows that arrive by logical replication count too.
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', m.table_name, format('sheet_sync_%s_%s', name, mapping_id));
        EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION sheet_sync', format('sheet_sync_%s_%s', name, mapping_id), m.table_name);
    END LOOP;
END
$$;

CREATE FUNCTION sheet_sync._drop_triggers(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trigger_row record;
BEGIN
    FOR trigger_row IN SELECT t.tgname, t.tgrelid::regclass AS target FROM pg_trigger t
                 WHERE t.tgrelid = (SELECT m.table_name FROM sheet_sync.mapping m WHERE m.id = mapping_id)
                   AND t.tgname IN ('sheet_sync_row_' || mapping_id, 'sheet_sync_update_' || mapping_id, 'sheet_sync_truncate_' || mapping_id)
                   AND NOT t.tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger_row.tgname, trigger_row.target);
    END LOOP;
END
$$;

-- A function's name as it is found whatever the search_path.
CREATE FUNCTION sheet_sync._qualified(function regprocedure) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT function::text
$$;

-- `name` is what the function is called by, in case there is none.
CREATE FUNCTION sheet_sync._check_conflict_function(conflict_function regprocedure, name text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f pg_proc;
BEGIN
    SELECT p.* INTO f FROM pg_proc p WHERE p.oid = conflict_function;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no conflict function %', name
            USING ERRCODE = 'undefined_function',
                  HINT = 'Create it, or name another: UPDATE sheet_sync.mapping SET conflict_function = ''my_merge(jsonb, jsonb, jsonb, jsonb)''.';
    ELSIF f.prokind <> 'f' OR f.proretset OR f.prorettype <> 'jsonb'::regtype OR oidvectortypes(f.proargtypes) <> 'jsonb, jsonb, jsonb, jsonb' THEN
        RAISE EXCEPTION 'conflict function % does not have the right signature', name
            USING ERRCODE = 'invalid_function_definition',
                  DETAIL = 'It must be (key jsonb, base jsonb, database jsonb, sheet jsonb) returns jsonb.',
                  HINT = 'Each argument is the row as an object of column names and texts; the result is the merged row, as jsonb too.';
    ELSIF f.provolatile = 'v' THEN
        RAISE EXCEPTION 'conflict function % is VOLATILE', name
            USING ERRCODE = 'invalid_function_definition',
                  DETAIL = 'A merge that is repeated after a crash must come to the same result.',
                  HINT = format('ALTER FUNCTION %s STABLE; (or IMMUTABLE)', conflict_function);
    END IF;
END
$$;

-- The caller may speak for the table, and until this transaction ends nobody gives it another owner, another name or other policies:
-- what is stored of it is what was looked at. Who does not own it gets no lock on it.
CREATE FUNCTION sheet_sync._keep_owned(caller oid, target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sheet_sync._require_owner(caller, target);
    PERFORM sheet_sync._keep_table(target);
    PERFORM sheet_sync._require_owner(caller, target);
END
$$;

-- Whether a table can be synced at all, and the caller may have it synced.
CREATE FUNCTION sheet_sync._check_table(caller oid, table_name regclass, direction text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    relation pg_class;
    bad record;
BEGIN
    SELECT c.* INTO relation FROM pg_class c WHERE c.oid = table_name;
    IF relation.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is not a table', table_name
            USING ERRCODE = 'wrong_object_type', HINT = 'Views, foreign tables and sequences cannot be synced; register the table behind them.';
    ELSIF relation.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace, 'sheet_sync'::regnamespace) THEN
        RAISE EXCEPTION '% is a system table', table_name
            USING ERRCODE = 'wrong_object_type', HINT = 'Register a table of your own.';
    ELSIF relation.relpersistence = 't' THEN
        RAISE EXCEPTION '% is a temporary table', table_name
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Only the session that made it can see its rows; the sync worker is another session.',
                  HINT = 'Register an ordinary table.';
    END IF;
    PERFORM sheet_sync._keep_owned(caller, table_name);

    SELECT u.* INTO bad FROM sheet_sync._unfit(table_name, direction) u;
    IF FOUND THEN
        RAISE EXCEPTION '%', bad.message USING ERRCODE = 'wrong_object_type', HINT = bad.hint;
    END IF;
END
$$;

CREATE FUNCTION sheet_sync._check_key(table_name regclass, key text[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    bad record;
BEGIN
    SELECT a.attname AS name INTO bad FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = table_name AND a.attname = ANY (key) AND t.typcategory = 'A';
    IF FOUND THEN
        RAISE EXCEPTION 'key column "%" of table % is an array', bad.name, table_name
            USING ERRCODE = 'invalid_table_definition', HINT = 'Name other columns with key_columns.';
    END IF;
END
$$;

CREATE FUNCTION sheet_sync._register_table(
    caller oid, table_name regclass, spreadsheet_id text, gid bigint, sheet text, key_columns text[], columns text[], direction text,
    conflict_policy text, conflict_function regprocedure, on_table_delete text, on_sheet_delete text, max_delete_percent real,
    row_filter text, poll_interval interval, credential text, paused boolean) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    relation pg_class;
    key text[];
    wanted text[];
    bad record;
    id integer;
BEGIN
    PERFORM sheet_sync._check_table(caller, table_name, direction);
    SELECT c.* INTO relation FROM pg_class c WHERE c.oid = table_name;
    key := sheet_sync._key_columns(table_name, key_columns);
    PERFORM sheet_sync._check_key(table_name, key);
    IF columns IS NULL THEN
        SELECT array_agg(a.attname::text ORDER BY a.attnum) INTO wanted
        FROM pg_attribute a WHERE a.attrelid = table_name AND a.attnum > 0 AND NOT a.attisdropped;
    ELSIF cardinality(columns) = 0 THEN
        RAISE EXCEPTION 'columns names no column'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the columns to sync, or leave the argument out for all of them.';
    ELSE
        SELECT c AS name INTO bad FROM unnest(columns) c
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = table_name AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'column "%" of table % does not exist', bad.name, table_name
                USING ERRCODE = 'undefined_column',
                      HINT = format('The table has: %s.', (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                                                           WHERE a.attrelid = table_name AND a.attnum > 0 AND NOT a.attisdropped));
        END IF;
        -- The key names the rows in the sheet, so it is there whether asked for or not.
        SELECT array_agg(c ORDER BY o) INTO wanted
        FROM (SELECT c, min(o) AS o FROM unnest((SELECT COALESCE(array_agg(k ORDER BY n), '{}') FROM unnest(key) WITH ORDINALITY u(k, n) WHERE k <> ALL (columns)) || columns)
              WITH ORDINALITY u(c, o) GROUP BY c) each;
    END IF;

    SELECT min(c) AS one, max(c) AS other INTO bad FROM unnest(wanted) c GROUP BY sheet_sync._normal_header(c) HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'columns "%" and "%" would have the same header', bad.one, bad.other
            USING ERRCODE = 'ambiguous_column', DETAIL = 'Case, blanks and underscores do not tell headers apart.',
                  HINT = 'Rename one of them, or leave one out with the argument columns.';
    END IF;
    IF conflict_function IS NOT NULL THEN
        PERFORM sheet_sync._check_conflict_function(conflict_function, conflict_function::text);
    END IF;
    PERFORM sheet_sync._require_credential(caller, credential, spreadsheet_id);

    IF gid IS NULL AND sheet IS NULL THEN
        sheet := relation.relname;
    END IF;
    SELECT m.table_name AS other INTO bad FROM sheet_sync.mapping m
    WHERE m.spreadsheet_id = spreadsheet_id AND m.state <> 'ended'
      AND ((sheet IS NOT NULL AND lower(m.sheet_title) = lower(sheet)) OR (gid IS NOT NULL AND sheet IS NULL AND m.sheet_id = gid));
    IF FOUND THEN
        RAISE EXCEPTION '% is mapped to this tab of spreadsheet % already', bad.other, spreadsheet_id
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Change its options with UPDATE sheet_sync.mapping, end it with sheet_sync.unregister_table(), or name another tab with the argument sheet.';
    END IF;

    INSERT INTO sheet_sync.mapping (table_name, registered_as, spreadsheet_id, sheet_id, sheet_title, key_columns, all_columns, direction, conflict_policy,
                                    conflict_function, on_table_delete, on_sheet_delete, max_delete_percent, row_filter, poll_interval, credential, run_as, state, reason, hint)
    VALUES (table_name, sheet_sync._full_name(table_name), spreadsheet_id, CASE WHEN sheet IS NULL THEN gid END, sheet, key, columns IS NULL, direction, conflict_policy,
            conflict_function::text, on_table_delete, on_sheet_delete, max_delete_percent, row_filter, poll_interval, credential, relation.relowner,
            CASE WHEN paused THEN 'paused' ELSE 'initialising' END, CASE WHEN paused THEN 'paused' END,
            CASE WHEN paused THEN 'sheet_sync.preview() says what the first merge would do; sheet_sync.resume() begins it.' END)
    RETURNING mapping.id INTO id;
    PERFORM sheet_sync._make_lines(id);
    INSERT INTO sheet_sync.mapping_column (mapping_id, position, column_name, attnum, header, kind, direction)
    SELECT id, w.position, a.attname, a.attnum, a.attname, sheet_sync._kind(a.atttypid),
           CASE WHEN a.attgenerated <> '' THEN 'to_sheet' ELSE 'both' END
    FROM unnest(wanted) WITH ORDINALITY w(name, position)
    JOIN pg_attribute a ON a.attrelid = table_name AND a.attname = w.name;
    PERFORM sheet_sync._make_triggers(id);
    PERFORM sheet_sync._agree(id);
    RETURN id;
END
$$;

-- `gid` and `spreadsheet_id` say which of a table's tabs is meant, where no mapping is named.
CREATE FUNCTION sheet_sync._unregister_table(caller oid, table_name regclass, mapping_id integer, spreadsheet_id text, gid bigint) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    mappings integer[];
BEGIN
    IF mapping_id IS NOT NULL THEN
        mappings := ARRAY(SELECT sheet_sync._chosen(caller, NULL, mapping_id, NULL));
    ELSE
        mappings := ARRAY(SELECT m.id FROM sheet_sync._mappings_of(caller, table_name, spreadsheet_id) i JOIN sheet_sync.mapping m ON m.id = i
                          WHERE gid IS NULL OR m.sheet_id = gid ORDER BY m.id);
        IF cardinality(mappings) = 0 THEN
            RAISE EXCEPTION 'table % is not mapped to tab % of spreadsheet %', table_name, gid, spreadsheet_id
                USING ERRCODE = 'undefined_object', HINT = 'SELECT mapping_id, sheet FROM sheet_sync.status lists the mappings; sheet_sync.unregister_table(mapping_id) ends one.';
        ELSIF cardinality(mappings) > 1 THEN
            PERFORM sheet_sync._refuse_several('unregister_table', mappings);
        END IF;
    END IF;
    PERFORM sheet_sync._drop_triggers(mappings[1]);
    DELETE FROM sheet_sync.mapping WHERE id = mappings[1];
    RETURN 1;
END
$$;

CREATE FUNCTION sheet_sync._pause(caller oid, table_name regclass, mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one integer;
BEGIN
    FOR one IN SELECT sheet_sync._chosen(caller, table_name, mapping_id, 'pause') LOOP
        UPDATE sheet_sync.mapping
        SET state = 'paused', reason = 'paused', retry_at = NULL,
            hint = 'sheet_sync.resume() lets it go on, and sheet_sync.preview() says what it would do then; changes are kept meanwhile.'
        WHERE id = one;
    END LOOP;
END
$$;

CREATE FUNCTION sheet_sync._resume(caller oid, table_name regclass, mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one integer;
BEGIN
    FOR one IN SELECT sheet_sync._chosen(caller, table_name, mapping_id, 'resume') LOOP
        PERFORM sheet_sync._keep_owned(caller, (SELECT m.table_name FROM sheet_sync.mapping m WHERE m.id = one));
        PERFORM sheet_sync._answer_doubts(one);
        -- Where the mapping is of another database, its lines are that one's to make.
        PERFORM sheet_sync._make_lines(m.id) FROM sheet_sync.mapping m WHERE m.id = one AND m.made_in = sheet_sync._here();
        -- Whoever owns the table now takes over what the owner before has set up, and with it runs its expressions.
        UPDATE sheet_sync.mapping m
        SET state = CASE WHEN c.merged THEN 'active' ELSE 'initialising' END, reason = NULL, hint = NULL, retry_at = NULL,
            run_as = t.relowner::regrole
        FROM sheet_sync._cycle c, pg_class t
        WHERE c.mapping_id = m.id AND m.id = one AND t.oid = m.table_name;
    END LOOP;
END
$$;

CREATE FUNCTION sheet_sync._resync(caller oid, table_name regclass, mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one integer;
BEGIN
    FOR one IN SELECT sheet_sync._chosen(caller, table_name, mapping_id, 'resync') LOOP
        PERFORM sheet_sync._merge_afresh(one);
    END LOOP;
END
$$;

-- What the worker remembers of a mapping, where there is nothing: that a table was copied apart from the others, by logical replication,
-- must not pass for a mapping in which nothing is under way. Whether a batch has arrived with which rows are stored is found out again.
CREATE FUNCTION sheet_sync._make_lines(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO sheet_sync._cycle (mapping_id) VALUES (mapping_id) ON CONFLICT DO NOTHING;
    INSERT INTO sheet_sync._progress (mapping_id, inserting)
    SELECT mapping_id, ARRAY(SELECT DISTINCT b.batch FROM sheet_sync._base_row b
                             WHERE b.mapping_id = mapping_id AND b.batch IS NOT NULL AND b.owed IS NULL)
    WHERE NOT EXISTS (SELECT FROM sheet_sync._progress p WHERE p.mapping_id = mapping_id)
    ON CONFLICT DO NOTHING;
END
$$;

CREATE FUNCTION sheet_sync._merge_afresh(mapping_id integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    PERFORM sheet_sync._make_lines(mapping_id) FROM sheet_sync.mapping m WHERE m.id = mapping_id AND m.made_in = sheet_sync._here();
    -- In the order in which the worker takes them. It stores new rows and the batch in which they go under the second lock: a row whose
    -- batch is announced in this very moment would be forgotten while it travels, and stand in the sheet twice.
    PERFORM FROM sheet_sync._cycle c WHERE c.mapping_id = mapping_id FOR UPDATE;
    PERFORM FROM sheet_sync._progress p WHERE p.mapping_id = mapping_id FOR UPDATE;
    -- Rows that are being written keep what is stored of them: a batch whose answer is missing may yet arrive.
    DELETE FROM sheet_sync._base_row b
    USING sheet_sync._progress p
    WHERE p.mapping_id = mapping_id AND b.mapping_id = mapping_id AND (b.owed IN ('rewrite', 'overrule', 'delete')) IS NOT TRUE
      AND (b.batch = ANY (p.inserting)) IS NOT TRUE;
    DELETE FROM sheet_sync._dirty_key d WHERE d.mapping_id = mapping_id;
    DELETE FROM sheet_sync._stop s WHERE s.mapping_id = mapping_id;
    UPDATE sheet_sync._cycle c SET merged = false WHERE c.mapping_id = mapping_id;
    UPDATE sheet_sync.mapping m
    SET generation = m.generation + 1, retry_at = NULL,
        -- A paused mapping stays so, and goes on saying what lets it go on.
        state = CASE WHEN m.state = 'paused' THEN m.state ELSE 'initialising' END,
        reason = CASE WHEN m.state = 'paused' THEN m.reason END, hint = CASE WHEN m.state = 'paused' THEN m.hint END
    WHERE m.id = mapping_id;
END
$$;

-- Lets a mapping go on that stopped because this database is a copy, or because the sheet knows other writes than it does. Answers
-- how many.
CREATE FUNCTION sheet_sync._take_over(caller oid, table_name regclass, mapping_id integer, winner text) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    stopped integer[];
    one record;
    afresh boolean;
    last_turn bigint;
    taken integer := 0;
BEGIN
    IF winner NOT IN ('database', 'sheet', 'merge') THEN
        RAISE EXCEPTION 'winner must be database, sheet or merge, and not "%"', winner
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'database: the sheet becomes as the table is. sheet: the table becomes as the sheet is. merge: as register_table() merges.';
    END IF;
    stopped := ARRAY(SELECT m.id FROM sheet_sync._chosen(caller, table_name, mapping_id, NULL) i JOIN sheet_sync.mapping m ON m.id = i
                     WHERE m.made_in <> sheet_sync._here()
                           OR split_part(COALESCE(m.reason, ''), ':', 1) IN ('copied_database', 'tab_taken', 'sheet_is_ahead', 'sheet_put_back')
                     ORDER BY m.id);
    IF cardinality(stopped) > 1 THEN
        PERFORM sheet_sync._refuse_several('take_over', stopped);
    END IF;
    FOR one IN SELECT m.id, m.table_name, m.made_in, m.direction, m.made_in <> sheet_sync._here() AS is_elsewhere, split_part(COALESCE(m.reason, ''), ':', 1) AS reason,
                      COALESCE(c.merged, false) AS merged
               FROM unnest(stopped) i JOIN sheet_sync.mapping m ON m.id = i
               LEFT JOIN sheet_sync._cycle c ON c.mapping_id = m.id LOOP
        IF EXISTS (SELECT FROM sheet_sync.mapping m JOIN sheet_sync.mapping o ON (o.spreadsheet_id, o.sheet_id) = (m.spreadsheet_id, m.sheet_id)
                   WHERE m.id = one.id AND o.id < m.id AND o.state <> 'ended') THEN
            RAISE EXCEPTION 'another mapping of this database has the same tab'
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'End one of the two with sheet_sync.unregister_table().';
        END IF;
        IF winner IS NULL AND NOT (one.is_elsewhere OR one.reason = 'copied_database' OR one.reason = 'tab_taken' AND NOT one.merged) THEN
            RAISE EXCEPTION 'the sheet of table % knows other writes than this database: say whose rows count', one.table_name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('SELECT sheet_sync.take_over(%s, winner => ''database''), ''sheet'' or ''merge''.', one.id);
        END IF;
        afresh := winner IS NOT NULL;
        PERFORM sheet_sync._make_lines(one.id);
        -- As in _merge_afresh().
        PERFORM FROM sheet_sync._cycle c WHERE c.mapping_id = one.id FOR UPDATE;
        UPDATE sheet_sync._progress p
        SET number = p.number + 1, turn = p.turn + 1, mark = (random() * 4294967295)::bigint, arrived = NULL,
            -- Batches that were under way belong to the database that wrote then; should one arrive yet, the next turn refuses it.
            writing = CASE WHEN afresh THEN '{}' ELSE p.writing END, inserting = CASE WHEN afresh THEN '{}' ELSE p.inserting END
        WHERE p.mapping_id = one.id RETURNING p.turn - 1 INTO last_turn;
        INSERT INTO sheet_sync._writer (mapping_id) VALUES (one.id) ON CONFLICT DO NOTHING;
        UPDATE sheet_sync._writer w
        SET forked_at = COALESCE(last_turn, 0), time_line = sheet_sync._time_line(), place = NULL,
            moved_from = CASE WHEN one.is_elsewhere AND NOT afresh THEN one.made_in END,
            -- Who only reads takes nothing from anybody, also not later, when the direction is another one.
            takes_over = (afresh OR one.reason = 'tab_taken') AND one.direction <> 'from_sheet', winner = nullif(winner, 'merge')
        WHERE w.mapping_id = one.id;
        IF afresh THEN
            DELETE FROM sheet_sync._base_row b WHERE b.mapping_id = one.id;
            DELETE FROM sheet_sync._dirty_key d WHERE d.mapping_id = one.id;
            DELETE FROM sheet_sync._stop s WHERE s.mapping_id = one.id;
            UPDATE sheet_sync._cycle c SET merged = false WHERE c.mapping_id = one.id;
        END IF;
        IF one.is_elsewhere THEN
            -- Nothing was captured here so far. Making the triggers waits for those who are changing rows now, and has plans made anew.
            PERFORM sheet_sync._make_triggers(one.id);
            -- Lines that logical replication has brought bear another server's numbers.
            UPDATE sheet_sync._dirty_key d SET added_in = DEFAULT WHERE d.mapping_id = one.id;
            INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (one.id, NULL, clock_timestamp());
        END IF;
        UPDATE sheet_sync.mapping m
        SET made_in = sheet_sync._here(), generation = m.generation + 1, retry_at = NULL,
            state = CASE WHEN m.state = 'paused' THEN m.state WHEN one.merged AND NOT afresh THEN 'active' ELSE 'initialising' END,
            reason = CASE WHEN m.state = 'paused' THEN m.reason END, hint = CASE WHEN m.state = 'paused' THEN m.hint END
        WHERE m.id = one.id;
        taken := taken + 1;
    END LOOP;
    IF taken = 0 THEN
        RAISE EXCEPTION '% waits to be taken over', CASE WHEN mapping_id IS NULL THEN format('no mapping of table %s', table_name) ELSE 'nothing of mapping ' || mapping_id END
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT * FROM sheet_sync.status says what each mapping waits for.';
    END IF;
    RETURN taken;
END
$$;

-- Answers the stop that stands, and no other: what nobody has been asked cannot be allowed. Says what was allowed, since the
-- question may have become another one after the caller looked.
CREATE FUNCTION sheet_sync._confirm_stop(mapping_id integer, caller oid) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    allowed text;
BEGIN
    UPDATE sheet_sync._stop s SET confirmed_by = pg_get_userbyid(caller), confirmed_at = clock_timestamp()
    WHERE s.mapping_id = mapping_id AND s.confirmed_at IS NULL;
    SELECT s.reason INTO allowed FROM sheet_sync._stop s WHERE s.mapping_id = mapping_id;
    -- A paused mapping stays so, and goes on saying what lets it go on.
    UPDATE sheet_sync.mapping m
    SET state = CASE WHEN c.merged THEN 'active' ELSE 'initialising' END, reason = NULL, hint = NULL, retry_at = NULL
    FROM sheet_sync._cycle c
    WHERE c.mapping_id = m.id AND m.id = mapping_id AND m.state <> 'paused';
    RETURN allowed;
END
$$;

CREATE FUNCTION sheet_sync._refuse_confirmation(subject text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'nothing of % waits to be confirmed', subject
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = 'No guard has stopped a mass delete or a mass change there, or what it stopped has been undone.',
              HINT = 'SELECT mapping_id, state, reason FROM sheet_sync.status shows what stands. Nothing can be confirmed before it was asked.';
END
$$;

CREATE FUNCTION sheet_sync._confirm_deletes(caller oid, table_name regclass) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mappings integer[] := ARRAY(SELECT sheet_sync._mappings_of(caller, table_name));
    open integer[] := ARRAY(SELECT s.mapping_id FROM sheet_sync._stop s
                            WHERE s.mapping_id = ANY (mappings) AND s.confirmed_at IS NULL ORDER BY s.mapping_id);
BEGIN
    IF cardinality(open) > 1 THEN
        RAISE EXCEPTION '% mappings of table % have stopped, and each is a question of its own', cardinality(open), table_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = (SELECT string_agg(format('Mapping %s, sheet "%s": %s', m.id, m.sheet_title, s.reason), E'\n' ORDER BY m.id)
                            FROM sheet_sync._stop s JOIN sheet_sync.mapping m ON m.id = s.mapping_id WHERE m.id = ANY (open)),
                  HINT = format('Name the mapping: SELECT sheet_sync.confirm_deletes(%s);', open[1]);
    ELSIF cardinality(open) = 1 THEN
        RETURN sheet_sync._confirm_stop(open[1], caller);
    ELSIF NOT EXISTS (SELECT FROM sheet_sync._stop s WHERE s.mapping_id = ANY (mappings)) THEN
        PERFORM sheet_sync._refuse_confirmation(format('table %s', table_name));
    END IF;
    -- Allowed before, and not carried out yet.
    RETURN (SELECT string_agg(s.reason, E'\n' ORDER BY s.mapping_id) FROM sheet_sync._stop s WHERE s.mapping_id = ANY (mappings));
END
$$;

CREATE FUNCTION sheet_sync._confirm_deletes_of(caller oid, mapping_id integer) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping := sheet_sync._mapping_for(caller, mapping_id);
BEGIN
    IF m.state <> 'ended' THEN
        PERFORM sheet_sync._require_owner(caller, m.table_name);
    END IF;
    IF NOT EXISTS (SELECT FROM sheet_sync._stop s WHERE s.mapping_id = mapping_id) THEN
        PERFORM sheet_sync._refuse_confirmation(format('mapping %s', mapping_id));
    END IF;
    RETURN sheet_sync._confirm_stop(mapping_id, caller);
END
$$;

CREATE FUNCTION sheet_sync._resolve(caller oid, conflict_id bigint, winner text, value text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    line sheet_sync.conflict;
BEGIN
    SELECT c.* INTO line FROM sheet_sync.conflict c WHERE c.id = conflict_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no conflict %', conflict_id
            USING ERRCODE = 'no_data_found', HINT = 'SELECT * FROM sheet_sync.conflict WHERE winner = ''pending'' lists those that wait.';
    END IF;
    PERFORM sheet_sync._require_owner(caller, (SELECT m.table_name FROM sheet_sync.mapping m WHERE m.id = line.mapping_id));
    IF line.winner = 'superseded' THEN
        RAISE EXCEPTION 'conflict % is superseded: its cell or row has changed since', conflict_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('It was about %s in the table and %s in the sheet.', COALESCE(quote_literal(line.database_value), 'nothing'),
                                  COALESCE(quote_literal(line.sheet_value #>> '{}'), 'nothing')),
                  HINT = format('SELECT * FROM sheet_sync.conflict WHERE mapping_id = %s AND key = %L AND winner = ''pending'' shows what waits there now, if anything does.',
                                line.mapping_id, line.key);
    ELSIF line.winner <> 'pending' OR line.settled THEN
        RAISE EXCEPTION 'conflict % was decided already', conflict_id
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Winner: %s.', line.winner),
                  HINT = 'Edit the cell on either side to change it now; the line keeps what was there.';
    ELSIF winner NOT IN ('database', 'sheet', 'value') THEN
        RAISE EXCEPTION 'winner must be database, sheet or value, not %', quote_literal(winner) USING ERRCODE = 'invalid_parameter_value',
            HINT = 'With ''value'' the third argument is what both sides shall hold.';
    ELSIF winner = 'value' AND line.column_name IS NULL THEN
        RAISE EXCEPTION 'conflict % is about a whole row', conflict_id
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose ''database'' or ''sheet''.';
    ELSIF winner <> 'value' AND value IS NOT NULL THEN
        RAISE EXCEPTION 'a value goes with winner ''value'' only' USING ERRCODE = 'invalid_parameter_value',
            HINT = format('sheet_sync.resolve(%s, ''value'', %L)', conflict_id, value);
    ELSIF winner = 'value' AND value IS NULL
          AND EXISTS (SELECT FROM sheet_sync.mapping m JOIN pg_attribute a ON a.attrelid = m.table_name
                      WHERE m.id = line.mapping_id AND a.attname = line.column_name AND a.attnotnull) THEN
        RAISE EXCEPTION 'column "%" must not be NULL', line.column_name
            USING ERRCODE = 'not_null_violation', HINT = format('Give a value: sheet_sync.resolve(%s, ''value'', ''…'')', conflict_id);
    END IF;
    UPDATE sheet_sync.conflict c
    SET decision = winner, decided_value = value, resolved_by = pg_get_userbyid(caller), resolved_at = clock_timestamp()
    WHERE c.id = conflict_id;
    INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (line.mapping_id, line.key, clock_timestamp());
END
$$;

-- `sealed` is the encrypted key in hexadecimal digits. `for_superusers` is what nobody else may do with such a credential, and null of most;
-- `instead` is what others can do.
CREATE FUNCTION sheet_sync._set_credential(caller oid, name text, sealed text, account text, for_superusers text, instead text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    IF for_superusers IS NOT NULL AND (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = caller) IS NOT TRUE THEN
        RAISE EXCEPTION 'only a superuser may %', for_superusers
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('%s Or let a superuser set this credential, and then allow its use: SELECT sheet_sync.grant_credential(%L, %L);',
                                instead, name, pg_get_userbyid(caller));
    END IF;
    INSERT INTO sheet_sync._credential (name, sealed_key, account) VALUES (name, decode(sealed, 'hex'), account)
    ON CONFLICT ON CONSTRAINT _credential_pkey DO UPDATE SET sealed_key = EXCLUDED.sealed_key, account = EXCLUDED.account, set_at = now();
END
$$;

-- `file_takes_over` is whether sheet_sync.credentials_file holds the credential from now on.
CREATE FUNCTION sheet_sync._drop_credential(credential_name text, file_takes_over boolean) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    used text;
BEGIN
    DELETE FROM sheet_sync._credential WHERE name = credential_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM sheet_sync._credential_grant g WHERE g.credential = credential_name;
    SELECT string_agg(table_name::text, ', ') INTO used FROM sheet_sync.mapping WHERE credential = credential_name;
    IF file_takes_over THEN
        RAISE NOTICE 'from now on the credential "%" is the one in the file of sheet_sync.credentials_file%', credential_name,
            CASE WHEN used IS NULL THEN '' ELSE format(', also for the mappings of %s', used) END
            USING HINT = 'Where no credential is meant, take the setting out of the configuration, and reload it.';
    ELSIF used IS NOT NULL THEN
        RAISE NOTICE 'mappings of % wait until credential "%" is set again', used, credential_name;
    END IF;
    RETURN true;
END
$$;

-- Edits of a mapping are checked here, so that a bad one never reaches the worker. Triggers fire in the order of their names.

-- Values that an option does not have, told with a hint, which a CHECK cannot give.
CREATE FUNCTION sheet_sync._check_options() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bad record;
BEGIN
    SELECT o.* INTO bad FROM (VALUES
        ('direction', NEW.direction, '{both,to_sheet,from_sheet}'::text[]),
        ('conflict_policy', NEW.conflict_policy, '{last_write_wins,database_wins,sheet_wins,manual,conflict_function}'),
        ('tie', NEW.tie, '{database,sheet}'),
        ('on_table_delete', NEW.on_table_delete, '{delete_row,clear,keep}'),
        ('on_sheet_delete', NEW.on_sheet_delete, '{delete,keep}')) o(name, value, choices)
    WHERE o.value = ANY (o.choices) IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% cannot be %', bad.name, quote_nullable(bad.value)
            USING ERRCODE = 'invalid_parameter_value', HINT = format('Choose one of: %s.', array_to_string(bad.choices, ', '));
    END IF;
    SELECT o.* INTO bad FROM (VALUES
        ('max_delete_percent', NEW.max_delete_percent::text, NEW.max_delete_percent BETWEEN 0 AND 100, 'Give a share between 0 and 100.'),
        ('max_delete_rows', NEW.max_delete_rows::text, NEW.max_delete_rows >= 0, 'Give a number of rows, or 0 to let max_delete_percent always count.'),
        ('header_row', NEW.header_row::text, NEW.header_row BETWEEN 1 AND 1000, 'Give the number of the row as the sheet shows it, 1 to 1000.'),
        ('footer', quote_literal(NEW.footer), COALESCE(btrim(NEW.footer) <> '' AND NEW.footer = btrim(NEW.footer), true),
         'Give the text of the cell with which the footer begins, such as ''Total'', or NULL.'),
        ('poll_interval', NEW.poll_interval::text, COALESCE(NEW.poll_interval >= interval '100 milliseconds', true),
         'Give at least 100 ms, or NULL for sheet_sync.poll_interval_ms.')) o(name, value, ok, hint)
    WHERE o.ok IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% cannot be %', bad.name, COALESCE(bad.value, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = bad.hint;
    END IF;
    IF NEW.conflict_policy = 'conflict_function' AND NEW.conflict_function IS NULL THEN
        RAISE EXCEPTION 'conflict_policy ''conflict_function'' needs a conflict_function'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Set conflict_function = ''my_merge(jsonb, jsonb, jsonb, jsonb)'' too, or choose another policy.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_options BEFORE INSERT OR UPDATE ON sheet_sync.mapping FOR EACH ROW EXECUTE FUNCTION sheet_sync._check_options();

-- What an edit names is looked up as whoever wrote it would look it up, so without a search_path of its own: all else is qualified.
CREATE FUNCTION sheet_sync._check_names() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named pg_catalog.text;
BEGIN
    IF NEW.conflict_function IS DISTINCT FROM OLD.conflict_function AND NEW.conflict_function IS NOT NULL THEN
        named := NEW.conflict_function;
        IF pg_catalog.strpos(named, '(') OPERATOR(pg_catalog.=) 0 THEN
            named := pg_catalog.concat(named, '(jsonb,jsonb,jsonb,jsonb)');
        END IF;
        PERFORM sheet_sync._check_conflict_function(pg_catalog.to_regprocedure(named), named);
        NEW.conflict_function := sheet_sync._qualified(pg_catalog.to_regprocedure(named));
    END IF;
    NEW.row_filter := NULLIF(pg_catalog.btrim(NEW.row_filter), '');
    IF NEW.row_filter IS DISTINCT FROM OLD.row_filter AND NEW.row_filter IS NOT NULL THEN
        EXECUTE pg_catalog.format(E'SELECT FROM %s AS t WHERE (%s\n) LIMIT 0', NEW.table_name, NEW.row_filter);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_names BEFORE UPDATE OF conflict_function, row_filter ON sheet_sync.mapping
    FOR EACH ROW EXECUTE FUNCTION sheet_sync._check_names();

CREATE FUNCTION sheet_sync._edit_mapping() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bad record;
BEGIN
    IF NEW.id <> OLD.id OR NEW.spreadsheet_id <> OLD.spreadsheet_id
       OR ((NEW.table_name IS DISTINCT FROM OLD.table_name OR NEW.key_columns <> OLD.key_columns)
           AND COALESCE(current_setting('sheet_sync.following', true), '') <> 'on') THEN
        RAISE EXCEPTION 'id, table_name, spreadsheet_id and key_columns of a mapping cannot change'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'End the mapping with sheet_sync.unregister_table() and register it anew.';
    END IF;
    IF NEW.direction <> OLD.direction THEN
        SELECT u.* INTO bad FROM sheet_sync._unfit(NEW.table_name, NEW.direction) u;
        IF FOUND THEN
            RAISE EXCEPTION '%', bad.message USING ERRCODE = 'wrong_object_type', HINT = bad.hint;
        END IF;
    END IF;
    IF NEW.credential <> OLD.credential AND NEW.credential <> 'default' AND NOT EXISTS (SELECT FROM sheet_sync._credential c WHERE c.name = NEW.credential) THEN
        RAISE EXCEPTION 'there is no credential "%"', NEW.credential
            USING ERRCODE = 'undefined_object', HINT = format('SELECT sheet_sync.set_credential(%L, pg_read_file(''/path/key.json'')::jsonb);', NEW.credential);
    END IF;
    IF NEW.conflict_function IS NULL AND OLD.conflict_function IS NOT NULL
       AND EXISTS (SELECT FROM sheet_sync.mapping_column c WHERE c.mapping_id = NEW.id AND c.conflict_policy = 'conflict_function') THEN
        RAISE EXCEPTION 'a column of the mapping has conflict_policy ''conflict_function'' and needs the function'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give the column another policy in sheet_sync.mapping_column first.';
    END IF;
    IF (NEW.direction, NEW.conflict_policy, NEW.conflict_function, NEW.tie, NEW.on_table_delete, NEW.on_sheet_delete, NEW.max_delete_percent,
        NEW.max_delete_rows, NEW.row_filter, NEW.poll_interval, NEW.notes_on_problems, NEW.advance_sequences, NEW.credential, NEW.run_as, NEW.header_row, NEW.footer)
       IS DISTINCT FROM
       (OLD.direction, OLD.conflict_policy, OLD.conflict_function, OLD.tie, OLD.on_table_delete, OLD.on_sheet_delete, OLD.max_delete_percent,
        OLD.max_delete_rows, OLD.row_filter, OLD.poll_interval, OLD.notes_on_problems, OLD.advance_sequences, OLD.credential, OLD.run_as, OLD.header_row, OLD.footer) THEN
        NEW.generation := OLD.generation + 1;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER edit_mapping BEFORE UPDATE ON sheet_sync.mapping FOR EACH ROW EXECUTE FUNCTION sheet_sync._edit_mapping();

CREATE FUNCTION sheet_sync._check_column() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m sheet_sync.mapping;
BEGIN
    IF NEW.direction IN ('both', 'to_sheet', 'from_sheet') IS NOT TRUE THEN
        RAISE EXCEPTION 'direction cannot be %', quote_nullable(NEW.direction)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose one of: both, to_sheet, from_sheet.';
    ELSIF NEW.conflict_policy NOT IN ('last_write_wins', 'database_wins', 'sheet_wins', 'manual', 'conflict_function') THEN
        RAISE EXCEPTION 'conflict_policy cannot be %', quote_literal(NEW.conflict_policy)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Choose one of: last_write_wins, database_wins, sheet_wins, manual, conflict_function; or NULL for the mapping''s.';
    END IF;
    SELECT x.* INTO m FROM sheet_sync.mapping x WHERE x.id = NEW.mapping_id;
    IF NEW.conflict_policy = 'conflict_function' AND m.conflict_function IS NULL THEN
        RAISE EXCEPTION 'conflict_policy ''conflict_function'' needs a conflict_function'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('First: UPDATE sheet_sync.mapping SET conflict_function = ''my_merge(jsonb, jsonb, jsonb, jsonb)'' WHERE id = %s;', NEW.mapping_id);
    ELSIF NEW.direction <> OLD.direction AND NEW.direction = 'from_sheet'
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = m.table_name AND a.attnum = NEW.attnum AND a.attgenerated <> '') THEN
        RAISE EXCEPTION 'column "%" is generated by the table and takes nothing from the sheet', NEW.column_name
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave its direction as it is, to_sheet.';
    END IF;
    NEW.number_format := NULLIF(btrim(NEW.number_format), '');
    IF length(NEW.number_format) > 200 THEN
        RAISE EXCEPTION 'number_format is longer than 200 characters'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a pattern such as #,##0.00 or dd.mm.yy.';
    END IF;
    NEW.reformat := NEW.reformat OR NEW.number_format IS DISTINCT FROM OLD.number_format;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_column BEFORE UPDATE OF direction, conflict_policy, number_format ON sheet_sync.mapping_column
    FOR EACH ROW EXECUTE FUNCTION sheet_sync._check_column();

-- Other rows belong in the sheet, or other changes are owed, than those that anybody has noted: the whole table is compared.
CREATE FUNCTION sheet_sync._look_at_everything() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (NEW.id, NULL, clock_timestamp());
    IF (OLD.row_filter IS NULL) <> (NEW.row_filter IS NULL) AND NOT NEW.all_columns THEN
        PERFORM sheet_sync._make_triggers(NEW.id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER look_at_everything AFTER UPDATE ON sheet_sync.mapping FOR EACH ROW
    WHEN ((OLD.row_filter, OLD.direction) IS DISTINCT FROM (NEW.row_filter, NEW.direction))
    EXECUTE FUNCTION sheet_sync._look_at_everything();

CREATE FUNCTION sheet_sync._column_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE sheet_sync.mapping SET generation = generation + 1 WHERE id = NEW.mapping_id;
    IF NEW.direction <> OLD.direction THEN
        INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (NEW.mapping_id, NULL, clock_timestamp());
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER column_changed AFTER UPDATE OF direction, conflict_policy, number_format ON sheet_sync.mapping_column
    FOR EACH ROW EXECUTE FUNCTION sheet_sync._column_changed();

-- What a table looks like to capture: which rows of it the mapping's role reads, its partitions and their storage (a rewrite or TRUNCATE
-- changes it), and our triggers.
CREATE FUNCTION sheet_sync._layout(mapping_id integer, target oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN (SELECT c.relrowsecurity FROM pg_class c WHERE c.oid = $2)
                THEN (SELECT sheet_sync._policies_seen($2, m.run_as) FROM sheet_sync.mapping m WHERE m.id = $1) || ' ' ELSE '' END
           || (SELECT string_agg(c.oid || ':' || c.relfilenode, ' ' ORDER BY c.oid)
            FROM sheet_sync._with_partitions($2) f(relid) JOIN pg_class c ON c.oid = f.relid)
           || ' ' || (SELECT count(*) FROM pg_trigger t
                      WHERE t.tgrelid = $2 AND t.tgenabled = 'A' AND t.tgname IN ('sheet_sync_row_' || $1, 'sheet_sync_update_' || $1, 'sheet_sync_truncate_' || $1))
$$;

-- The header for a column that joins: its name, or with a number after it where another column's header reads so already, as when a
-- column was renamed and a new one has its name.
CREATE FUNCTION sheet_sync._free_header(mapping_id integer, name text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT candidate
    FROM (SELECT 1 AS n, $2 AS candidate UNION ALL SELECT n, $2 || ' ' || n FROM generate_series(2, 1602) n) names
    WHERE NOT EXISTS (SELECT FROM sheet_sync.mapping_column c
                      WHERE c.mapping_id = $1 AND sheet_sync._normal_header(c.header) = sheet_sync._normal_header(candidate))
    ORDER BY n LIMIT 1
$$;

-- Bring a mapping's columns up to its table's after ALTER TABLE; answers whether anything changed. The base rows keep step: values
-- are stored by position, so a column that leaves takes its place in them along. Where the table changed in a way that capture
-- cannot see (partitions, rewrites, triggers switched off), the whole table is compared.
CREATE FUNCTION sheet_sync._follow_columns(mapping_id integer) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m sheet_sync.mapping;
    gone record;
    retyped record;
    changed boolean := false;
    last integer;
    renamed text[];
    layout text;
    is_merged boolean;
    before text;
    labels text[];
    labels_before text[];
BEGIN
    SELECT x.* INTO m FROM sheet_sync.mapping x WHERE x.id = mapping_id;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.table_name) THEN
        RETURN false;
    END IF;

    SELECT array_agg(COALESCE(a.attname::text, k.name) ORDER BY k.o) INTO renamed
    FROM unnest(m.key_columns) WITH ORDINALITY k(name, o)
    LEFT JOIN sheet_sync.mapping_column c ON c.mapping_id = mapping_id AND c.column_name = k.name
    LEFT JOIN pg_attribute a ON a.attrelid = m.table_name AND a.attnum = c.attnum AND NOT a.attisdropped;

    FOR gone IN SELECT c.position FROM sheet_sync.mapping_column c
                WHERE c.mapping_id = mapping_id
                  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = m.table_name AND a.attnum = c.attnum AND NOT a.attisdropped)
                ORDER BY c.position DESC LOOP
        DELETE FROM sheet_sync.mapping_column c WHERE c.mapping_id = mapping_id AND c.position = gone.position;
        UPDATE sheet_sync.mapping_column c SET position = -c.position WHERE c.mapping_id = mapping_id AND c.position > gone.position;
        UPDATE sheet_sync.mapping_column c SET position = -c.position - 1 WHERE c.mapping_id = mapping_id AND c.position < 0;
        UPDATE sheet_sync._base_row b
        SET database_values = CASE WHEN cardinality(b.database_values) = 0 THEN b.database_values
                                   ELSE b.database_values[:gone.position - 1] || b.database_values[gone.position + 1:] END,
            sheet_values = CASE WHEN jsonb_array_length(b.sheet_values) = 0 THEN b.sheet_values ELSE b.sheet_values - (gone.position - 1) END
        WHERE b.mapping_id = mapping_id;
        changed := true;
    END LOOP;

    UPDATE sheet_sync.mapping_column c SET column_name = a.attname
    FROM pg_attribute a
    WHERE c.mapping_id = mapping_id AND a.attrelid = m.table_name AND a.attnum = c.attnum AND NOT a.attisdropped
      AND c.column_name <> a.attname;
    changed := changed OR FOUND;

    FOR retyped IN SELECT c.position, c.column_name, sheet_sync._kind(a.atttypid) AS kind
                FROM sheet_sync.mapping_column c
                JOIN pg_attribute a ON a.attrelid = m.table_name AND a.attnum = c.attnum AND NOT a.attisdropped
                WHERE c.mapping_id = mapping_id AND c.kind <> sheet_sync._kind(a.atttypid) LOOP
        UPDATE sheet_sync.mapping_column c SET kind = retyped.kind, reformat = c.header_known
        WHERE c.mapping_id = mapping_id AND c.position = retyped.position;
        -- What the table had was of another kind. Without it every value counts as changed in the table, and goes to the sheet in its
        -- new form; what a person has changed meanwhile is a conflict and not lost. The key says which row it is, whatever its form.
        IF retyped.column_name <> ALL (renamed) THEN
            UPDATE sheet_sync._base_row b SET database_values[retyped.position] = NULL
            WHERE b.mapping_id = mapping_id AND cardinality(b.database_values) > 0;
        END IF;
        changed := true;
    END LOOP;

    IF m.all_columns THEN
        SELECT COALESCE(max(c.position), 0) INTO last FROM sheet_sync.mapping_column c WHERE c.mapping_id = mapping_id;
        INSERT INTO sheet_sync.mapping_column (mapping_id, position, column_name, attnum, header, kind, direction)
        SELECT mapping_id, last + row_number() OVER (ORDER BY a.attnum), a.attname, a.attnum, sheet_sync._free_header(mapping_id, a.attname),
               sheet_sync._kind(a.atttypid), CASE WHEN a.attgenerated <> '' THEN 'to_sheet' ELSE 'both' END
        FROM pg_attribute a
        WHERE a.attrelid = m.table_name AND a.attnum > 0 AND NOT a.attisdropped
          AND NOT EXISTS (SELECT FROM sheet_sync.mapping_column c WHERE c.mapping_id = mapping_id AND c.attnum = a.attnum);
        IF FOUND THEN
            changed := true;
            -- Both halves of the base get an empty place for each new column: what either side holds there is a change.
            UPDATE sheet_sync._base_row b
            SET database_values = CASE WHEN cardinality(b.database_values) = 0 THEN b.database_values
                                       ELSE b.database_values || array_fill(NULL::text, ARRAY[n.added]) END,
                sheet_values = CASE WHEN jsonb_array_length(b.sheet_values) = 0 THEN b.sheet_values
                                    ELSE b.sheet_values || (SELECT jsonb_agg(NULL::text) FROM generate_series(1, n.added)) END
            FROM (SELECT max(c.position) - last AS added FROM sheet_sync.mapping_column c WHERE c.mapping_id = mapping_id) n
            WHERE b.mapping_id = mapping_id;
        END IF;
    END IF;

    IF renamed <> m.key_columns THEN
        PERFORM set_config('sheet_sync.following', 'on', true);
        UPDATE sheet_sync.mapping x SET key_columns = renamed WHERE x.id = mapping_id;
        PERFORM set_config('sheet_sync.following', 'off', true);
    END IF;

    -- Remaking triggers locks the table for a moment, so only where their arguments are other ones, or where one is missing or off.
    -- They are not missed before both sides are merged: register_table() and take_over() make them, and where neither has been called
    -- here a dump may be being restored, which brings them last.
    layout := sheet_sync._layout(mapping_id, m.table_name);
    is_merged := COALESCE((SELECT c.merged FROM sheet_sync._cycle c WHERE c.mapping_id = mapping_id), false);
    IF renamed <> m.key_columns OR (changed AND NOT m.all_columns) OR (is_merged AND layout NOT LIKE '% 3') THEN
        PERFORM sheet_sync._make_triggers(mapping_id);
        layout := sheet_sync._layout(mapping_id, m.table_name);
        changed := true;
    END IF;
    SELECT c.layout INTO before FROM sheet_sync._cycle c WHERE c.mapping_id = mapping_id;
    UPDATE sheet_sync._cycle c SET layout = layout WHERE c.mapping_id = mapping_id AND c.layout IS DISTINCT FROM layout;
    SELECT c.labels INTO labels_before FROM sheet_sync._cycle c WHERE c.mapping_id = mapping_id;
    labels := sheet_sync._labels(mapping_id);
    IF labels_before IS DISTINCT FROM labels THEN
        IF NOT labels_before <@ labels THEN
            PERFORM sheet_sync._follow_labels(mapping_id, labels_before, labels);
        END IF;
        UPDATE sheet_sync._cycle c SET labels = labels WHERE c.mapping_id = mapping_id;
    END IF;
    -- A crash that emptied the table has left no other trace. Looked at once it is logged again: if it is empty then, somebody is asked.
    IF EXISTS (SELECT FROM sheet_sync._unfit(m.table_name, m.direction) u WHERE u.reason = 'unlogged')
       AND NOT EXISTS (SELECT FROM sheet_sync._dirty_key d WHERE d.mapping_id = mapping_id AND d.key = '{}') THEN
        INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (mapping_id, '{}', clock_timestamp());
    END IF;
    IF changed OR before <> layout THEN
        INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES (mapping_id, NULL, clock_timestamp());
    END IF;
    RETURN changed;
END
$$;
