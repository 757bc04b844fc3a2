//! What CREATE EXTENSION makes, and who may do what with it: a listing that is compared with
//! tests/golden/objects.txt, so that no object, right, column, index or setting comes or goes
//! unseen. UPDATE_GOLDEN=1 writes the file anew.

use e2e::World;

const OBJECTS: &str = "
    WITH member AS (
        SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
        FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'sheet_sync'
    ), owned AS (
        SELECT 'pg_class'::regclass::oid AS classid, oid AS objid, relowner AS owner,
               COALESCE(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner)) AS acl FROM pg_class
        UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, COALESCE(proacl, acldefault('f', proowner)) FROM pg_proc
        UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, COALESCE(nspacl, acldefault('n', nspowner)) FROM pg_namespace
    ), rights AS (
        SELECT classid, objid, (SELECT string_agg(who || ' ' || what, '; ' ORDER BY who COLLATE \"C\")
            FROM (SELECT CASE x.grantee WHEN 0 THEN 'everybody' WHEN o.owner THEN 'owner' ELSE x.grantee::regrole::text END AS who,
                         string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS what
                  FROM aclexplode(o.acl) x GROUP BY 1) a) AS what
        FROM owned o
    ), line AS (
        SELECT m.name, 0 AS place, m.name || ' | ' || COALESCE(r.what, '')
               || COALESCE((SELECT CASE WHEN p.prosecdef THEN ' | SECURITY DEFINER' ELSE '' END
                                   || COALESCE(' | ' || array_to_string(p.proconfig, ', '), '')
                            FROM pg_proc p WHERE m.classid = 'pg_proc'::regclass AND p.oid = m.objid), '')
               || COALESCE((SELECT CASE WHEN c.relrowsecurity THEN ' | row-level security' ELSE '' END
                            FROM pg_class c WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid), '') AS text
        FROM member m LEFT JOIN rights r ON r.classid = m.classid AND r.objid = m.objid
        UNION ALL
        SELECT m.name, a.attnum, '    ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
               || COALESCE(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
               || COALESCE((SELECT string_agg(who || what, '' ORDER BY who COLLATE \"C\")
                            FROM (SELECT CASE x.grantee WHEN 0 THEN ' | everybody ' ELSE ' | ' || x.grantee::regrole::text || ' ' END AS who,
                                         string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS what
                                  FROM aclexplode(a.attacl) x GROUP BY 1) g), '')
        FROM member m
        JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v')
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        UNION ALL
        SELECT m.name, 2000, '    ' || pg_get_constraintdef(k.oid)
        FROM member m JOIN pg_constraint k ON m.classid = 'pg_class'::regclass AND k.conrelid = m.objid AND k.contype <> 'n'
        UNION ALL
        SELECT m.name, 2500, '    ' || pg_get_indexdef(i.indexrelid)
        FROM member m JOIN pg_index i ON m.classid = 'pg_class'::regclass AND i.indrelid = m.objid
        WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
        UNION ALL
        SELECT m.name, 3000, '    policy ' || p.polname || ' for ' || p.polcmd::text || ': ' || pg_get_expr(p.polqual, p.polrelid)
        FROM member m JOIN pg_policy p ON m.classid = 'pg_class'::regclass AND p.polrelid = m.objid
        UNION ALL
        SELECT m.name, 4000, '    trigger ' || t.tgname || ': ' || t.tgfoid::regproc
        FROM member m JOIN pg_trigger t ON m.classid = 'pg_class'::regclass AND t.tgrelid = m.objid AND NOT t.tgisinternal
    )
    SELECT text FROM line ORDER BY name COLLATE \"C\", place, text COLLATE \"C\"";

const SETTINGS: &str = "
    SELECT 'setting ' || name || ' | ' || context || ' | ' || COALESCE(boot_val, 'nothing') FROM pg_settings
    WHERE name LIKE 'sheet_sync.%' ORDER BY name COLLATE \"C\"";

#[test]
fn the_extension_makes_what_the_listing_says_and_nothing_else() {
    let mut world = World::start();
    let mut lines = world.db.table(OBJECTS);
    lines.extend(world.db.table(SETTINGS));
    let listing: String = lines
        .into_iter()
        .map(|line| line.join(" ") + "\n")
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/objects.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &listing).expect("the listing can be written");
    }
    let golden = std::fs::read_to_string(path).expect("tests/golden/objects.txt can be read");
    for (number, (now, before)) in listing.lines().zip(golden.lines()).enumerate() {
        assert_eq!(now, before, "line {} of {path}", number + 1);
    }
    assert_eq!(listing.lines().count(), golden.lines().count());
}
