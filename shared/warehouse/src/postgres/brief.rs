//! Short transactions that take a lock which readers feel. Whoever reads the table later queues behind one that waits,
//! so each attempt waits a moment at the most and gives up; the next one comes after a longer pause.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::dialect::regclass;
use super::session::Session;
use super::views::{Called, SavedView};
use crate::catalog::{Catalog, SchemaName};
use crate::error::{Error, Kind, Result};

/// The first attempt is over before anybody notices.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longer than the second after which the server ends an autovacuum that is in the way (`deadlock_timeout`).
const LONGEST_WAIT: Duration = Duration::from_millis(1_500);

/// Changes of one table that are one transaction.
#[derive(Debug)]
pub(super) struct Brief<'a> {
    /// Quoted and qualified.
    pub(super) table: &'a str,
    /// Columns whose type changes.
    pub(super) retyped: Vec<&'a str>,
    pub(super) statements: Vec<String>,
    pub(super) views: Views<'a>,
}

/// The way of the views on the columns.
#[derive(Debug)]
pub(super) enum Views<'a> {
    /// They are dropped before the statements, and made again after them.
    MadeAgain,
    /// New ones are made, empty and under other names, when the statements are done. These are then taken back.
    MadeAhead { back: Vec<String> },
    /// Those that were made ahead take the place of these, which are dropped before the statements. If these are not all
    /// that there are, nothing is done.
    Exchanged(&'a [SavedView]),
}

impl Brief<'_> {
    /// Tries until it succeeds or patience runs out: then the error is [`Kind::Locked`], and nothing is changed. Returns
    /// the views on the columns.
    pub(super) async fn run(
        &self,
        client: &Client,
        schema: &SchemaName,
        patience: Duration,
    ) -> Result<Vec<SavedView>> {
        let (started, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            match self.attempt(client, schema, wait).await {
                Err(error) if error.kind() == Kind::Locked => {
                    Session::abandon(client).await?;
                    let pause = with_jitter(wait * 2);
                    if started.elapsed() + pause >= patience {
                        return Err(self.given_up(client, schema, started.elapsed(), error).await);
                    }
                    tracing::info!(table = self.table, "another session holds the table: trying again");
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, client: &Client, schema: &SchemaName, wait: Duration) -> Result<Vec<SavedView>> {
        let mut session = Session::begin(client, schema.clone(), wait).await?;
        let until = Instant::now() + wait;
        let empty = !matches!(self.views, Views::MadeAgain);
        let views = match self.retyped.as_slice() {
            [] => Vec::new(),
            columns => SavedView::all_of(&mut session, self.table, columns, empty).await?,
        };
        if let Views::Exchanged(expected) = self.views
            && expected != views
        {
            session.end().await?;
            return Ok(views);
        }
        let [before, after] = self.of_views();
        // Outermost first, and then the table: as readers of a view take their locks.
        for view in views.iter().rev() {
            self.write(&mut session, view, &before(view), until).await?;
        }
        session.write_until(&self.statements.join("; "), until).await?;
        for view in &views {
            self.write(&mut session, view, &after(view), until).await?;
        }
        if let Views::MadeAhead { back } = &self.views {
            for view in &views {
                self.write(&mut session, view, &view.rename(Called::AsEver, Called::Ahead), until).await?;
                self.write(&mut session, view, &view.rename(Called::Away, Called::AsEver), until).await?;
            }
            session.write_until(&back.join("; "), until).await?;
        }
        session.commit().await?;
        Ok(views)
    }

    /// Returns the statements for each view before those of the table, and after them.
    fn of_views(&self) -> [fn(&SavedView) -> String; 2] {
        match self.views {
            Views::MadeAgain => [|view| view.removal.clone(), |view| view.restoration.clone()],
            Views::MadeAhead { .. } => {
                [|view| view.rename(Called::AsEver, Called::Away), |view| view.restoration.clone()]
            }
            Views::Exchanged(_) => {
                [|view| view.removal.clone(), |view| view.rename(Called::Ahead, Called::AsEver)]
            }
        }
    }

    async fn write(
        &self,
        session: &mut Session<'_>,
        view: &SavedView,
        sql: &str,
        until: Instant,
    ) -> Result<()> {
        let written = session.write_until(sql, until).await;
        written.map_err(|error| view.refused(self.table, &self.retyped, error))
    }

    async fn given_up(&self, client: &Client, schema: &SchemaName, elapsed: Duration, error: Error) -> Error {
        let holders = match Session::begin(client, schema.clone(), LONGEST_WAIT).await {
            Ok(mut session) => session.query(&holders(self.table)).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let holders: Vec<String> = holders.into_iter().flatten().flatten().collect();
        let held = match holders.as_slice() {
            [] => String::new(),
            holders => format!(" (held by {})", holders.join(", ")),
        };
        let message = format!(
            "columns of table {} could not be changed in {} seconds, since another program holds it open{held}: end \
             that program's transaction; nothing is lost, and the next run merges the files",
            self.table,
            elapsed.as_secs()
        );
        Error::new(Kind::Locked, message).because(error)
    }
}

/// Selects the sessions that hold a lock on the table.
fn holders(table: &str) -> String {
    format!(
        "SELECT DISTINCT 'process ' || a.pid || coalesce(' of ' || a.usename, '') || \
         coalesce(', ' || nullif(a.application_name, ''), '') FROM pg_catalog.pg_locks AS l \
         JOIN pg_catalog.pg_stat_activity AS a USING (pid) WHERE l.relation = {} AND l.granted \
         AND a.pid <> pg_backend_pid() LIMIT 3",
        regclass(table)
    )
}

/// Between one and two times as long, so that two loads that met do not meet again.
pub(super) fn with_jitter(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1_000;
    pause + pause.mul_f64(random as f64 / 1_000.0)
}
