-- The catalog: configuration and state of every mapping.
-- Names that begin with _ are private: nobody but the extension's owner may touch them.

REVOKE ALL ON SCHEMA sheet_sync FROM PUBLIC;
GRANT USAGE ON SCHEMA sheet_sync TO PUBLIC;

DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'sheet_sync needs a database with encoding UTF8, this one has %', pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Google Sheets speaks UTF-8 only. Create the database with ENCODING ''UTF8''.';
    END IF;
    -- Otherwise whoever made the schema beforehand could change what we run.
    IF (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'sheet_sync') <> current_user::pg_catalog.regrole THEN
        RAISE EXCEPTION 'schema sheet_sync belongs to somebody else'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Drop or rename the schema, then CREATE EXTENSION makes its own.';
    END IF;
END
$$;

-- Which database of which cluster this is: a copy of it is another one.
CREATE FUNCTION sheet_sync._here() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.system_identifier || '/' || d.oid FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
$$;

-- A promoted standby begins a new one.
CREATE FUNCTION sheet_sync._time_line() RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint
$$;

CREATE TABLE sheet_sync.mapping (
    id                 integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name         regclass,
    registered_as      text NOT NULL,
    spreadsheet_id     text NOT NULL CHECK (spreadsheet_id <> ''),
    sheet_id           bigint,
    sheet_title        text,
    header_row         integer NOT NULL DEFAULT 1 CHECK (header_row BETWEEN 1 AND 1000),
    footer             text CHECK (footer <> ''),
    key_columns        text[] NOT NULL,
    all_columns        boolean NOT NULL DEFAULT true,
    direction          text NOT NULL DEFAULT 'both' CHECK (direction IN ('both', 'to_sheet', 'from_sheet')),
    conflict_policy    text NOT NULL DEFAULT 'last_write_wins'
                       CHECK (conflict_policy IN ('last_write_wins', 'database_wins', 'sheet_wins', 'manual', 'conflict_function')),
    conflict_function  text,
    tie                text NOT NULL DEFAULT 'database' CHECK (tie IN ('database', 'sheet')),
    on_table_delete    text NOT NULL DEFAULT 'delete_row' CHECK (on_table_delete IN ('delete_row', 'clear', 'keep')),
    on_sheet_delete    text NOT NULL DEFAULT 'delete' CHECK (on_sheet_delete IN ('delete', 'keep')),
    max_delete_percent real NOT NULL DEFAULT 50 CHECK (max_delete_percent BETWEEN 0 AND 100),
    max_delete_rows    integer NOT NULL DEFAULT 20 CHECK (max_delete_rows >= 0),
    row_filter         text,
    poll_interval      interval CHECK (poll_interval >= interval '100 milliseconds'),
    notes_on_problems  boolean NOT NULL DEFAULT true,
    advance_sequences  boolean NOT NULL DEFAULT true,
    credential         text NOT NULL DEFAULT 'default',
    run_as             regrole NOT NULL,
    readable_rows      text,
    state              text NOT NULL DEFAULT 'initialising' CHECK (state IN ('initialising', 'active', 'paused', 'failed', 'ended')),
    reason             text,
    hint               text,
    retry_at           timestamptz,
    generation         bigint NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    made_in            text NOT NULL DEFAULT sheet_sync._here(),
    CHECK (conflict_policy <> 'conflict_function' OR conflict_function IS NOT NULL),
    CHECK ((state = 'ended') = (table_name IS NULL))
);
CREATE UNIQUE INDEX mapping_table_spreadsheet ON sheet_sync.mapping (table_name, spreadsheet_id, COALESCE(sheet_id, -1), COALESCE(sheet_title, ''));
COMMENT ON TABLE sheet_sync.mapping IS 'One table tied to one tab of one spreadsheet. Options may be changed here with UPDATE; use register_table() and unregister_table() to add and remove.';
COMMENT ON COLUMN sheet_sync.mapping.table_name IS 'Null once the table was dropped: then the mapping has ended.';
COMMENT ON COLUMN sheet_sync.mapping.registered_as IS 'The table''s name when it was registered, or last agreed on by resume() or follow_name(). Where another table has it, the mapping asks.';
COMMENT ON COLUMN sheet_sync.mapping.sheet_id IS 'The tab''s stable id (gid in the browser''s address); null until the worker has opened the spreadsheet.';
COMMENT ON COLUMN sheet_sync.mapping.sheet_title IS 'The tab''s title: what to look for or make at first, later only shown.';
COMMENT ON COLUMN sheet_sync.mapping.header_row IS 'The row of the sheet that holds the headers; the data stand below it.';
COMMENT ON COLUMN sheet_sync.mapping.footer IS 'The text of the cell with which the footer begins: the row with it, and all below it, are no data.';
COMMENT ON COLUMN sheet_sync.mapping.key_columns IS 'The primary-key or chosen unique columns that name a row on both sides.';
COMMENT ON COLUMN sheet_sync.mapping.all_columns IS 'True where no columns were named: columns added to the table later join the mapping.';
COMMENT ON COLUMN sheet_sync.mapping.advance_sequences IS 'The sequence behind a column is moved past the numbers that people type into that column.';
COMMENT ON COLUMN sheet_sync.mapping.conflict_function IS 'Name and argument types; text, because pg_upgrade refuses tables with regprocedure.';
COMMENT ON COLUMN sheet_sync.mapping.tie IS 'Who wins under last_write_wins when the times cannot tell.';
COMMENT ON COLUMN sheet_sync.mapping.max_delete_percent IS 'A cycle that would delete more than this share of the rows stops the mapping and asks.';
COMMENT ON COLUMN sheet_sync.mapping.max_delete_rows IS 'Where fewer rows than this would be deleted, max_delete_percent does not apply.';
COMMENT ON COLUMN sheet_sync.mapping.run_as IS 'The role whose privileges and row-level security apply to what comes from the sheet.';
COMMENT ON COLUMN sheet_sync.mapping.readable_rows IS 'The policies of row-level security that decided which rows run_as reads when that was last agreed on; null where none did. Where others do, the mapping asks.';
COMMENT ON COLUMN sheet_sync.mapping.retry_at IS 'Null unless it is tried again by itself. Written when the reason is another one; status shows when the next try is.';
COMMENT ON COLUMN sheet_sync.mapping.made_in IS 'The cluster''s system identifier and the database''s oid: a copy of the database leaves the sheet alone until take_over() says that the mapping goes on there.';
COMMENT ON COLUMN sheet_sync.mapping.generation IS 'Counts the edits of this line and its columns; the worker reloads the mapping when it moves.';

