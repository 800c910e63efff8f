//! Columns that get a wider type. PostgreSQL writes the whole table anew for that, and keeps all others out meanwhile.
//! So a table of some size gets a new column beside the old one instead, which is filled while everybody reads and
//! writes, and takes the old one's place in a short transaction.
//!
//! It comes last among the columns then. What the old column has besides its values must be known to be moved along:
//! comments and grants are; a column with anything else (a key, an index, a default, a constraint) is changed in place.

use std::collections::HashSet;
use std::time::Duration;

use tokio_postgres::Client;

use super::beside::Beside;
use super::brief::{Brief, Views};
use super::dialect::{AWAY, BESIDE, POSTGRES, identifier, regclass};
use super::layout::MAX_COLUMNS;
use super::session::Session;
use super::views::SavedView;
use crate::catalog::{Catalog, SchemaName, counts};
use crate::dialect::{quote_identifier, quote_literal};
use crate::error::{Error, Kind, Result};
use crate::table::Widening;

/// Tables up to this size are written anew in an instant.
pub(super) const SMALL_BYTES: u64 = 1 << 20;
/// Pages of 8 KB that are filled in one transaction.
const BATCH_PAGES: u64 = 2_048;
/// The first version that finds rows by their pages without reading the whole table.
const READS_PAGES: u64 = 140_000;
/// Passes over all rows, to find those that others changed meanwhile.
const PASSES: usize = 3;

/// The columns of one table that get a wider type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widen<'a> {
    /// Quoted and qualified.
    pub(super) table: &'a str,
    pub(super) columns: &'a [Widening],
    /// Rows have room for old and new values at once.
    pub(super) has_room: bool,
    pub(super) small_bytes: u64,
    pub(super) schema: &'a SchemaName,
    pub(super) patience: Duration,
}

/// A column whose type can't be changed, since something depends on it that can't be made again.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) widening: Widening,
    pub(super) why: Error,
}

