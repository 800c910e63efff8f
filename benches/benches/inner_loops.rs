//! The two inner loops, without network: a page of 100 contacts into rows, and rows into a Parquet file. Pages come
//! from a fake account in this process; only what is done with them is measured. Run by `cargo bench --workspace
//! --bench inner_loops`.
#![allow(clippy::unwrap_used, reason = "a bench ends when something is wrong")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fake_hubspot::{Account, Behaviour, Limits, PerType, Server, Settings, V1Contacts};
use hubspot::feeds::{self, Cursor, FEEDS, Lookback, Mode, Page, Session, Slice, Unfinished, Window};
use hubspot::{Budget, Client, Credential};
use staging::{FileWriter, Rows};
use tokio::runtime::Runtime;

const WIDTHS: [usize; 2] = [60, 250];
const RECORDS: usize = 100;

/// The open feed of contacts, without contacts v1 and lists, for a backfill of one page.
struct Opened {
    runtime: Runtime,
    _server: Server,
    feed: feeds::Opened,
    run: Unfinished,
    slice: Slice,
}

impl Opened {
    fn new(properties: usize) -> Opened {
        let runtime = Runtime::new().unwrap();
        let (server, feed, run, slice) = runtime.block_on(async {
            let settings = Settings {
                records: PerType { contacts: RECORDS, companies: 0, deals: 0 },
                custom_properties: PerType { contacts: properties - 52, companies: 0, deals: 0 },
                archived: 0.0,
                merged: 0.0,
                ..Settings::default()
            };
            let behaviour = Behaviour {
                limits: Limits { general: 1_000_000, ..Limits::default() },
                v1_contacts: V1Contacts::Gone,
                gzip: false,
                ..Behaviour::default()
            };
            let server = Server::start(Arc::new(Account::generate(&settings)), behaviour).await.unwrap();
            let credential = Credential::token("pat-na1-fake").unwrap();
            let client = Client::new(server.url(), credential, Budget::new(0.0)).unwrap();
            let session = Session {
                client,
                account_id: 1,
                run_id: "bench".to_owned(),
                lookback: Lookback::default(),
                address_calls: 0,
                accepts_removals: false,
                collections: None,
                associated: None,
                histories: None,
                wanted: None,
                counts: hubspot::RecordCounts::default(),
            };
            let contacts = FEEDS.iter().find(|feed| feed.name() == "contacts").unwrap();
            let absent = ["contacts v1", "list memberships", "forms"];
            let mut cursor = Cursor::default();
            cursor.absent.extend(absent.map(|source| (source.to_owned(), "left out".to_owned())));
            let feed = contacts.open(&session, Mode::Backfill, &mut cursor).await.unwrap();
            let mut run = feed.plan(Window::default(), &mut cursor).await.unwrap();
            // Archived records, of which there are none, come first; the live ones then.
            let then = feed.due(&mut run, true).unwrap();
            let slices = run.slices.iter().chain(&then);
            let slice = slices.max_by_key(|slice| slice.width()).unwrap().clone();
            (server, feed, run, slice)
        });
        let opened = Opened { runtime, _server: server, feed, run, slice };
        let mut rows: Vec<Rows> = opened.feed.tables().iter().map(Rows::new).collect();
        let mut each: Vec<&mut Rows> = rows.iter_mut().collect();
        let mut position = (opened.slice.clone(), opened.run.clone());
        assert_eq!(opened.append(opened.page(), &mut position, &mut each), RECORDS as u64);
        opened
    }

    fn page(&self) -> Page {
        self.runtime.block_on(self.feed.fetch(&self.slice, RECORDS)).unwrap()
    }

    fn append(&self, page: Page, (slice, run): &mut (Slice, Unfinished), rows: &mut [&mut Rows]) -> u64 {
        self.feed.append(page, slice, run, rows).unwrap().written[0].rows
    }
}

fn page_to_rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("page of 100 contacts to rows");
    for width in WIDTHS {
        let opened = Opened::new(width);
        group.throughput(Throughput::Bytes(opened.page().size_bytes() as u64));
        let tables = opened.feed.tables();
        group.bench_function(format!("{width} properties"), |bencher| {
            let mut rows: Vec<Rows> = tables.iter().map(Rows::new).collect();
            bencher.iter_batched(
                || (opened.page(), (opened.slice.clone(), opened.run.clone())),
                |(page, mut position)| {
                    let mut each: Vec<&mut Rows> = rows.iter_mut().collect();
                    let written = opened.append(page, &mut position, &mut each);
                    // Builders keep their room, as they do between row groups.
                    each.iter_mut().for_each(|rows| rows.truncate(0));
                    black_box(written)
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn rows_to_parquet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("2,000 rows to Parquet");
    let folder = tempfile::tempdir().unwrap();
    for width in WIDTHS {
        let opened = Opened::new(width);
        group.throughput(Throughput::Bytes(20 * opened.page().size_bytes() as u64));
        group.sample_size(20);
        group.bench_function(format!("{width} properties"), |bencher| {
            bencher.iter_batched(
                || filled(&opened, &folder.path().join("bench.parquet")),
                |file| black_box(file.finish().unwrap().bytes),
                BatchSize::PerIteration,
            );
        });
    }
}

/// Makes a file with 2,000 rows that are not written yet.
fn filled(opened: &Opened, path: &Path) -> FileWriter {
    let _ = std::fs::remove_file(path);
    let tables = opened.feed.tables();
    let mut file = FileWriter::create(path, "bench", 1, "bench", &tables[0]).unwrap();
    let mut others: Vec<Rows> = tables[1..].iter().map(Rows::new).collect();
    for _ in 0..20 {
        let mut position = (opened.slice.clone(), opened.run.clone());
        let mut each: Vec<&mut Rows> = std::iter::once(file.rows()).chain(&mut others).collect();
        opened.append(opened.page(), &mut position, &mut each);
    }
    file
}

criterion_group!(inner_loops, page_to_rows, rows_to_parquet);
criterion_main!(inner_loops);