CREATE TABLE sheet_sync.mapping_column (
    mapping_id      integer NOT NULL REFERENCES sheet_sync.mapping ON DELETE CASCADE,
    position        integer NOT NULL,
    column_name     text NOT NULL,
    attnum          smallint NOT NULL,
    header          text NOT NULL CHECK (header <> ''),
    direction       text NOT NULL DEFAULT 'both' CHECK (direction IN ('both', 'to_sheet', 'from_sheet')),
    conflict_policy text CHECK (conflict_policy IN ('last_write_wins', 'database_wins', 'sheet_wins', 'manual', 'conflict_function')),
    kind            text NOT NULL CHECK (kind IN ('boolean', 'integer', 'float4', 'float8', 'numeric', 'date', 'time', 'timestamp', 'timestamptz', 'interval', 'json', 'array', 'printed', 'text')),
    number_format   text,
    header_known    boolean NOT NULL DEFAULT false,
    reformat        boolean NOT NULL DEFAULT false,
    previous_header text,
    header_changed_at timestamptz,
    PRIMARY KEY (mapping_id, position),
    -- Checked at the end of a statement: renames may swap names.
    UNIQUE (mapping_id, column_name) DEFERRABLE INITIALLY IMMEDIATE
);
COMMENT ON TABLE sheet_sync.mapping_column IS 'The mapped columns of each mapping with their headers. direction, conflict_policy and number_format may be changed with UPDATE.';
COMMENT ON COLUMN sheet_sync.mapping_column.direction IS 'from_sheet: a formula column, pulled and never overwritten. to_sheet: shown in the sheet, edits there are overwritten.';
COMMENT ON COLUMN sheet_sync.mapping_column.conflict_policy IS 'Overrides the mapping''s policy for this column.';
COMMENT ON COLUMN sheet_sync.mapping_column.header_known IS 'The header was seen in the sheet: from then on the mapping stops where it is missing.';
COMMENT ON COLUMN sheet_sync.mapping_column.number_format IS 'A pattern as Format > Number in Google Sheets takes it, such as #,##0.00 or dd.mm.yyyy. Null: texts as they are typed, dates and times as Postgres writes them, numbers as the sheet shows them.';
COMMENT ON COLUMN sheet_sync.mapping_column.reformat IS 'The kind or number_format has changed: the sheet''s cells still have the number format of before.';
COMMENT ON COLUMN sheet_sync.mapping_column.previous_header IS 'What the header read before a person renamed it in the sheet, at header_changed_at; the column was known by its tag.';
COMMENT ON COLUMN sheet_sync.mapping_column.kind IS 'How values travel; everything without a form of its own travels as text. printed: as text in the one form that Postgres prints.';

