//! Views that depend on columns whose type changes: PostgreSQL changes no type below a view, so they are dropped and
//! made again, in the transaction of the change: definition, owner, grants, comments, options, defaults, triggers and
//! rules, and the indexes of materialised ones.

use super::dialect::{AWAY, BESIDE, POSTGRES, identifier, regclass};
use super::session::Session;
use crate::catalog::Catalog;
use crate::dialect::quote_identifier;
use crate::error::{Error, Kind, Result};

/// A view with the statements that drop it and make it again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SavedView {
    /// Quoted and qualified.
    name: String,
    pub(super) removal: String,
    pub(super) restoration: String,
    /// The statement that makes its owner the user of what follows, if it is somebody else.
    as_owner: String,
    kind: String,
    /// Quoted.
    schema: String,
    alone: String,
    /// It has rows of its own.
    pub(super) is_filled: bool,
    indexes: Vec<String>,
}

/// The names that a view and its indexes have for a while: as a prefix.
#[derive(Debug, Clone, Copy)]
pub(super) enum Called {
    AsEver,
    /// Made ahead of the change, and not seen yet.
    Ahead,
    /// Out of the way.
    Away,
}

impl Called {
    fn name(self, name: &str) -> String {
        match self {
            Called::AsEver => quote_identifier(name),
            Called::Ahead => quote_identifier(&identifier(&format!("{BESIDE}{name}"))),
            Called::Away => quote_identifier(&identifier(&format!("{AWAY}{name}"))),
        }
    }
}

impl SavedView {
    /// Returns the views on these columns of a table, and views on views: each behind those that it reads. If they are
    /// made again `empty`, materialised ones are not filled.
    pub(super) async fn all_of(
        session: &mut Session<'_>,
        table: &str,
        columns: &[&str],
        empty: bool,
    ) -> Result<Vec<SavedView>> {
        // So that definitions name each table with its schema.
        session.scratch("SET LOCAL search_path = ''").await?;
        let mut views = Vec::new();
        for row in session.query(&find(table, columns, empty)).await? {
            let [
                Some(name),
                Some(is_lasting),
                Some(removal),
                Some(restoration),
                as_owner,
                kind,
                schema,
                alone,
                filled,
                indexes,
            ] = <[Option<String>; 10]>::try_from(row).unwrap_or_default()
            else {
                return Err(Error::new(Kind::Engine, "postgres named no view"));
            };
            let indexes: Option<Vec<String>> = indexes.and_then(|names| serde_json::from_str(&names).ok());
            let view = SavedView {
                name,
                removal,
                restoration,
                as_owner: as_owner.unwrap_or_default(),
                kind: kind.unwrap_or_default(),
                schema: schema.unwrap_or_default(),
                alone: alone.unwrap_or_default(),
                is_filled: filled.as_deref() == Some("t"),
                indexes: indexes.unwrap_or_default(),
            };
            if is_lasting != "t" {
                let why =
                    Error::new(Kind::Unsupported, "it is a rule of a table, or another session's own view");
                return Err(view.in_the_way(table, columns).because(why));
            }
            views.push(view);
        }
        Ok(views)
    }

    /// Returns the statements that rename the view, and its indexes, whose names are those of a schema, too.
    pub(super) fn rename(&self, from: Called, to: Called) -> String {
        let SavedView { as_owner, kind, schema, alone, indexes, .. } = self;
        let one = |kind: &str, name: &str| {
            format!("ALTER {kind} {schema}.{} RENAME TO {}", from.name(name), to.name(name))
        };
        let indexes = indexes.iter().map(|index| one("INDEX", index));
        let all: Vec<String> = [one(kind, alone)].into_iter().chain(indexes).collect();
        format!("{as_owner}{}; RESET ROLE", all.join("; "))
    }

    /// Returns the statement that fills a materialised view that was made ahead of the change.
    pub(super) fn fill(&self) -> String {
        let SavedView { as_owner, kind, schema, alone, .. } = self;
        format!("{as_owner}REFRESH {kind} {schema}.{}; RESET ROLE", Called::Ahead.name(alone))
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
    pub(super) fn refused(&self, table: &str, columns: &[&str], error: Error) -> Error {
        match error.kind() {
            Kind::Locked => error,
            _ => self.in_the_way(table, columns).because(error),
        }
    }
}

/// Selects name, `true` if it can be made again, the statements, and the parts of which others are made. A view's own grants come after those that its
/// owner's default privileges give it are taken back.
fn find(table: &str, columns: &[&str], empty: bool) -> String {
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
           SELECT c.*, n.nspname, d.depth, format('%I.%I', n.nspname, c.relname) AS name,
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
               CASE WHEN v.relkind = 'm' AND ({empty} OR NOT v.relispopulated) THEN ' WITH NO DATA' END),
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
             'RESET ROLE'),
           v.as_owner, v.kind, quote_ident(v.nspname), v.relname, v.relkind = 'm' AND v.relispopulated,
           (SELECT json_agg(x.relname ORDER BY x.relname) FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
            WHERE i.indrelid = v.oid)
         FROM v ORDER BY v.depth, v.oid",
        regclass(table),
        columns.join(", ")
    )
}