impl Widen<'_> {
    /// Returns those that could not be changed. Their columns are as they were.
    pub(super) async fn run(&self, client: &Client) -> Result<Vec<Refused>> {
        let refused = match self.widen(client).await {
            Ok(()) => return Ok(Vec::new()),
            Err(why) if why.kind() == Kind::Unsupported => why,
            Err(error) => return Err(error),
        };
        Session::abandon(client).await?;
        if let [widening] = self.columns {
            return Ok(vec![Refused { widening: widening.clone(), why: refused }]);
        }
        let mut all_refused = Vec::new();
        for column in self.columns {
            let alone = Widen { columns: std::slice::from_ref(column), ..*self };
            match alone.widen(client).await {
                Ok(()) => {}
                Err(why) if why.kind() == Kind::Unsupported => {
                    Session::abandon(client).await?;
                    all_refused.push(Refused { widening: column.clone(), why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all_refused)
    }

    async fn widen(&self, client: &Client) -> Result<()> {
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let can_move = self.can_move(&mut session).await?;
        session.end().await?;
        let (beside, in_place): (Vec<&Widening>, Vec<&Widening>) =
            self.columns.iter().partition(|widening| can_move.contains(&widening.column));
        if !in_place.is_empty() {
            self.drop_ahead(client).await?;
            let leftovers =
                in_place.iter().map(|widening| format!("DROP COLUMN IF EXISTS {}", self.beside(widening)));
            let actions: Vec<String> =
                leftovers.chain(in_place.iter().map(|widening| POSTGRES.widen(widening))).collect();
            self.brief(client, &in_place, POSTGRES.alter_table(self.table, &actions)).await?;
        }
        if beside.is_empty() {
            return Ok(());
        }
        self.add(client, &beside).await?;
        self.fill(client, &beside).await?;
        self.swap(client, &beside).await
    }

    /// Adds columns, filled, and leaves the old ones as they are. `columns` are what they hold.
    pub(super) async fn stand_beside(&self, client: &Client, beside: &[Beside]) -> Result<()> {
        let columns: Vec<&Widening> = self.columns.iter().collect();
        self.add(client, &columns).await?;
        self.fill(client, &columns).await?;
        let show = |beside: &Beside| {
            let (hidden, name) = (self.beside(&beside.of), quote_identifier(&beside.name));
            [
                format!("ALTER TABLE {} RENAME COLUMN {hidden} TO {name}", self.table),
                beside.comment(self.table),
            ]
        };
        self.brief(client, &[], beside.iter().flat_map(show).collect()).await
    }

    async fn brief(&self, client: &Client, retyped: &[&Widening], statements: Vec<String>) -> Result<()> {
        self.brief_with(client, retyped, statements, Views::MadeAgain).await.map(drop)
    }

    async fn brief_with(
        &self,
        client: &Client,
        retyped: &[&Widening],
        statements: Vec<String>,
        views: Views<'_>,
    ) -> Result<Vec<SavedView>> {
        let retyped = names_of(retyped);
        Brief { table: self.table, retyped, statements, views }.run(client, self.schema, self.patience).await
    }

    fn beside(&self, widening: &Widening) -> String {
        quote_identifier(&identifier(&format!("{BESIDE}{}", widening.column)))
    }

    /// Returns the columns that a new one may take the place of.
    async fn can_move(&self, session: &mut Session<'_>) -> Result<HashSet<String>> {
        let table = regclass(self.table);
        let [bytes, columns, is_plain] = counts(&session.query(&format!(
            "SELECT pg_table_size(c.oid), (SELECT max(a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid), \
             CAST(c.relkind = 'r' AND NOT c.relhassubclass AND NOT EXISTS (SELECT FROM pg_trigger AS t \
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AND NOT EXISTS (SELECT FROM pg_inherits AS i \
             WHERE i.inhrelid = c.oid) AS integer) FROM pg_class AS c WHERE c.oid = {table}"
        )).await?)?;
        // Views with rows of their own are filled ahead, however small the table is.
        let retyped: Vec<&str> = self.columns.iter().map(|widening| widening.column.as_str()).collect();
        let views = SavedView::all_of(session, self.table, &retyped, true).await?;
        let has_rows = views.iter().any(|view| view.is_filled);
        let has_columns = columns + self.columns.len() as u64 <= MAX_COLUMNS as u64;
        if (bytes <= self.small_bytes && !has_rows) || is_plain == 0 || !has_columns || !self.has_room {
            return Ok(HashSet::new());
        }
        let names: Vec<String> =
            self.columns.iter().map(|widening| quote_literal(&widening.column)).collect();
        let sql = format!(
            "SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = {table} AND a.attname IN ({}) \
             AND NOT a.attnotnull AND NOT a.atthasdef AND a.attoptions IS NULL AND coalesce(a.attstattarget, -1) < 0 \
             AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = CAST('pg_class' AS regclass) \
             AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND NOT EXISTS (SELECT FROM pg_rewrite AS r \
             WHERE d.classid = CAST('pg_rewrite' AS regclass) AND r.oid = d.objid AND r.ev_class <> a.attrelid))",
            names.join(", ")
        );
        Ok(session.query(&sql).await?.into_iter().flatten().flatten().collect())
    }

    /// Adds the new columns. Those of a load that was cut off stay, if they are as wide.
    async fn add(&self, client: &Client, beside: &[&Widening]) -> Result<()> {
        self.drop_ahead(client).await?;
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let present = self
            .hidden(&mut session)
            .await?
            .into_iter()
            .filter_map(|[name, type_name]| Some(format!("{} {}", quote_identifier(&name?), type_name?)));
        let present: Vec<String> = present.collect();
        session.end().await?;
        let mut actions = Vec::new();
        for widening in beside {
            let (name, type_name) = (self.beside(widening), (POSTGRES.type_name)(widening.to));
            if !present.contains(&format!("{name} {type_name}")) {
                actions.extend([
                    format!("DROP COLUMN IF EXISTS {name}"),
                    format!("ADD COLUMN {name} {type_name}"),
                ]);
            }
        }
        match actions.is_empty() {
            true => Ok(()),
            false => self.brief(client, &[], POSTGRES.alter_table(self.table, &actions)).await,
        }
    }

    /// Returns the statement that fills the new columns, and leaves rows that are as they should be.
    fn filling(&self, beside: &[&Widening]) -> String {
        let value = |widening: &&Widening| {
            let column = quote_identifier(&widening.column);
            (self.beside(widening), POSTGRES.converted(&column, widening.from, widening.to))
        };
        let values: Vec<(String, String)> = beside.iter().map(value).collect();
        let join = |between: &str, word: &str| {
            let terms: Vec<String> =
                values.iter().map(|(name, value)| format!("{name} {word} {value}")).collect();
            terms.join(between)
        };
        format!("UPDATE {} SET {} WHERE ({})", self.table, join(", ", "="), join(" OR ", "IS DISTINCT FROM"))
    }

    /// Fills the new columns, without a lock that anybody feels but who changes the same rows.
    async fn fill(&self, client: &Client, beside: &[&Widening]) -> Result<()> {
        let fill = self.filling(beside);
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let [pages, version] = counts(
            &session
                .query(&format!(
                    "SELECT pg_relation_size({}) / CAST(current_setting('block_size') AS bigint), \
             current_setting('server_version_num')",
                    regclass(self.table)
                ))
                .await?,
        )?;
        session.end().await?;
        let batched = if version >= READS_PAGES { pages } else { 0 };
        for first in (0..batched).step_by(BATCH_PAGES as usize) {
            let end = first + BATCH_PAGES;
            self.write(client, &format!("{fill} AND ctid >= '({first},0)' AND ctid < '({end},0)'")).await?;
        }
        self.fill_again(client, beside).await
    }

    /// Fills what others have changed since.
    async fn fill_again(&self, client: &Client, beside: &[&Widening]) -> Result<()> {
        let fill = self.filling(beside);
        for _ in 0..PASSES {
            if self.write(client, &fill).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn write(&self, client: &Client, sql: &str) -> Result<u64> {
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let rows = session.write(sql).await?;
        session.commit().await?;
        Ok(rows)
    }

    /// Exchanges the columns. Materialised views are made and filled ahead, as others read.
    async fn swap(&self, client: &Client, beside: &[&Widening]) -> Result<()> {
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let kept = session.query(&self.comments_and_grants(beside)).await?;
        session.end().await?;
        let swaps = beside.iter().flat_map(|widening| {
            let (table, column) = (self.table, quote_identifier(&widening.column));
            [
                format!("ALTER TABLE {table} DROP COLUMN {column}"),
                format!("ALTER TABLE {table} RENAME COLUMN {} TO {column}", self.beside(widening)),
            ]
        });
        let statements: Vec<String> = swaps.chain(kept.into_iter().flatten().flatten()).collect();
        for _ in 0..PASSES {
            let Some(ahead) = self.make_views_ahead(client, beside).await? else { break };
            self.fill_again(client, beside).await?;
            let exchanged = Views::Exchanged(&ahead);
            if self.brief_with(client, beside, statements.clone(), exchanged).await? == ahead {
                return Ok(());
            }
            // Somebody changed a view meanwhile.
            self.drop_ahead(client).await?;
        }
        self.brief(client, beside, statements).await
    }

    /// Makes the views on the columns anew under other names, above the new columns, and fills them. `None` if no view
    /// has to be filled.
    ///
    /// For a moment in a transaction, the columns and the views have each other's names: definitions, which are texts,
    /// then find the new ones.
    async fn make_views_ahead(
        &self,
        client: &Client,
        beside: &[&Widening],
    ) -> Result<Option<Vec<SavedView>>> {
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let views = SavedView::all_of(&mut session, self.table, &names_of(beside), true).await?;
        session.end().await?;
        if !views.iter().any(|view| view.is_filled) {
            return Ok(None);
        }
        let rename =
            |from: &str, to: &str| format!("ALTER TABLE {} RENAME COLUMN {from} TO {to}", self.table);
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for widening in beside {
            let (column, new) = (quote_identifier(&widening.column), self.beside(widening));
            let away = quote_identifier(&identifier(&format!("{AWAY}{}", widening.column)));
            there.extend([rename(&column, &away), rename(&new, &column)]);
            back.extend([rename(&column, &new), rename(&away, &column)]);
        }
        let views = self.brief_with(client, beside, there, Views::MadeAhead { back }).await?;
        for view in views.iter().filter(|view| view.is_filled) {
            let filled = self.write(client, &view.fill()).await;
            filled.map_err(|error| view.refused(self.table, &names_of(beside), error))?;
        }
        Ok(Some(views))
    }

    /// Drops the views that were made ahead and did not come into their place.
    async fn drop_ahead(&self, client: &Client) -> Result<()> {
        let mut session = Session::begin(client, self.schema.clone(), self.patience).await?;
        let columns: Vec<String> =
            self.hidden(&mut session).await?.into_iter().filter_map(|[name, _]| name).collect();
        if !columns.is_empty() {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            for view in SavedView::all_of(&mut session, self.table, &columns, true).await?.iter().rev() {
                session.write(&view.removal).await?;
            }
        }
        session.commit().await.map(drop)
    }

    /// Returns the names and types of the columns that are being filled.
    async fn hidden(&self, session: &mut Session<'_>) -> Result<Vec<[Option<String>; 2]>> {
        let sql = format!(
            "SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute AS a \
             WHERE a.attrelid = {} AND NOT a.attisdropped AND starts_with(CAST(a.attname AS text), {})",
            regclass(self.table),
            quote_literal(BESIDE)
        );
        let rows = session.query(&sql).await?.into_iter();
        Ok(rows.filter_map(|row| <[Option<String>; 2]>::try_from(row).ok()).collect())
    }

    /// Selects the statements that give a column's comment and grants to the one that takes its place.
    fn comments_and_grants(&self, beside: &[&Widening]) -> String {
        let names: Vec<String> = beside.iter().map(|widening| quote_literal(&widening.column)).collect();
        let (table, of) = (
            quote_literal(self.table),
            format!("a.attrelid = {} AND a.attname IN ({})", regclass(self.table), names.join(", ")),
        );
        format!(
            "SELECT format('COMMENT ON COLUMN %s.%I IS %L', {table}, a.attname, d.description) FROM pg_attribute AS a \
             JOIN pg_description AS d ON d.classoid = CAST('pg_class' AS regclass) AND d.objoid = a.attrelid \
             AND d.objsubid = a.attnum WHERE {of} UNION ALL \
             SELECT format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, {table}, CASE g.grantee WHEN 0 \
             THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, CASE WHEN g.is_grantable \
             THEN ' WITH GRANT OPTION' ELSE '' END) FROM pg_attribute AS a, aclexplode(a.attacl) AS g WHERE {of}"
        )
    }
}

fn names_of<'a>(columns: &[&'a Widening]) -> Vec<&'a str> {
    columns.iter().map(|widening| widening.column.as_str()).collect()
}