CREATE TABLE sheet_sync.conflict (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mapping_id      integer NOT NULL REFERENCES sheet_sync.mapping ON DELETE CASCADE,
    key             text[] NOT NULL,
    column_name     text,
    base_value      text,
    database_value  text,
    sheet_value     jsonb,
    database_absent boolean NOT NULL DEFAULT false,
    sheet_absent    boolean NOT NULL DEFAULT false,
    base_row        jsonb,
    database_row    jsonb,
    sheet_row       jsonb,
    database_time   timestamptz,
    sheet_time_from timestamptz,
    sheet_time_to   timestamptz,
    winner          text NOT NULL CHECK (winner IN ('database', 'sheet', 'function', 'value', 'pending', 'superseded')),
    decision        text CHECK (decision IN ('database', 'sheet', 'value')),
    decided_value   text,
    resolved_by     text,
    resolved_at     timestamptz,
    settled         boolean NOT NULL DEFAULT false,
    detected_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX conflict_open ON sheet_sync.conflict (mapping_id, key) WHERE NOT settled;
COMMENT ON TABLE sheet_sync.conflict IS 'Every conflict: both sides changed the same cell, or one deleted what the other changed. Keeps both values and the base, whoever won.';
COMMENT ON COLUMN sheet_sync.conflict.column_name IS 'Null where the whole row is in conflict (deleted on one side, changed on the other).';
COMMENT ON COLUMN sheet_sync.conflict.winner IS 'database, sheet: that side. function: what the conflict_function gave. value: what resolve() was given. pending: policy manual, waits for resolve(). superseded: the cell or its row changed before anybody decided; what still differs has a newer line.';
COMMENT ON COLUMN sheet_sync.conflict.decision IS 'What resolve() was told; the next cycle carries it out, and sets winner and settled.';
COMMENT ON COLUMN sheet_sync.conflict.sheet_time_from IS 'The sheet''s edit happened between sheet_time_from and sheet_time_to: the two reads between which it appeared.';
COMMENT ON COLUMN sheet_sync.conflict.settled IS 'True once both sides hold the outcome.';

CREATE TABLE sheet_sync.problem (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mapping_id  integer NOT NULL REFERENCES sheet_sync.mapping ON DELETE CASCADE,
    key         text[],
    sheet_row   integer,
    column_name text,
    side        text NOT NULL CHECK (side IN ('database', 'sheet')),
    code        text NOT NULL,
    message     text NOT NULL,
    hint        text NOT NULL,
    first_seen  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    last_seen   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    attempts    bigint NOT NULL DEFAULT 1,
    retry_at    timestamptz
);
CREATE UNIQUE INDEX problem_place ON sheet_sync.problem (mapping_id, COALESCE(key, '{}'), COALESCE(sheet_row, 0), COALESCE(column_name, ''));
COMMENT ON TABLE sheet_sync.problem IS 'What one row or cell cannot do, with reason and hint. A line goes away when its cause does.';
COMMENT ON COLUMN sheet_sync.problem.side IS 'The side that does not take the value.';
COMMENT ON COLUMN sheet_sync.problem.code IS 'SQLSTATE, Google''s reason, or a word of sheet_sync.';

-- Without a foreign key, which would be checked for each of a large cycle's lines.
CREATE TABLE sheet_sync.history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    mapping_id integer NOT NULL,
    cycle_id   bigint NOT NULL,
    side       text NOT NULL CHECK (side IN ('database', 'sheet')),
    key        text[] COLLATE "C" NOT NULL,
    operation  text NOT NULL CHECK (operation IN ('insert', 'update', 'delete')),
    old_values jsonb NOT NULL,
    new_values jsonb NOT NULL
);
CREATE INDEX history_at ON sheet_sync.history (at);
CREATE INDEX history_mapping_key ON sheet_sync.history (mapping_id, key);
COMMENT ON TABLE sheet_sync.history IS 'One line per change that reached its side, kept for sheet_sync.history_retention.';
COMMENT ON COLUMN sheet_sync.history.side IS 'The side that was changed.';

