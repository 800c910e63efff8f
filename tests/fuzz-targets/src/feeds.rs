//! Runs of feeds with answers from the bytes. The first byte chooses the feed, the mode and the cursor of earlier
//! runs; then each line is an answer, in the order in which the feed makes its calls.
//!
//! Checks: no answer leads to a panic or to an endless run; the feed counts its rows correctly, and a page that failed
//! leaves none; cells hold what their columns promise.

use std::cell::RefCell;
use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;
use bytes::Bytes;
use futures::executor::block_on;
use hubspot::feeds::{
    AnyOpenFeed, Appended, Cursor, Feed, Lookback, Mode, Opened, Session, Slice, Unfinished, Window,
};
use hubspot::fuzzing::{Answer, client};
use hubspot::{Client, ErrorKind};
use serde::de::IgnoredAny;
use serde_json::json;
use staging::{ColumnType, Pairs, Rows, Wanted};

use crate::values::is_in_range;

/// Most pages that a run may ask for, for each answer that it gets.
const PAGES_PER_ANSWER: usize = 8;
/// One property of each type, so that the corpus need not bring definitions along.
const DEFINITIONS: &str = r#"{"results":[{"name":"name","type":"string"},{"name":"amount","type":"number"},{"name":"ok","type":"bool"},{"name":"day","type":"date"},{"name":"at","type":"datetime"},{"name":"blob","type":"json"},{"name":"id","type":"string"},{"name":"gone","type":"string","archived":true}]}"#;

const CONTACTS: [&str; 1] = ["contacts"];
const RECORDS: [&str; 2] = ["companies", "deals"];
const MARKETING: [&str; 4] = ["contact_lists", "email_campaigns", "email_events", "subscription_timeline"];
const METADATA: [&str; 1] = ["metadata"];

pub fn contacts(data: &[u8]) {
    let _ = run(&CONTACTS, data);
}

pub fn records(data: &[u8]) {
    let _ = run(&RECORDS, data);
}

pub fn marketing(data: &[u8]) {
    let _ = run(&MARKETING, data);
}

pub fn metadata(data: &[u8]) {
    let _ = run(&METADATA, data);
}

/// Parses one answer a line; a status and a space may stand before its body.
pub(crate) fn answers(data: &[u8]) -> impl Iterator<Item = Answer> {
    data.split(|&byte| byte == b'\n').map(|line| match line {
        [hundreds @ b'3'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', body @ ..] => {
            let status = [hundreds, tens, ones]
                .iter()
                .fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'));
            Answer::new(status, &[], Bytes::copy_from_slice(body))
        }
        body => Answer::new(200, &[], Bytes::copy_from_slice(body)),
    })
}

/// Progress of a run.
#[derive(Debug, Default)]
#[cfg_attr(not(test), expect(dead_code, reason = "the test of the seeds looks at it"))]
struct Reached {
    rows: u64,
    is_finished: bool,
}

fn run(names: &[&str], data: &[u8]) -> Reached {
    let Some((&chosen, lines)) = data.split_first() else { return Reached::default() };
    let name = names[usize::from(chosen) % names.len()];
    let chosen = usize::from(chosen) / names.len();
    let feed = hubspot::feeds::known().find(|feed| feed.name() == name).expect("a feed of this name");
    let has_properties = matches!(name, "contacts" | "companies" | "deals");
    let mode = match (chosen & 1, has_properties && chosen & 16 != 0) {
        (0, false) => Mode::Backfill,
        (_, false) => Mode::Incremental,
        (0, true) => Mode::Reconcile,
        (_, true) => Mode::Refresh,
    };
    let has_more_slices = has_properties && chosen & 32 != 0;
    let mut cursor = known(mode, chosen);
    let client = client(answers(lines), 0.1);
    if block_on(feed.ask_again(&client, &mut cursor)).is_err() {
        return Reached::default();
    }
    let lines = lines.split(|&byte| byte == b'\n');
    let pages_left = PAGES_PER_ANSWER * (2 + lines.clone().count());
    // A value is JSON where the answer that it stands in is.
    let is_strict = lines.into_iter().all(|line| serde_json::from_slice::<IgnoredAny>(line).is_ok());
    let mut driver = Driver { feed, mode, pages_left, is_strict, has_more_slices, rows: 0 };
    let mut is_finished = false;
    let is_known = if has_properties { chosen & 2 == 0 } else { name != "subscription_timeline" };
    if is_known {
        OPENED.with_borrow_mut(|all| {
            let place = open_index(all, feed, mode, chosen, &cursor);
            hubspot::fuzzing::move_answers(&client, &all[place].1.session.client);
            is_finished = block_on(driver.run(&mut all[place].1, &mut cursor)).is_ok();
            // A feed remembers in a run what HubSpot can't show.
            if !is_finished || !cursor.quarantine.is_empty() {
                all.swap_remove(place);
            }
        });
    } else if let Ok(mut opened) = block_on(Reader::new(feed, mode, session(client), &mut cursor)) {
        is_finished = block_on(driver.run(&mut opened, &mut cursor)).is_ok();
    }
    Reached { rows: driver.rows, is_finished }
}

