//! [`crate::Warehouse::keep_views`].

use std::time::Instant;

use staging::Column;

use super::engine::Engine;
use super::schema::Schema;
use crate::catalog::{Catalog, SchemaName};
use crate::error::Result;
use crate::kept_views::{Changed, Wanted, changed, make_all, note, too_long};
use crate::statement::Statement;
use crate::warehouse::{KeptView, KeptViews};

impl<E: Engine> Schema<E> {
    /// Brings the views of the schema `of` to these queries, one after the other. Where nothing joins a view and what is
    /// noted of it, the view may be made twice.
    pub(super) async fn keep_views(&self, of: &str, views: &[KeptView], until: Instant) -> Result<KeptViews> {
        let mut this = self;
        if this.account().await?.is_none() {
            return Ok(KeptViews::default());
        }
        let target = self.name.other(of);
        let names: Vec<String> =
            views.iter().map(|view| (self.name.dialect.identifier)(&view.name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let there = self.engine.views(&target.name, &names).await?;
        let relation = |table: &str| self.engine.in_view(&self.name, table);
        let create = |table: &str, columns: &[Column]| self.engine.create_table(table, &[], columns);
        let Changed { table, views, is_schema_there } =
            changed(&mut this, &target, views, &there, &relation, create).await?;
        if views.is_empty() {
            return Ok(KeptViews::default());
        }
        self.run(&table.into_iter().map(Statement::shape).collect::<Vec<_>>()).await?;
        let created = if is_schema_there { Ok(()) } else { self.engine.make_schema(&target).await };
        let is_there = |view: &Wanted| there.contains(&(self.name.dialect.identifier)(&view.name));
        make_all(created, views, until, async |view| self.keep_view(&target, &view, is_there(&view)).await)
            .await
    }

    async fn keep_view(&self, target: &SchemaName, view: &Wanted, is_there: bool) -> Result<()> {
        let (name, query) = (target.table(&view.name), view.query.as_str());
        let statement = match is_there {
            true => self.engine.replace_view(&name, query),
            false => self.engine.create_view(&name, query),
        };
        let replaced = self.make_view(target, view, vec![statement]).await;
        match (replaced, self.engine.drop_and_create_view(&name, query)) {
            // Its columns have another order or other types.
            (Err(_), Some(statements)) => self.make_view(target, view, statements).await,
            (replaced, _) => replaced,
        }
    }

    /// Runs the statements that make a view, and notes it.
    async fn make_view(&self, target: &SchemaName, view: &Wanted, statements: Vec<String>) -> Result<()> {
        let limit = self.engine.limits().statement_bytes;
        if let Some(long) = statements.iter().find(|sql| sql.len() > limit) {
            return Err(too_long(long.len(), limit));
        }
        let made = self.engine.patience_with_readers().into_iter().chain(statements).map(Statement::shape);
        let script: Vec<Statement> =
            made.chain(note(&self.name, target, view).map(Statement::write)).collect();
        self.run(&script).await
    }
}