-- A new row is stored before it is sent, as it will stand when it has arrived, with the batch in which it goes. That the batch has arrived
-- is said once for all its rows, in _progress.inserting.
CREATE TABLE sheet_sync._base_row (
    mapping_id      integer NOT NULL,
    key             text COLLATE "C" NOT NULL,
    database_values text[] NOT NULL,
    sheet_values    jsonb NOT NULL,
    sheet_hash      bigint,
    owed            text CHECK (owed IN ('insert', 'look', 'rewrite', 'overrule', 'delete')),
    batch           text,
    typed           text,
    PRIMARY KEY (mapping_id, key),
    CHECK (CASE WHEN owed IS NULL THEN sheet_hash IS NOT NULL OR (batch IS NULL AND sheet_values = '[]')
                ELSE sheet_hash IS NULL AND (batch IS NOT NULL) = (owed = 'delete') END)
) WITH (fillfactor = 90);
COMMENT ON TABLE sheet_sync._base_row IS 'The last state on which both sides agreed, per row.';
COMMENT ON COLUMN sheet_sync._base_row.sheet_hash IS 'Stands for the cells of the row on which both sides agree. Null: something is left to do about the row, or both sides agree that the sheet does not have it.';
COMMENT ON COLUMN sheet_sync._base_row.owed IS 'What is still to be done about the row. insert: it waits to be inserted into the sheet, and the base says nothing. look: it is to be looked at whatever it shows. rewrite: its cells are being emptied, or are being given this key. overrule: an edit in the sheet that lost is being overwritten. delete: it is being deleted from the sheet.';
COMMENT ON COLUMN sheet_sync._base_row.batch IS 'The batch with which the row is deleted from the sheet or inserted into it. A row that is inserted counts as agreed once its batch is no longer in _progress.inserting.';
COMMENT ON COLUMN sheet_sync._base_row.typed IS 'The key as the sheet spells it, where that is not how it would be written there.';
COMMENT ON COLUMN sheet_sync._base_row.key IS 'As Postgres prints the text[] of the other tables: to compare arrays in the index would take a third of the time of storing a row.';

