//! What CREATE EXTENSION makes, and who may do what with it: a listing that is compared with tests/golden/objects.txt, so that no
//! object, right, column or setting comes or goes unseen. UPDATE_GOLDEN=1 writes the file anew.

use e2e::World;

const OBJECTS: &str = "
    WITH member AS (
        SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
        FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'sheet_sync'
    ), rights AS (
        SELECT classid, objid, COALESCE((SELECT string_agg(CASE a.grantee WHEN 0 THEN 'everybody' ELSE 'owner' END || ' ' || a.what, '; ' ORDER BY a.grantee)
            FROM (SELECT x.grantee, string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS what
                  FROM aclexplode(acl) x GROUP BY x.grantee) a), 'as by default') AS what
        FROM (SELECT 'pg_class'::regclass::oid AS classid, oid AS objid, relacl AS acl FROM pg_class
              UNION ALL SELECT 'pg_proc'::regclass, oid, proacl FROM pg_proc
              UNION ALL SELECT 'pg_namespace'::regclass, oid, nspacl FROM pg_namespace) o
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
               || CASE WHEN a.attacl IS NULL THEN '' ELSE ' | everybody '
                       || (SELECT string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) FROM aclexplode(a.attacl) x WHERE x.grantee = 0) END
        FROM member m
        JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v')
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        UNION ALL
        SELECT m.name, 2000, '    ' || pg_get_constraintdef(k.oid)
        FROM member m JOIN pg_constraint k ON m.classid = 'pg_class'::regclass AND k.conrelid = m.objid AND k.contype <> 'n'
        UNION ALL
        SELECT m.name, 3000, '    policy ' || p.polname || ' for ' || p.polcmd::text || ': ' || pg_get_expr(p.polqual, p.polrelid)
        FROM member m JOIN pg_policy p ON m.classid = 'pg_class'::regclass AND p.polrelid = m.objid
        UNION ALL
        SELECT m.name, 4000, '    trigger ' || t.tgname || ': ' || t.tgfoid::regproc
        FROM member m JOIN pg_trigger t ON m.classid = 'pg_class'::regclass AND t.tgrelid = m.objid AND NOT t.tgisinternal
    )
    SELECT text FROM line ORDER BY name COLLATE \"C\", place, text COLLATE \"C\"";

const SETTINGS: &str = "
    SELECT 'setting ' || name || ' | ' || context || ' | ' || boot_val FROM pg_settings
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
