//! Views that depend on columns whose type changes: PostgreSQL changes no type below a view, so they are dropped and
//! made again, in the transaction of the change: definition, owner, grants, comments, options, defaults, triggers and
//! rules, and the indexes of materialised ones.

use super::brief::{Brief, regclass};
use super::dialect::POSTGRES;
use super::session::Session;
use crate::catalog::Catalog;
use crate::error::{Error, Kind, Result};

/// A view with the statements that drop it and make it again.
#[derive(Debug)]
pub(super) struct SavedView {
    /// Quoted and qualified.
    name: String,
    pub(super) removal: String,
    pub(super) restoration: String,
}

impl SavedView {
    /// Returns the views on these columns of a table, and views on views: each behind those that it reads.
    pub(super) async fn all_of(
        session: &mut Session<'_>,
        table: &str,
        columns: &[&str],
    ) -> Result<Vec<SavedView>> {
        // So that definitions name each table with its schema.
        session.scratch("SET LOCAL search_path = ''").await?;
        let mut views = Vec::new();
        for row in session.query(&find(table, columns)).await? {
            let Ok([Some(name), Some(is_lasting), Some(removal), Some(restoration)]) =
                <[Option<String>; 4]>::try_from(row)
            else {
                return Err(Error::new(Kind::Engine, "postgres named no view"));
            };
            let view = SavedView { name, removal, restoration };
            if is_lasting != "t" {
                let why =
                    Error::new(Kind::Unsupported, "it is a rule of a table, or another session's own view");
                return Err(view.in_the_way(table, columns).because(why));
            }
            views.push(view);
        }
        Ok(views)
    }

    fn in_the_way(&self, table: &str, columns: &[&str]) -> Error {
        let message = format!(
            "view {} depends on it ({table}: {}), and can't be made again above another type, or only by its owner",
            self.name,
            columns.join(", ")
        );
        Error::new(Kind::Unsupported, message)
    }

    /// Makes the error of one of its statements that failed.
    pub(super) fn refused(&self, brief: &Brief<'_>, error: Error) -> Error {
        match error.kind() {
            Kind::Locked => error,
            _ => self.in_the_way(brief.table, &brief.retyped).because(error),
        }
    }
}

/// Selects name, `true` if it can be made again, and the statements. A view's own grants come after those that its
/// owner's default privileges give it are taken back.
fn find(table: &str, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| (POSTGRES.literal)(column)).collect();
    let grant = |to: &str, on: &str| {
        format!(
            "format('GRANT %s{on} ON %s TO %s%s', g.privilege_type, {to}, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE \
             quote_ident(pg_get_userbyid(g.grantee)) END, \
             CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
        )
    };
    let (of_view, of_column) = (grant("v.name", ""), grant("quote_ident(a.attname), v.name", " (%s)"));
    format!(
        "WITH RECURSIVE dependent (oid, depth) AS (
           SELECT r.ev_class, 1 FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
             JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
           WHERE d.classid = CAST('pg_rewrite' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
             AND d.refobjid = {} AND a.attname IN ({}) AND r.ev_class <> d.refobjid
         UNION
           SELECT r.ev_class, v.depth + 1 FROM dependent AS v JOIN pg_depend AS d ON d.refobjid = v.oid
             JOIN pg_rewrite AS r ON r.oid = d.objid
           WHERE d.classid = CAST('pg_rewrite' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
             AND r.ev_class <> v.oid
         ), v AS (
           SELECT c.*, d.depth, format('%I.%I', n.nspname, c.relname) AS name,
             CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END AS kind,
             CASE WHEN pg_get_userbyid(c.relowner) = current_user THEN ''
               ELSE format('SET LOCAL ROLE %I; ', pg_get_userbyid(c.relowner)) END AS as_owner
           FROM (SELECT oid, max(depth) AS depth FROM dependent GROUP BY oid) AS d
             JOIN pg_class AS c USING (oid) JOIN pg_namespace AS n ON n.oid = c.relnamespace
         )
         SELECT v.name, v.relkind IN ('v', 'm') AND v.relpersistence <> 't',
           format('%sDROP %s %s; RESET ROLE', v.as_owner, v.kind, v.name),
           v.as_owner || concat_ws('; ',
             format('CREATE %s %s%s%s%s AS %s%s', v.kind, v.name,
               (SELECT format(' USING %I', am.amname) FROM pg_am AS am WHERE v.relkind = 'm' AND am.oid = v.relam),
               (SELECT format(' WITH (%s)', string_agg(format('%I = %L', split_part(o, '=', 1),
                  substr(o, strpos(o, '=') + 1)), ', ')) FROM unnest(v.reloptions) AS o HAVING count(*) > 0),
               (SELECT format(' TABLESPACE %I', t.spcname) FROM pg_tablespace AS t WHERE t.oid = v.reltablespace),
               rtrim(pg_get_viewdef(v.oid), ';'),
               CASE WHEN v.relkind = 'm' AND NOT v.relispopulated THEN ' WITH NO DATA' END),
             (SELECT string_agg(format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', v.name, a.attname,
                pg_get_expr(f.adbin, f.adrelid)), '; ')
              FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
              WHERE f.adrelid = v.oid),
             (SELECT string_agg(pg_get_indexdef(i.indexrelid), '; ' ORDER BY i.indexrelid)
              FROM pg_index AS i WHERE i.indrelid = v.oid),
             (SELECT string_agg(format('COMMENT ON INDEX %I.%I IS %L', n.nspname, x.relname, s.description), '; ')
              FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
                JOIN pg_namespace AS n ON n.oid = x.relnamespace JOIN pg_description AS s ON s.objoid = x.oid
                AND s.classoid = CAST('pg_class' AS regclass) AND s.objsubid = 0 WHERE i.indrelid = v.oid),
             (SELECT string_agg(rtrim(pg_get_ruledef(r.oid), ';'), '; ' ORDER BY r.oid)
              FROM pg_rewrite AS r WHERE r.ev_class = v.oid AND r.rulename <> '_RETURN'),
             (SELECT string_agg(pg_get_triggerdef(t.oid), '; ' ORDER BY t.oid)
              FROM pg_trigger AS t WHERE t.tgrelid = v.oid AND NOT t.tgisinternal),
             (SELECT string_agg(CASE s.objsubid
                WHEN 0 THEN format('COMMENT ON %s %s IS %L', v.kind, v.name, s.description)
                ELSE format('COMMENT ON COLUMN %s.%I IS %L', v.name, a.attname, s.description) END, '; ')
              FROM pg_description AS s LEFT JOIN pg_attribute AS a ON a.attrelid = s.objoid AND a.attnum = s.objsubid
              WHERE s.objoid = v.oid AND s.classoid = CAST('pg_class' AS regclass)),
             (SELECT string_agg(DISTINCT format('REVOKE ALL ON %s FROM %s', v.name, CASE g.grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(g.grantee)) END), '; ')
              FROM pg_default_acl AS p, aclexplode(p.defaclacl) AS g WHERE p.defaclrole = v.relowner
                AND p.defaclobjtype = 'r' AND p.defaclnamespace IN (0, v.relnamespace) AND g.grantee <> v.relowner),
             (SELECT string_agg({of_view}, '; ') FROM aclexplode(v.relacl) AS g WHERE g.grantee <> v.relowner),
             (SELECT string_agg({of_column}, '; ')
              FROM pg_attribute AS a, aclexplode(a.attacl) AS g WHERE a.attrelid = v.oid AND g.grantee <> v.relowner),
             'RESET ROLE')
         FROM v ORDER BY v.depth, v.oid",
        regclass(table),
        columns.join(", ")
    )
}