-- Append-only: an upsert would make committing transactions wait for one another. Deleted in batches by the one worker. In the order of
-- transactions: what can have come since a snapshot was taken stands together, apart from lines that are long deleted and that Postgres
-- cannot remove yet.
CREATE TABLE sheet_sync._dirty_key (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    mapping_id integer NOT NULL,
    added_in   xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    key        text[],
    changed_at timestamptz NOT NULL,
    renamed_from text[],
    PRIMARY KEY (mapping_id, added_in, id)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE sheet_sync._dirty_key IS 'Keys whose row changed since it was last looked at; a null key means: compare the whole table, an empty one that it was truncated. Where a row''s key was changed, the line of the new key names the old one.';
COMMENT ON COLUMN sheet_sync._dirty_key.added_in IS 'The transaction that added the line.';
CREATE INDEX _dirty_key_renamed ON sheet_sync._dirty_key (mapping_id, added_in) WHERE renamed_from IS NOT NULL;

CREATE TABLE sheet_sync._stop (
    mapping_id   integer PRIMARY KEY REFERENCES sheet_sync.mapping ON DELETE CASCADE,
    question     bigint NOT NULL,
    reason       text NOT NULL,
    stopped_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    confirmed_by text,
    confirmed_at timestamptz
);
COMMENT ON TABLE sheet_sync._stop IS 'What a guard has stopped and a person may confirm. question stands for the very rows: where others are to go, the line is another one, and unconfirmed.';

CREATE TABLE sheet_sync._credential (
    name       text PRIMARY KEY,
    sealed_key bytea NOT NULL,
    account    text NOT NULL,
    set_at     timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE sheet_sync._credential IS 'Keys of service accounts and logins of users, encrypted. Secret: never dumped, never shown.';
COMMENT ON COLUMN sheet_sync._credential.account IS 'Who asks: an e-mail address where the credential tells it.';

-- A publication for all tables takes _credential along, and no materialized view. On disk, in base backups and on standbys it is as a
-- table is. Two random UUIDs have 244 random bits.
CREATE MATERIALIZED VIEW sheet_sync._seal AS
    SELECT pg_catalog.sha256(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||) pg_catalog.uuid_send(pg_catalog.gen_random_uuid())) AS secret;
COMMENT ON MATERIALIZED VIEW sheet_sync._seal IS 'What the keys in _credential are encrypted with. To refresh it is to lose them.';

CREATE TABLE sheet_sync._capability (
    account   text NOT NULL,
    endpoint  text NOT NULL,
    answers   jsonb NOT NULL,
    probed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (account, endpoint)
);
COMMENT ON TABLE sheet_sync._capability IS 'What the service was seen to do where its documentation says nothing, per account and endpoint.';

CREATE TABLE sheet_sync._cycle (
    mapping_id   integer PRIMARY KEY,
    merged       boolean NOT NULL DEFAULT false,
    layout       text,
    time_zone    text,
    labels       text[]
);
COMMENT ON TABLE sheet_sync._cycle IS 'What the worker remembers of each mapping from cycle to cycle and seldom changes: whether the first merge is done, and the table''s layout, the labels of its enums and the spreadsheet''s time zone when it last looked.';

-- One line for each mapping. Each of its versions has a higher number than the one before, so that the newest is the first from the end
-- of the index. The others stay while somebody holds a snapshot: to come by them would cost more with every cycle.
CREATE TABLE sheet_sync._progress (
    mapping_id   integer NOT NULL,
    number       bigint NOT NULL DEFAULT 1,
    turn         bigint NOT NULL DEFAULT 0,
    mark         bigint NOT NULL DEFAULT 0,
    arrived      bigint,
    writing      text[] NOT NULL DEFAULT '{}',
    inserting    text[] NOT NULL DEFAULT '{}',
    ended_at     timestamptz,
    rows         bigint NOT NULL DEFAULT 0,
    rows_pushed  bigint NOT NULL DEFAULT 0,
    rows_pulled  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (mapping_id, number)
);
COMMENT ON TABLE sheet_sync._progress IS 'What changes with each cycle of a mapping: its turns at the sheet, the batches under way there, and totals.';
COMMENT ON COLUMN sheet_sync._progress.number IS 'How often the line was changed.';
COMMENT ON COLUMN sheet_sync._progress.turn IS 'The last cycle that wrote to the sheet, counted. What stands in the tab is never a later one, unless this database is a copy or was restored: so each is stored before it is sent.';
COMMENT ON COLUMN sheet_sync._progress.mark IS 'Tells the turn from one of the same number that a copy of the database has begun.';
COMMENT ON COLUMN sheet_sync._progress.arrived IS 'The last turn that is known to stand in the tab: fewer stand there where the spreadsheet was put back.';
COMMENT ON COLUMN sheet_sync._progress.writing IS 'The stamps of batches that are under way to the sheet.';
COMMENT ON COLUMN sheet_sync._progress.inserting IS 'The stamps of batches of new rows that are under way.';

CREATE TABLE sheet_sync._writer (
    mapping_id integer PRIMARY KEY REFERENCES sheet_sync.mapping ON DELETE CASCADE,
    time_line  bigint NOT NULL DEFAULT sheet_sync._time_line(),
    forked_at  bigint NOT NULL DEFAULT 0,
    place      text,
    moved_from text,
    takes_over boolean NOT NULL DEFAULT false,
    winner     text CHECK (winner IN ('database', 'sheet'))
);
COMMENT ON TABLE sheet_sync._writer IS 'What tells a mapping''s database from a copy of it, or from one that was restored.';
COMMENT ON COLUMN sheet_sync._writer.forked_at IS 'The last turn of the time line before, or of the database from which the mapping was taken over.';
COMMENT ON COLUMN sheet_sync._writer.place IS 'What is known of the server''s files. Null: whatever they are, they are the right ones.';
COMMENT ON COLUMN sheet_sync._writer.moved_from IS 'The database from which the mapping was taken over, until a turn of this one has arrived.';
COMMENT ON COLUMN sheet_sync._writer.takes_over IS 'take_over() said that the tab is this database''s from its next turn on, whoever wrote to it before.';
COMMENT ON COLUMN sheet_sync._writer.winner IS 'Whose rows count in the merge that take_over() asked for; null where both do.';

-- A mapping's lines in the tables that have no foreign key (so that committing writers never lock the mapping, nor large cycles ask
-- for it once a line) go with it.
CREATE FUNCTION sheet_sync._forget_mapping() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM sheet_sync.history WHERE mapping_id = OLD.id;
    DELETE FROM sheet_sync._base_row WHERE mapping_id = OLD.id;
    DELETE FROM sheet_sync._dirty_key WHERE mapping_id = OLD.id;
    DELETE FROM sheet_sync._cycle WHERE mapping_id = OLD.id;
    DELETE FROM sheet_sync._progress WHERE mapping_id = OLD.id;
    RETURN OLD;
