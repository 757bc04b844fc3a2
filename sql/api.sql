-- The public contract: functions and views. The functions are Rust (src/api): each knows who calls it and then acts on the catalog
-- as the extension's owner, so that callers need no rights on the catalog.

CREATE FUNCTION sheet_sync._capture_row() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'sheet_sync_capture_row';
CREATE FUNCTION sheet_sync._capture_truncate() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'sheet_sync_capture_truncate';

CREATE FUNCTION sheet_sync.register_table(
    table_name         regclass,                            -- the table; you must own it
    spreadsheet        text,                                -- the spreadsheet's id, or its whole address from the browser
    sheet              text     DEFAULT NULL,               -- title of the tab; made where there is none. Default: the address's gid, or the table's name
    key_columns        text[]   DEFAULT NULL,               -- NOT NULL columns of a unique index. Default: the primary key
    columns            text[]   DEFAULT NULL,               -- the columns to sync; the key is always among them. Default: all, later ones too
    direction          text     DEFAULT 'both',             -- both, to_sheet, from_sheet
    conflict_policy    text     DEFAULT 'last_write_wins',  -- last_write_wins, database_wins, sheet_wins, manual, conflict_function
    conflict_function  regprocedure DEFAULT NULL,           -- (key jsonb, base jsonb, database jsonb, sheet jsonb) returns jsonb
    on_table_delete    text     DEFAULT 'delete_row',       -- delete_row, clear, keep
    on_sheet_delete    text     DEFAULT 'delete',           -- delete, keep
    max_delete_percent real     DEFAULT 50,                 -- more than this share of the rows at once is asked about
    row_filter         text     DEFAULT NULL,               -- SQL condition: only rows that match are in the sheet
    poll_interval      interval DEFAULT NULL,               -- how often the sheet is read. Default: sheet_sync.poll_interval_ms
    credential         text     DEFAULT 'default',          -- whose account to use
    paused             boolean  DEFAULT false               -- nothing happens before resume(); preview() says what would
) RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'register_table_wrapper';
COMMENT ON FUNCTION sheet_sync.register_table IS 'Tie a table to a tab of a spreadsheet; answers the mapping''s id. Returns at once: the worker merges what both sides hold after the commit. With paused => true it waits for resume(), and preview() says what would happen.';

-- What names a mapping: its table, or its id where the table has several. A bare literal is a table's name, which is looked up as the
-- caller would; so there is a function for text, too.
CREATE FUNCTION sheet_sync.unregister_table(table_name regclass, spreadsheet text DEFAULT NULL)
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'unregister_table_wrapper';
COMMENT ON FUNCTION sheet_sync.unregister_table(regclass, text) IS 'End the mapping of a table; where it has several, that to this spreadsheet or to the tab of this address. Answers how many ended. Table and sheet stay as they are.';
CREATE FUNCTION sheet_sync.unregister_table(mapping_id integer) RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'unregister_table_of_wrapper';
COMMENT ON FUNCTION sheet_sync.unregister_table(integer) IS 'The same, by the mapping''s id.';
CREATE FUNCTION sheet_sync.unregister_table(table_name text, spreadsheet text DEFAULT NULL) RETURNS integer
    LANGUAGE sql AS 'SELECT sheet_sync.unregister_table($1::pg_catalog.regclass, $2)';
COMMENT ON FUNCTION sheet_sync.unregister_table(text, text) IS 'The same, by the table''s name.';

CREATE FUNCTION sheet_sync.follow_name(mapping_id integer) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'follow_name_wrapper';
COMMENT ON FUNCTION sheet_sync.follow_name IS 'Tie a mapping to the table that has the name now under which it was registered, after a swap by renaming, or a drop. Both sides are merged afresh; nothing is deleted.';
CREATE FUNCTION sheet_sync.dismiss(mapping_id integer) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'dismiss_wrapper';
COMMENT ON FUNCTION sheet_sync.dismiss IS 'Take away the line of a mapping whose table was dropped. The sheet stays as it is.';

