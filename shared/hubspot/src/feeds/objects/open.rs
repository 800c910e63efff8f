//! Opening a feed for one run: its table follows the account's definitions of this moment, and what earlier runs know says
//! what is new in them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32};

use super::answers::association_calls::{AssociationCalls, source};
use super::archive;
use super::calls;
use super::classes;
use super::object_feed::ObjectFeed;
use super::object_type::{Fixed, ObjectType};
use super::state::RecordCursor;
use super::state::seen::{ArchivedIds, Hashes, hash};
use super::tables::definitions::DefinitionTables;
use super::tables::histories::HistoryTable;
use super::tables::layout::{Layout, Show};
use super::tables::links::LinkTable;
use super::tables::list_memberships::ListTable;
use super::tables::pairing::Pairs;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::Session;
use crate::feeds::batches::Batches;
use crate::feeds::recent::Versions;
use crate::feeds::unfinished::Mode;
use crate::properties::{Property, Visible};

impl ObjectFeed {
    /// `without` names columns beside the properties that this run can't fill.
    pub(in crate::feeds) async fn open(
        object: &'static ObjectType,
        session: &Session,
        mode: Mode,
        cursor: &mut RecordCursor<'_>,
        without: &[&str],
    ) -> Result<ObjectFeed> {
        let client = session.client.clone();
        let pairs = Pairs::of_run(object, session, mode, cursor).await?;
        let Visible { properties, nameless, answers, .. } =
            classes::visible(object, &client, mode, cursor).await?;
        let definitions = DefinitionTables::open(object, session, mode, cursor, answers)?;

        let is_absent = |other: &&str| cursor.absent.contains_key(&source(other));
        let (refused, associations): (Vec<_>, Vec<_>) =
            object.associations.iter().copied().partition(is_absent);
        let of_refused = object.fixed.iter().filter(|(_, _, fixed)| {
            matches!(fixed, Fixed::Associated(other) if refused.contains(other))
                && (cursor.has_tables() || mode.is_snapshot())
        });
        let without: Vec<&str> =
            of_refused.map(|(name, _, _)| *name).chain(without.iter().copied()).collect();
        let show = Show::in_mode(mode);
        let associations = if show == Show::Ids { Vec::new() } else { associations };
        let no_table = |source| {
            let message = format!("the properties of {} make no table", object.name);
            Error::new(ErrorKind::Malformed, message).caused_by(source)
        };
        if mode == Mode::Incremental
            && let Some(property) = properties.iter().find(|property| is_remade(property, cursor))
        {
            let name = &property.name;
            tracing::info!(
                feed.name = object.name,
                "{name} was deleted and made again: all records are read"
            );
            cursor.is_due_whole = true;
        }
        let is_new = cursor.own.properties.is_none() && !cursor.has_tables() && cursor.run.is_none();
        if cursor.own.columns.is_empty() && (is_new || cursor.own.properties.is_some()) {
            // The columns that there are belong to what was read before anybody remembered whose they are; those of a
            // table that is new, to what its documentation promises.
            let was_read =
                |name: &str| cursor.own.properties.as_ref().is_some_and(|read| read.0.contains(&hash(name)));
            let mut read = properties.clone();
            read.retain(|property| was_read(&property.name));
            Layout::new(object, &read, &without, show, &mut cursor.own.columns).map_err(no_table)?;
        }
        let layout =
            Layout::new(object, &properties, &without, show, &mut cursor.own.columns).map_err(no_table)?;
        let histories = HistoryTable::open(object, session, mode, cursor, &properties)?;
        let is_wide = !calls::fits_url(&layout, histories.as_ref());
        // A backfill reads everything, whatever is known.
        let (recent, archived) = match mode {
            Mode::Incremental if cursor.reread_since_ms.is_some() => {
                (Versions::default(), cursor.own.archived.clone())
            }
            Mode::Incremental => (cursor.recent.clone(), cursor.own.archived.clone()),
            _ => (Versions::default(), ArchivedIds::default()),
        };
        let created = archive::created(&properties);
        let association_calls = association_calls(&associations, &pairs);
        let links = pairs.table(session, mode, cursor)?;
        let lists = ListTable::of_run(object, session, mode, cursor)?;
        let tables = [&layout.table].into_iter().chain(links.iter().flat_map(LinkTable::tables));
        let tables = tables.chain(lists.iter().map(ListTable::table));
        let tables = tables.chain(definitions.iter().flat_map(DefinitionTables::tables));
        let tables = tables.chain(histories.iter().map(|histories| &histories.document.table));
        let tables = tables.cloned().collect();
        let properties = Hashes(layout.property_names().map(hash).collect());
        let new_properties: Vec<String> = match &cursor.own.properties {
            Some(known) if mode == Mode::Incremental => {
                let is_new = |name: &&str| !known.0.contains(&hash(name));
                layout.property_names().filter(is_new).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Ok(ObjectFeed {
            object,
            session: session.clone(),
            client,
            created,
            layout,
            links,
            lists,
            definitions,
            tables,
            association_calls,
            associations,
            batches: Batches::new(calls::most_records(histories.as_ref())),
            histories,
            absent: cursor.absent.clone(),
            is_wide,
            mode,
            recent,
            archived,
            reread_since_ms: cursor
                .reread_since_ms
                .map(|since_ms| since_ms.saturating_sub(session.lookback.overlap_ms)),
            properties,
            new_properties,
            restarted: Mutex::default(),
            pages_near_trouble: AtomicU32::new(0),
            archive_waits: AtomicBool::new(false),
            unsearchable: Mutex::default(),
            unlisted: tokio::sync::Mutex::default(),
            is_archive_sequential: cursor.own.is_sequential || cursor.own.is_archive_sequential,
            nameless,
        })
    }
}

/// Deleted and made again since its values were read: records have lost them without a new modified date.
fn is_remade(property: &Property, cursor: &RecordCursor<'_>) -> bool {
    let hash = hash(&property.name);
    let is_known = cursor.own.properties.as_ref().is_some_and(|known| known.0.contains(&hash));
    let is_made_since = || cursor.caught_up_ms.is_some_and(|since_ms| property.is_made_since(since_ms));
    cursor.own.gone_properties.0.contains(&hash) || (is_known && is_made_since())
}

/// The calls for columns of ids, and for the table of associations.
fn association_calls(columns: &[&'static str], pairs: &Pairs) -> Vec<AssociationCalls> {
    let is_table = |name: &str| pairs.others.iter().any(|other| other.collection == name);
    let of_columns = columns.iter().map(|&name| AssociationCalls::new(name, name, true, is_table(name)));
    let of_table = pairs.others.iter().filter(|other| !columns.contains(&other.collection));
    let of_table = of_table.map(|other| AssociationCalls::new(other.collection, other.path, false, true));
    of_columns.chain(of_table).collect()
}