END
$$;
CREATE TRIGGER forget_mapping AFTER DELETE ON sheet_sync.mapping
    FOR EACH ROW EXECUTE FUNCTION sheet_sync._forget_mapping();

-- What a dump holds of the mappings: names as text, a line for each, so that one whose table or role is missing where the dump is
-- restored does not keep the others out. The table itself is always empty: to dump it is to ask for the lines (_lines_to_dump), whoever
-- does so; a line that is put into it becomes a mapping (_restore_mapping).
CREATE TABLE sheet_sync._dumped_mapping (
    mapping_id integer PRIMARY KEY,
    mapping    jsonb NOT NULL
);
COMMENT ON TABLE sheet_sync._dumped_mapping IS 'Through this pg_dump and a restore carry the mappings, with names as text. It holds nothing in between.';
-- pg_dump puts the condition behind SELECT … FROM sheet_sync._dumped_mapping, as it is.
SELECT pg_catalog.pg_extension_config_dump('sheet_sync._dumped_mapping',
    'WHERE false UNION ALL SELECT (d.line OPERATOR(pg_catalog.->>) ''id'')::pg_catalog.int4, d.line FROM (SELECT l::pg_catalog.jsonb FROM sheet_sync._lines_to_dump() l) d(line)');

REVOKE ALL ON ALL TABLES IN SCHEMA sheet_sync FROM PUBLIC;
GRANT SELECT ON sheet_sync._dumped_mapping TO PUBLIC;

