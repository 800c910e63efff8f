//! The definitions of an object's properties as rows of two tables, `properties` and `property_options`. They are read in
//! each run anyway, for the columns; the rows are written where anything in them is another than at the last run.

use std::sync::{Mutex, PoisonError};

use staging::{Rows, Table};

use crate::error::Result;
use crate::feeds::document::Document;
use crate::feeds::full_refresh::{DEFINITIONS, Known, List};
use crate::feeds::lineage::Reading;
use crate::feeds::objects::object_type::ObjectType;
use crate::feeds::objects::state::{RecordCursor, RunOfRecords};
use crate::feeds::quarantine::Thing;
use crate::feeds::unfinished::Mode;
use crate::feeds::{Gap, Note, Session, Written};
use crate::json::Body;

/// Kind, in the quarantine, of definitions that the tables can't hold.
const ODD_KIND: &str = "definition";

/// The two tables, for one run of a feed.
#[derive(Debug)]
pub(in crate::feeds::objects) struct DefinitionTables {
    documents: Vec<Document>,
    /// HubSpot's answers, until their rows are written; none where nothing is another.
    answers: Mutex<Vec<Body>>,
    /// As the last run has left it.
    before: Option<Known>,
    known: Known,
    /// Most definitions are gone, and are not taken for deleted.
    refused: Option<String>,
}

impl DefinitionTables {
    /// Makes the tables; `None` where nobody wants them.
    pub(in crate::feeds::objects) fn open(
        object: &ObjectType,
        session: &Session,
        mode: Mode,
        cursor: &RecordCursor<'_>,
        answers: Vec<Body>,
    ) -> Result<Option<DefinitionTables>> {
        let is_wanted = DEFINITIONS.fills.iter().any(|fill| session.names(fill.collection.name));
        if !is_wanted || mode.is_snapshot() {
            return Ok(None);
        }
        let documents = DEFINITIONS.fills.iter().map(|fill| Document::new(fill.collection, &[]));
        let (mut known, before) = (List::of(&DEFINITIONS, &answers)?.known, cursor.own.definitions.clone());
        let refused =
            before.iter().flat_map(|before| before.rows.iter().zip(&known.rows)).find_map(|(before, now)| {
                let what = format!("definitions of {}", object.name);
                session.check_removals(&what, *before, before.saturating_sub(*now)).err()
            });
        let refused = refused.map(|refused| refused.to_string());
        let is_new = mode == Mode::Backfill || !before.as_ref().is_some_and(|before| before.is_same(&known));
        known.read_ms = Known::version_behind(before.as_ref(), session.client.now().timestamp_millis());
        let answers = if is_new && refused.is_none() { answers } else { Vec::new() };
        let documents = documents.collect::<Result<_>>()?;
        Ok(Some(DefinitionTables { documents, answers: Mutex::new(answers), before, known, refused }))
    }

    pub(in crate::feeds::objects) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.documents.iter().map(|document| &document.table)
    }

    /// `true`: the rows are to be written.
    pub(in crate::feeds::objects) fn is_due(&self) -> bool {
        !self.answers.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(in crate::feeds::objects) fn notes(&self) -> impl Iterator<Item = Note> {
        let text = self.refused.iter().map(|refused| format!("as an earlier run has read them: {refused}"));
        text.flat_map(|text| {
            let collections = DEFINITIONS.fills.iter().map(|fill| fill.collection.name);
            collections.map(move |collection| Note { collection, gap: Gap::Incomplete, text: text.clone() })
        })
    }

    /// Appends the definitions to their tables. Of the properties, so many have no name.
    pub(in crate::feeds::objects) fn append(
        &self,
        (object, nameless): (&ObjectType, usize),
        run: &mut RunOfRecords<'_>,
        rows: &mut [&mut Rows],
        reading: Reading<'_>,
    ) -> Result<Vec<Written>> {
        let mut written = vec![Written::default(); rows.len()];
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // They may have been planned by a run that was interrupted, and not be due any more.
        if answers.is_empty() {
            return Ok(written);
        }
        let list = List::of(&DEFINITIONS, &answers)?;
        let read_ms = self.known.read_ms.max(reading.read_ms);
        for (place, (document, rows)) in self.documents.iter().zip(rows).enumerate() {
            let had_rows =
                self.before.iter().any(|before| before.rows.get(place).is_some_and(|&rows| rows > 0));
            let mut writer = document.writer(rows, Reading { read_ms, ..reading });
            list.write(place, Some(object.name), had_rows, &mut writer)?;
            written[place] = writer.written;
        }
        let (id, collection) = ("without a value", "properties");
        // Those of properties are set aside as such.
        match list.odd.saturating_sub(nameless) {
            0 => run.release(ODD_KIND, id),
            odd => run
                .set_aside(Thing { kind: ODD_KIND, id, collection }, format!("{odd} options have no value")),
        }
        run.own.definitions = Some(Known { read_ms, ..self.known.clone() });
        Ok(written)
    }
}