fn session(client: Client) -> Session {
    Session {
        client,
        account_id: 7,
        run_id: "run-1".to_owned(),
        lookback: Lookback::default(),
        address_calls: 5,
        accepts_removals: false,
        collections: None,
        associated: None,
        histories: None,
        wanted: None,
        counts: hubspot::RecordCounts::default(),
    }
}

/// An open feed and its rows.
struct Reader {
    session: Session,
    feed: Opened,
    rows: Vec<Rows>,
}

impl Reader {
    async fn new(
        feed: &'static dyn Feed,
        mode: Mode,
        session: Session,
        cursor: &mut Cursor,
    ) -> hubspot::Result<Reader> {
        let feed = feed.open(&session, mode, cursor).await?;
        let rows = feed.tables().iter().map(Rows::new).collect();
        Ok(Reader { session, feed, rows })
    }
}

/// A feed, the run's mode, and the other arguments by which it is opened.
type Key = (&'static str, Mode, Vec<String>, bool);

thread_local! {
    /// Open feeds, kept since opening one takes longer than most answers. All but the timeline start each run afresh.
    static OPENED: RefCell<Vec<(Key, Reader)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the index of the open feed, and opens it first if needed; its properties are those of [`DEFINITIONS`].
fn open_index(
    all: &mut Vec<(Key, Reader)>,
    feed: &'static dyn Feed,
    mode: Mode,
    chosen: usize,
    cursor: &Cursor,
) -> usize {
    let has_stamps = chosen & KNOWN_VERSIONS != 0;
    let is_it = |(name, of_mode, absent, stamps): &Key| {
        *name == feed.name()
            && *of_mode == mode
            && absent.iter().eq(cursor.absent.keys())
            && *stamps == has_stamps
    };
    all.iter().position(|(key, _)| is_it(key)).unwrap_or_else(|| {
        let definitions = Answer::new(200, &[], Bytes::from_static(DEFINITIONS.as_bytes()));
        // A backfill asks, too, which classes of sensitive properties there are.
        let refused = if mode == Mode::Backfill { 2 } else { 0 };
        let refusals = (0..refused).map(|_| Answer::new(403, &[], Bytes::new()));
        let session = session(client(std::iter::once(definitions).chain(refusals), 0.1));
        let opened = block_on(Reader::new(feed, mode, session, &mut cursor.clone())).expect("definitions");
        let key = (feed.name(), mode, cursor.absent.keys().cloned().collect(), has_stamps);
        all.push((key, opened));
        all.len() - 1
    })
}

/// Calls `act` with the feed, opened for a run of this mode.
pub(crate) fn opened(feed: &'static dyn Feed, mode: Mode, act: impl FnOnce(&dyn AnyOpenFeed)) {
    OPENED.with_borrow_mut(|all| {
        let place = open_index(all, feed, mode, 0, &known(mode, 0));
        act(&*all[place].1.feed);
        // A feed may remember what was asked of it in the run.
        all.swap_remove(place);
    });
}

/// Makes the cursor of earlier runs.
fn known(mode: Mode, chosen: usize) -> Cursor {
    // Lists and campaigns 1 and 2, as another run saw them.
    let stamps = if chosen & KNOWN_VERSIONS != 0 { "AQIBAg" } else { "" };
    let cursor = json!({ "sensitive": [], "stamps": stamps });
    let mut cursor: Cursor = serde_json::from_value(cursor).expect("a cursor");
    if mode == Mode::Incremental {
        cursor.watermark_ms = Some(1_700_000_000_000);
    }
    if chosen & 4 != 0 {
        for source in
            ["contacts v1", "list memberships", "associations with companies", "subscription status"]
        {
            cursor.lose(source, "HubSpot answered 404".to_owned());
        }
    }
    cursor
}

/// Bit that gives the cursor versions known from earlier runs.
const KNOWN_VERSIONS: usize = 8;

/// Returns slices that no plan begins with: those of a comparison, of a count, and of the past values of a property.
fn more_slices() -> Vec<Slice> {
    let records = Pairs([(1, 5), (2, Wanted::NO_VERSION), (u64::MAX, i64::MAX)].into());
    let slices = json!([
        {"kind": "wanted", "records": records},
        {"kind": "having", "property": "name", "from": 0},
        {"kind": "again", "from": 1, "below": 900, "after": null, "rows": 0},
        {"kind": "counted", "from": 1, "below": 900, "rows": 1, "is_second": false},
        {"kind": "counted", "from": 1, "below": 900, "rows": 1, "is_second": true},
    ]);
    serde_json::from_value(slices).expect("slices")
}

struct Driver {
    feed: &'static dyn Feed,
    mode: Mode,
    pages_left: usize,
    is_strict: bool,
    /// `true`: the run has the slices of a comparison, of a count, and of the past values of a property, too.
    has_more_slices: bool,
    rows: u64,
}

impl Driver {
    async fn run(&mut self, opened: &mut Reader, cursor: &mut Cursor) -> hubspot::Result<()> {
        let mut again;
        let mut opened = opened;
        while let Some(error) = self.run_opened(opened, cursor).await? {
            let source = error.lost_source().unwrap_or_default();
            if cursor.absent.contains_key(source) {
                return Err(error);
            }
            cursor.lose(source, error.to_string());
            again = Reader::new(self.feed, self.mode, opened.session.clone(), cursor).await?;
            opened = &mut again;
        }
        opened.feed.finish(cursor, Lookback::default())
    }

    /// Runs the open feed. Returns `Some` if a source is lost, and the feed goes on without it.
    async fn run_opened(
        &mut self,
        opened: &mut Reader,
        cursor: &mut Cursor,
    ) -> hubspot::Result<Option<hubspot::Error>> {
        let Reader { feed, rows, .. } = opened;
        let mut run = match cursor.run.take() {
            Some(mut run) => {
                feed.resume(&mut run).await?;
                run
            }
            None => {
                let mut run = feed.plan(Window { since_ms: Some(1_000), until_ms: None }, cursor).await?;
                if self.has_more_slices {
                    run.slices.extend(more_slices());
                    // As for a run that was saved.
                    feed.resume(&mut run).await?;
                }
                run
            }
        };
        let read = self.read(&**feed, cursor, &mut run, rows).await;
        self.check_cells(&**feed, rows);
        let _ = (run.done_share(), feed.notes());
        cursor.run = Some(run);
        match read {
            Ok(()) => Ok(None),
            Err(error) if error.lost_source().is_some() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    async fn read(
        &mut self,
        open: &dyn AnyOpenFeed,
        cursor: &mut Cursor,
        run: &mut Unfinished,
        rows: &mut [Rows],
    ) -> hubspot::Result<()> {
        loop {
            if run.slices.is_empty() {
                run.slices = open.due(run, true)?;
            }
            let Some(mut slice) = run.slices.pop() else { return Ok(()) };
            let appended = match self.page(open, &mut slice, run, rows).await {
                Ok(appended) => appended,
                Err(error) => {
                    run.slices.push(slice);
                    if error.kind() == ErrorKind::Unordered {
                        open.read_in_sequence(cursor, run)?;
                        continue;
                    }
                    return Err(error);
                }
            };
            if appended.is_last {
                let next = open.follow_up(&slice, run)?;
                run.slices.extend(next);
            } else {
                run.slices.extend(slice.split(appended.span));
                run.slices.push(slice);
            }
            let checks = open.due(run, false)?;
            run.slices.extend(checks.into_iter().chain(appended.found));
        }
    }

    async fn page(
        &mut self,
        open: &dyn AnyOpenFeed,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [Rows],
    ) -> hubspot::Result<Appended> {
        assert!(self.pages_left > 0, "a run without an end: {slice:?}");
        self.pages_left -= 1;
        let page = open.fetch(slice, 100).await?;
        let before: Vec<u64> = rows.iter().map(|rows| rows.len() as u64).collect();
        let mut borrowed: Vec<&mut Rows> = rows.iter_mut().collect();
        let appended = open.append(page, slice, run, &mut borrowed);
        let after: Vec<u64> = rows.iter().map(|rows| rows.len() as u64).collect();
        match &appended {
            Ok(appended) => {
                let written = before.iter().zip(&appended.written).map(|(before, it)| before + it.rows);
                assert!(
                    written.eq(after.iter().copied()),
                    "rows are as many as the feed says: {before:?} and {appended:?}"
                );
            }
            Err(_) => assert_eq!(after, before, "a page that failed leaves no row"),
        }
        appended
    }

    fn check_cells(&mut self, open: &dyn AnyOpenFeed, rows: &mut [Rows]) {
        for (table, rows) in open.tables().iter().zip(rows) {
            rows.truncate(rows.len());
            if rows.is_empty() {
                continue;
            }
            self.rows += rows.len() as u64;
            let mut columns: BTreeMap<&str, ArrayRef> = BTreeMap::new();
            rows.drain(|place, array| {
                self.check_column(table.columns[place].column_type, &array);
                columns.insert(&table.columns[place].name, array);
                Ok::<_, ArrowError>(())
            })
            .expect("rows are arrays");
            assert_eq!(columns[staging::READ_AT].null_count(), 0, "every row was read at some time");
            for key in &table.primary_key {
                let column = &columns[key.as_str()];
                assert_eq!(column.null_count(), 0, "{} without its {key}", table.collection);
            }
        }
    }

    fn check_column(&self, column_type: ColumnType, array: &ArrayRef) {
        match column_type {
            ColumnType::Json if self.is_strict => {
                for json in array.as_string::<i32>().iter().flatten() {
                    assert!(serde_json::from_str::<IgnoredAny>(json).is_ok(), "{json} is not JSON");
                }
            }
            ColumnType::Timestamp => {
                for ms in array.as_primitive::<TimestampMillisecondType>().iter().flatten() {
                    assert!(is_in_range(ms), "{ms} is no instant that a warehouse can hold");
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Feeds, a target, its seeds and the number of their rows.
    type Seeds<'a> = (&'a [&'a str], &'a str, &'a [(&'a str, u64)]);

    /// Checks that seeds lead to rows: with errors alone, the fuzzer would not reach the code behind them.
    #[test]
    fn seeds_come_to_their_end_with_rows() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        let seeds: [Seeds; 4] = [
            (
                &RECORDS,
                "records",
                &[
                    ("companies_incremental", 5),
                    ("companies_window", 3),
                    ("deals_associated", 2),
                    ("restored", 5),
                ],
            ),
            (
                &CONTACTS,
                "contacts",
                &[("incremental", 13), ("archived", 21), ("by_forms", 4), ("v1_lost", 4), ("window", 9)],
            ),
            (
                &MARKETING,
                "marketing",
                &[
                    ("lists", 1),
                    ("lists_known", 2),
                    ("campaigns", 3),
                    ("campaigns_known", 1),
                    ("events", 3),
                    ("events_expired", 2),
                    ("timeline", 7),
                    ("timeline_lost", 3),
                ],
            ),
            (&METADATA, "metadata", &[("all", 32), ("refused", 1)]),
        ];
        let mut others = Vec::new();
        for (names, target, seeds) in seeds {
            for &(seed, expected) in seeds {
                let reached = run(names, &std::fs::read(corpus.join(target).join(seed)).unwrap());
                if !reached.is_finished || reached.rows != expected {
                    others.push(format!("{target}/{seed}: {reached:?}, not {expected} rows"));
                }
            }
        }
        assert!(others.is_empty(), "{others:#?}");
    }
}