-- pg_read_all_data reads every table that has no row-level security: keys, and values of rows that policies hide, are not for it.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['_base_row', '_dirty_key', '_stop', '_credential', '_capability', '_cycle', '_progress', '_writer'] LOOP
        EXECUTE pg_catalog.format('ALTER TABLE sheet_sync.%I ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;

-- Lines are visible to whoever may read the table they are about; where that is gone, to whom it was.
DO $$
DECLARE
    name text;
BEGIN
    ALTER TABLE sheet_sync.mapping ENABLE ROW LEVEL SECURITY;
    CREATE POLICY readers ON sheet_sync.mapping FOR SELECT
        USING (COALESCE(pg_catalog.has_table_privilege(table_name, 'SELECT'), pg_catalog.pg_has_role(run_as, 'USAGE')));
    CREATE POLICY owners ON sheet_sync.mapping FOR UPDATE
        USING (pg_catalog.pg_has_role((SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = table_name), 'USAGE')
               AND pg_catalog.pg_has_role(run_as, 'USAGE'));
    FOREACH name IN ARRAY ARRAY['mapping_column', 'conflict', 'problem', 'history'] LOOP
        EXECUTE pg_catalog.format('ALTER TABLE sheet_sync.%I ENABLE ROW LEVEL SECURITY', name);
        -- Values of rows that the table's own row-level security hides from somebody are hidden here too.
        EXECUTE pg_catalog.format('CREATE POLICY readers ON sheet_sync.%I FOR SELECT USING (EXISTS (SELECT FROM sheet_sync.mapping m WHERE m.id = mapping_id%s))',
                                  name, CASE WHEN name <> 'mapping_column' THEN ' AND NOT pg_catalog.row_security_active(m.table_name)' ELSE '' END);
        EXECUTE pg_catalog.format('GRANT SELECT ON sheet_sync.%I TO PUBLIC', name);
    END LOOP;
    CREATE POLICY owners ON sheet_sync.mapping_column FOR UPDATE
        USING (EXISTS (SELECT FROM sheet_sync.mapping m JOIN pg_catalog.pg_class c ON c.oid = m.table_name
                       WHERE m.id = mapping_id AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AND pg_catalog.pg_has_role(m.run_as, 'USAGE')));
END
$$;
-- What is still to be decided or carried out stays.
CREATE POLICY owners ON sheet_sync.conflict FOR DELETE
    USING (settled AND EXISTS (SELECT FROM sheet_sync.mapping m JOIN pg_catalog.pg_class c ON c.oid = m.table_name
                               WHERE m.id = mapping_id AND pg_catalog.pg_has_role(c.relowner, 'USAGE')));
GRANT DELETE ON sheet_sync.conflict TO PUBLIC;
GRANT SELECT ON sheet_sync.mapping TO PUBLIC;
GRANT UPDATE (direction, conflict_policy, conflict_function, tie, on_table_delete, on_sheet_delete, max_delete_percent,
              max_delete_rows, row_filter, poll_interval, notes_on_problems, advance_sequences, header_row, footer) ON sheet_sync.mapping TO PUBLIC;
GRANT UPDATE (direction, conflict_policy, number_format) ON sheet_sync.mapping_column TO PUBLIC;