CREATE FUNCTION sheet_sync.sync(table_name regclass, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_wrapper';
COMMENT ON FUNCTION sheet_sync.sync(regclass, interval) IS 'Ask the worker for a cycle both ways and wait for its end. Sees what was committed before the call. Of a table with several tabs all are synced.';
CREATE FUNCTION sheet_sync.sync(mapping_id integer, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sync_of_wrapper';
COMMENT ON FUNCTION sheet_sync.sync(integer, interval) IS 'The same for one mapping, by its id.';
CREATE FUNCTION sheet_sync.sync(table_name text, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE sql AS 'SELECT * FROM sheet_sync.sync($1::pg_catalog.regclass, $2)';
COMMENT ON FUNCTION sheet_sync.sync(text, interval) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.push(table_name regclass, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'push_wrapper';
COMMENT ON FUNCTION sheet_sync.push(regclass, interval) IS 'Like sync(), from the table to the sheet only.';
CREATE FUNCTION sheet_sync.push(mapping_id integer, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'push_of_wrapper';
COMMENT ON FUNCTION sheet_sync.push(integer, interval) IS 'The same for one mapping, by its id.';
CREATE FUNCTION sheet_sync.push(table_name text, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE sql AS 'SELECT * FROM sheet_sync.push($1::pg_catalog.regclass, $2)';
COMMENT ON FUNCTION sheet_sync.push(text, interval) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.pull(table_name regclass, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pull_wrapper';
COMMENT ON FUNCTION sheet_sync.pull(regclass, interval) IS 'Like sync(), from the sheet to the table only.';
CREATE FUNCTION sheet_sync.pull(mapping_id integer, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pull_of_wrapper';
COMMENT ON FUNCTION sheet_sync.pull(integer, interval) IS 'The same for one mapping, by its id.';
CREATE FUNCTION sheet_sync.pull(table_name text, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, rows_pushed bigint, rows_pulled bigint, conflicts bigint, problems bigint, duration interval)
    LANGUAGE sql AS 'SELECT * FROM sheet_sync.pull($1::pg_catalog.regclass, $2)';
COMMENT ON FUNCTION sheet_sync.pull(text, interval) IS 'The same, by the table''s name.';

CREATE FUNCTION sheet_sync.preview(table_name regclass, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, changes text, operation text, key text[], column_name text, old_value text, new_value text, reason text, rows bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'preview_wrapper';
COMMENT ON FUNCTION sheet_sync.preview(regclass, interval) IS 'What the next cycle would do: first the lines that count rows, then a line per change; changes says which side. Nothing is changed, and a paused mapping can be asked, too.';
CREATE FUNCTION sheet_sync.preview(mapping_id integer, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, changes text, operation text, key text[], column_name text, old_value text, new_value text, reason text, rows bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'preview_of_wrapper';
COMMENT ON FUNCTION sheet_sync.preview(integer, interval) IS 'The same for one mapping, by its id.';
CREATE FUNCTION sheet_sync.preview(table_name text, timeout interval DEFAULT '60 s')
    RETURNS TABLE (mapping_id integer, changes text, operation text, key text[], column_name text, old_value text, new_value text, reason text, rows bigint)
    LANGUAGE sql AS 'SELECT * FROM sheet_sync.preview($1::pg_catalog.regclass, $2)';
COMMENT ON FUNCTION sheet_sync.preview(text, interval) IS 'The same, by the table''s name.';

CREATE FUNCTION sheet_sync.pause(table_name regclass) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'pause_wrapper';
COMMENT ON FUNCTION sheet_sync.pause(regclass) IS 'Stop syncing a table; changes are kept until resume().';
CREATE FUNCTION sheet_sync.pause(mapping_id integer) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'pause_of_wrapper';
COMMENT ON FUNCTION sheet_sync.pause(integer) IS 'The same, by the mapping''s id.';
CREATE FUNCTION sheet_sync.pause(table_name text) RETURNS void LANGUAGE sql AS 'SELECT sheet_sync.pause($1::pg_catalog.regclass)';
COMMENT ON FUNCTION sheet_sync.pause(text) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.resume(table_name regclass) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'resume_wrapper';
COMMENT ON FUNCTION sheet_sync.resume(regclass) IS 'Go on after pause(), or try again at once after a failure. Agrees to what the mapping has asked: a new owner, a new name, other policies of row-level security.';
CREATE FUNCTION sheet_sync.resume(mapping_id integer) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'resume_of_wrapper';
COMMENT ON FUNCTION sheet_sync.resume(integer) IS 'The same, by the mapping''s id.';
CREATE FUNCTION sheet_sync.resume(table_name text) RETURNS void LANGUAGE sql AS 'SELECT sheet_sync.resume($1::pg_catalog.regclass)';
COMMENT ON FUNCTION sheet_sync.resume(text) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.resync(table_name regclass) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'resync_wrapper';
COMMENT ON FUNCTION sheet_sync.resync(regclass) IS 'Drop trust in what both sides last agreed on and merge afresh: one-sided rows are copied, unequal cells are conflicts, nothing is deleted.';
CREATE FUNCTION sheet_sync.resync(mapping_id integer) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'resync_of_wrapper';
COMMENT ON FUNCTION sheet_sync.resync(integer) IS 'The same, by the mapping''s id.';
CREATE FUNCTION sheet_sync.resync(table_name text) RETURNS void LANGUAGE sql AS 'SELECT sheet_sync.resync($1::pg_catalog.regclass)';
COMMENT ON FUNCTION sheet_sync.resync(text) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.take_over(
    table_name regclass,
    winner     text DEFAULT NULL    -- database, sheet or merge. Default: go on from what both sides last agreed on
) RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'take_over_wrapper';
COMMENT ON FUNCTION sheet_sync.take_over(regclass, text) IS 'Let a table''s mapping go on in this database that stopped because it is a copy, was restored, or is not the one that wrote to the sheet last; the other one stops at its next turn. Answers how many. winner says whose rows count: ''database'': the sheet becomes as the table is; ''sheet'': the table becomes as the sheet is; ''merge'': as register_table() merges. Without it (after pg_upgrade or a move) what both sides last agreed on holds.';
CREATE FUNCTION sheet_sync.take_over(mapping_id integer, winner text DEFAULT NULL) RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'take_over_of_wrapper';
COMMENT ON FUNCTION sheet_sync.take_over(integer, text) IS 'The same, by the mapping''s id.';
CREATE FUNCTION sheet_sync.take_over(table_name text, winner text DEFAULT NULL) RETURNS integer
    LANGUAGE sql AS 'SELECT sheet_sync.take_over($1::pg_catalog.regclass, $2)';
COMMENT ON FUNCTION sheet_sync.take_over(text, text) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.confirm_deletes(table_name regclass) RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'confirm_deletes_wrapper';
COMMENT ON FUNCTION sheet_sync.confirm_deletes(regclass) IS 'Let the mass delete or mass change go on that stopped the table''s mapping: just those rows. Answers what was allowed. Refused where nothing has stopped, and where several mappings of the table have.';
CREATE FUNCTION sheet_sync.confirm_deletes(mapping_id integer) RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'confirm_deletes_of_wrapper';
COMMENT ON FUNCTION sheet_sync.confirm_deletes(integer) IS 'The same for one mapping of a table that has several.';
CREATE FUNCTION sheet_sync.confirm_deletes(table_name text) RETURNS text LANGUAGE sql AS 'SELECT sheet_sync.confirm_deletes($1::pg_catalog.regclass)';
COMMENT ON FUNCTION sheet_sync.confirm_deletes(text) IS 'The same, by the table''s name.';
CREATE FUNCTION sheet_sync.resolve(conflict_id bigint, winner text, value text DEFAULT NULL) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'resolve_wrapper';
COMMENT ON FUNCTION sheet_sync.resolve IS 'Decide a pending conflict: ''database'', ''sheet'', or ''value'' with the value that both sides shall hold.';

CREATE FUNCTION sheet_sync.set_credential(name text, key jsonb) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'set_credential_wrapper';
COMMENT ON FUNCTION sheet_sync.set_credential IS 'Store a service account''s key (the JSON file that Google gives), a user''s login (the file of gcloud auth application-default login), or {"type": "compute_metadata"} on a server of Google Cloud. It is never shown again and not dumped.';
CREATE FUNCTION sheet_sync.drop_credential(name text) RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'drop_credential_wrapper';
COMMENT ON FUNCTION sheet_sync.drop_credential IS 'Forget a credential. Its mappings wait until it is set again, or, for ''default'', go on with sheet_sync.credentials_file where that is set. Answers whether there was one.';

CREATE FUNCTION sheet_sync.grant_credential(name text, role text, spreadsheets text[] DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'grant_credential_wrapper';
COMMENT ON FUNCTION sheet_sync.grant_credential IS 'Let a role (or ''public'': every role) register its tables with the account of a credential: in these spreadsheets, or in every one that the account can open. Grants add up.';
CREATE FUNCTION sheet_sync.revoke_credential(name text, role text) RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'revoke_credential_wrapper';
COMMENT ON FUNCTION sheet_sync.revoke_credential IS 'Take back what grant_credential() gave a role. Mappings that exist go on. Answers whether there was anything to take back.';

CREATE FUNCTION sheet_sync.doctor(timeout interval DEFAULT '60 s')
    RETURNS TABLE (subject text, "check" text, ok boolean, detail text, hint text) LANGUAGE c AS 'MODULE_PATHNAME', 'doctor_wrapper';
COMMENT ON FUNCTION sheet_sync.doctor IS 'Examine version, worker, credentials, clock, quota, transactions that somebody forgot, and each mapping''s state, problems, sharing, tab and header: a line per check, with what to do. The worker asks Google.';

CREATE FUNCTION sheet_sync._live() RETURNS TABLE (
    mapping_id integer, phase text, last_cycle_at timestamptz, last_read_at timestamptz, poll_interval interval, rate_limited_until timestamptz,
    retry_at timestamptz, requests_this_minute bigint, rows_done bigint, rows_total bigint, phase_started_at timestamptz, busy_since timestamptz)
    LANGUAGE c AS 'MODULE_PATHNAME', 'live_wrapper';
CREATE FUNCTION sheet_sync._no_worker() RETURNS TABLE (reason text, hint text)
    LANGUAGE c ROWS 1 AS 'MODULE_PATHNAME', 'no_worker_wrapper';
CREATE FUNCTION sheet_sync._lines_to_dump() RETURNS SETOF text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'lines_to_dump_wrapper';
CREATE FUNCTION sheet_sync._announce() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'announce_wrapper';
CREATE FUNCTION sheet_sync._keep_table(target oid) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'keep_table_wrapper';
CREATE FUNCTION sheet_sync._wake() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'sheet_sync_wake';

CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON sheet_sync.mapping FOR EACH STATEMENT EXECUTE FUNCTION sheet_sync._wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON sheet_sync._credential FOR EACH STATEMENT EXECUTE FUNCTION sheet_sync._wake();

-- Answers are fetched at once and worth nothing after a crash. Unlogged, they are also never part of a publication.
CREATE UNLOGGED TABLE sheet_sync._preview (
    request_id  bigint NOT NULL,
    line        integer NOT NULL,
    mapping_id  integer NOT NULL,
    changes     text,
    operation   text,
    key         text[],
    column_name text,
    old_value   text,
    new_value   text,
    reason      text NOT NULL,
    rows        bigint,
    made_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
ALTER TABLE sheet_sync._preview ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE sheet_sync._preview IS 'Answers to preview(), until they are fetched.';
REVOKE ALL ON sheet_sync._preview FROM PUBLIC;

CREATE UNLOGGED TABLE sheet_sync._finding (
    request_id  bigint NOT NULL,
    line        integer NOT NULL,
    subject     text NOT NULL,
    check_name  text NOT NULL,
    ok          boolean NOT NULL,
    detail      text NOT NULL,
    hint        text
);
ALTER TABLE sheet_sync._finding ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE sheet_sync._finding IS 'Answers to doctor(), until they are fetched.';
REVOKE ALL ON sheet_sync._finding FROM PUBLIC;

CREATE VIEW sheet_sync.status WITH (security_barrier) AS
SELECT m.id AS mapping_id, m.table_name, m.spreadsheet_id, m.sheet_title AS sheet, m.direction,
       CASE WHEN m.state IN ('initialising', 'active') AND w.reason IS NOT NULL THEN 'stopped' ELSE m.state END AS state,
       CASE WHEN m.state IN ('initialising', 'active') AND w.reason IS NOT NULL THEN w.reason ELSE m.reason END AS reason,
       CASE WHEN m.state IN ('initialising', 'active') AND w.reason IS NOT NULL THEN w.hint ELSE m.hint END AS hint,
       CASE WHEN m.retry_at IS NOT NULL THEN COALESCE(l.retry_at, m.retry_at) END AS retry_at,
       p.rows, d.dirty_keys,
       CASE WHEN d.dirty_keys > 0 THEN pg_catalog.clock_timestamp() - d.oldest END AS database_lag,
       pg_catalog.clock_timestamp() - l.last_read_at AS sheet_lag,
       COALESCE(l.last_cycle_at, p.ended_at) AS last_cycle_at,
       p.rows_pushed, p.rows_pulled,
       (SELECT pg_catalog.count(*) FROM sheet_sync.problem p WHERE p.mapping_id = m.id) AS problems,
       (SELECT pg_catalog.count(*) FROM sheet_sync.conflict k WHERE k.mapping_id = m.id AND k.winner = 'pending' AND NOT k.settled) AS pending_conflicts,
       l.poll_interval, l.requests_this_minute, l.rate_limited_until,
       pg_catalog.clock_timestamp() - l.busy_since AS busy_for
FROM sheet_sync.mapping m
LEFT JOIN LATERAL (SELECT n.* FROM sheet_sync._progress n WHERE n.mapping_id = m.id ORDER BY n.number DESC LIMIT 1) p ON true
LEFT JOIN sheet_sync._live() l ON l.mapping_id = m.id
LEFT JOIN sheet_sync._no_worker() w ON true
LEFT JOIN LATERAL (SELECT pg_catalog.count(*) AS dirty_keys, pg_catalog.min(k.changed_at) AS oldest
                   FROM sheet_sync._dirty_key k WHERE k.mapping_id = m.id) d ON true
WHERE COALESCE(pg_catalog.has_table_privilege(m.table_name, 'SELECT'), pg_catalog.pg_has_role(m.run_as, 'USAGE'));
COMMENT ON VIEW sheet_sync.status IS 'A line per mapping: how it is doing, and what to do where it is not doing well.';

CREATE VIEW sheet_sync.progress WITH (security_barrier) AS
SELECT m.id AS mapping_id, m.table_name, l.phase, l.rows_done, l.rows_total,
       CASE WHEN l.rows_done > 0 AND pg_catalog.clock_timestamp() > l.phase_started_at
            THEN pg_catalog.round((l.rows_done / EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.phase_started_at))::numeric, 1) END AS rows_per_second,
       l.phase_started_at AS started_at
FROM sheet_sync.mapping m
JOIN sheet_sync._live() l ON l.mapping_id = m.id
WHERE m.state = 'initialising' AND pg_catalog.has_table_privilege(m.table_name, 'SELECT');
COMMENT ON VIEW sheet_sync.progress IS 'First merges that are running: phase, rows done, rows in all, rate.';
CREATE VIEW sheet_sync.capability AS
SELECT c.account, c.endpoint, a.key AS question, a.value AS answer, c.probed_at
FROM sheet_sync._capability c CROSS JOIN LATERAL pg_catalog.jsonb_each_text(c.answers) a;
COMMENT ON VIEW sheet_sync.capability IS 'What the service was seen to do where its documentation says nothing: tried once per account, in a hidden tab that is removed afterwards.';
GRANT SELECT ON sheet_sync.status, sheet_sync.progress TO PUBLIC;

-- Nobody but the owner runs what stands behind the public functions; keys, and doctor(), which shows whatever there is, are for
-- superusers, who may grant that on.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN SELECT p.oid FROM pg_catalog.pg_proc p
                    WHERE p.pronamespace = 'sheet_sync'::regnamespace AND (p.proname LIKE E'\\_%' OR p.proname IN ('set_credential', 'drop_credential', 'grant_credential', 'revoke_credential', 'doctor')) LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
    -- Checks that run as whoever edits a mapping, what the views read, and what pg_dump asks.
    GRANT EXECUTE ON FUNCTION sheet_sync._check_conflict_function(regprocedure, text), sheet_sync._qualified(regprocedure), sheet_sync._live(), sheet_sync._no_worker(),
                              sheet_sync._unfit(oid, text), sheet_sync._with_partitions(oid), sheet_sync._lines_to_dump() TO PUBLIC;
    -- Postgres wants this of whoever attaches a partition to a registered table; the functions check where they are called.
    GRANT EXECUTE ON FUNCTION sheet_sync._capture_row(), sheet_sync._capture_truncate() TO PUBLIC;
END
$$;

SELECT sheet_sync._announce();
