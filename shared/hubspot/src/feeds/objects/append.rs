//! Appending a page: its records become rows, what it lacks is asked for again or set aside, and the slice moves on.

use std::collections::HashSet;
use std::ops::Range;

use staging::Rows;

use super::answers::filters::ID;
use super::answers::listed::PAGE_RECORDS;
use super::answers::unknown;
use super::archive;
use super::object_feed::{ARCHIVED_KIND, LISTED_KIND, ObjectFeed};
use super::page::Page;
use super::state::RunOfRecords;
use super::state::slice::{Advance, Listing, Slice, foreign};
use super::tables::beside::{Beside, Context};
use super::tables::record::Record;
use super::tables::records;
use crate::error::Result;
use crate::feeds::quarantine::Thing;
use crate::feeds::recent::RecentReads;
use crate::feeds::{Appended, Written};

/// Outcome of a page: its records as far as they are remembered, and what it wrote to the shared tables.
#[derive(Debug)]
pub(in crate::feeds) struct AppendedPage {
    pub(in crate::feeds) appended: Appended<Slice>,
    pub(in crate::feeds) shared: Vec<Written>,
    pub(in crate::feeds) records: Vec<Record>,
}

impl AppendedPage {
    /// Returns the outcome for a feed whose shared tables come right behind its own one.
    pub(in crate::feeds) fn with_shared(mut self) -> Appended<Slice> {
        self.appended.written.extend(self.shared);
        self.appended
    }
}

/// Places among the shared tables, each empty where nobody wants the table.
struct SharedPlaces {
    links: Range<usize>,
    types: Range<usize>,
    lists: Range<usize>,
    definitions: Range<usize>,
    histories: Range<usize>,
}

/// Returns the only rows of these, if there are any.
fn one<'r>(rows: &'r mut [&mut Rows]) -> Option<&'r mut Rows> {
    rows.first_mut().map(|rows| &mut **rows)
}

impl ObjectFeed {
    /// In the order of the feed's tables, behind that of the records.
    fn shared_places(&self) -> SharedPlaces {
        let mut end = 0;
        let mut next = |tables: usize| {
            let begin = end;
            end += tables;
            begin..end
        };
        let links = next(usize::from(self.links.is_some()));
        let types = next(usize::from(self.links.as_ref().is_some_and(|links| links.types.is_some())));
        let lists = next(usize::from(self.lists.is_some()));
        let definitions =
            next(self.definitions.as_ref().map_or(0, |definitions| definitions.tables().count()));
        let histories = next(usize::from(self.histories.is_some()));
        SharedPlaces { links, types, lists, definitions, histories }
    }

    /// Appends the page's records and moves the slice past it; what is remembered of each record comes back with it.
    pub(in crate::feeds) fn append(
        &self,
        mut page: Page,
        slice: &mut Slice,
        run: &mut RunOfRecords<'_>,
        (rows, shared_rows): (&mut Rows, &mut [&mut Rows]),
        context: &Context<'_>,
    ) -> Result<AppendedPage> {
        let mut shared = vec![Written::default(); shared_rows.len()];
        let places = self.shared_places();
        if shared_rows.len() != places.histories.end {
            return Err(foreign());
        }
        if matches!(slice, Slice::Linked { .. } | Slice::LinkTypes { .. } | Slice::Definitions) {
            match &*slice {
                Slice::Linked { ids, to } => {
                    let rows = one(&mut shared_rows[places.links.clone()]);
                    let linked = self.append_linked(&page, (ids, to), run, rows, context.reading);
                    shared[places.links].fill(linked);
                }
                Slice::LinkTypes { to } => {
                    let rows = one(&mut shared_rows[places.types.clone()]);
                    let types = self.append_types(&page, to, run, rows, context.reading);
                    shared[places.types].fill(types);
                }
                _ => {
                    if let Some(tables) = &self.definitions {
                        let rows = &mut shared_rows[places.definitions.clone()];
                        let written =
                            tables.append((self.object, self.nameless), run, rows, context.reading)?;
                        shared[places.definitions].copy_from_slice(&written);
                    }
                }
            }
            let is_last = slice.advance(page.next)?;
            let appended = Appended { written: vec![Written::default()], is_last, ..Appended::default() };
            return Ok(AppendedPage { appended, shared, records: Vec::new() });
        }
        let mut appended = Appended { written: vec![Written::default()], ..Appended::default() };
        if page.is_from_the_top || page.is_stuck {
            slice.restart(run);
        }
        if page.is_stuck {
            // The search finds all that have an id, and counts them too.
            run.own.then.push(Slice::WithProperty { property: ID.to_owned(), from: 0 });
        }
        let mut odd = 0;
        let begins_at = slice.position();
        let (mut seen, mut shown, mut listing) = (Vec::new(), HashSet::new(), page.listing);
        let asked: HashSet<u64> = page.asked.iter().copied().collect();
        let is_asked = |id: u64| asked.is_empty() || asked.contains(&id);
        let mut partial = Vec::new();
        for (place, body) in page.bodies.iter().enumerate() {
            let keep = |id| slice.holds(id) && is_asked(id) && !page.again.contains(&id);
            let beside = Beside {
                associated: &page.associated,
                known: &page.versions,
                unknown: &page.unknown,
                only_archived: page.is_archived || page.live_bodies.is_some_and(|live| place >= live),
            };
            let read = records::append(&self.layout, body, keep, context, &beside, rows)?;
            appended.written[0] += read.written;
            odd += read.odd;
            if let (Some(table), Some(rows)) =
                (&self.histories, one(&mut shared_rows[places.histories.clone()]))
            {
                let answer = (body, &*read.records);
                let histories = table.append(self.object, answer, slice, run, rows, context.reading)?;
                shared[places.histories.clone()].iter_mut().for_each(|written| *written += histories);
            }
            if listing.is_none() && matches!(page.next, Some(Advance::After(_))) {
                listing = Some(Listing::of(read.records.iter().map(|record| record.id)));
            }
            if beside.only_archived {
                self.expect_archived(&read.records, slice, run)?;
            }
            for record in read.records {
                partial.extend(record.partial.map(|reason| (record.id, reason)));
                let is_held = page.unknown.holds(record.id)
                    || page.again.contains(&record.id)
                    || record.partial.is_some();
                if record.is_kept || (is_held && slice.holds(record.id)) {
                    shown.insert(record.id);
                } else if !is_asked(record.id) {
                    self.left_aside(&record, &asked, slice, &mut shown, run);
                }
                seen.extend(Some(record).filter(|record| record.is_kept));
            }
        }
        let live = seen.iter().filter(|record| record.archived_ms.is_none());
        run.oldest_ms = live.filter_map(|record| record.updated_ms).chain(run.oldest_ms).min();
        if !self.mode.is_snapshot() {
            run.own.named_properties = self.layout.named.most().or(run.own.named_properties);
        }
        for (id, reason) in partial {
            match self.is_second(id, slice, run) {
                true => page.unknown.add(id, unknown::RECORD, reason),
                false => _ = page.again.insert(id),
            }
        }
        if let (Some(listing), Some(Advance::After(after))) = (&listing, &page.next) {
            slice.expect_order(listing, after.as_deref())?;
            // A range is not cut more often where a page has fewer records: each cut costs up to a page.
            let most = if page.asked.is_empty() { self.page_records() } else { PAGE_RECORDS };
            appended.span = listing.span() * (PAGE_RECORDS / most) as u64;
        }
        if !page.gone.is_empty() {
            let gone = records::append_gone(&self.layout, &page.gone, context, rows);
            appended.written[0] += gone.written;
            seen.extend(gone.records);
        }
        self.meet_what_is_odd(&page, begins_at, odd, run);
        appended.written[0] += self.account(&page, &shown, &seen, slice, run, rows, context);
        if !page.merged_away.is_empty() {
            let merged = records::append_merged(&self.layout, &page.merged_away, context, rows);
            appended.written[0] += merged.written;
            seen.extend(merged.records);
        }
        self.ask_for_merges(&page, &seen, slice, run, context);
        if let (Some(table), Some(rows)) = (&self.histories, one(&mut shared_rows[places.histories.clone()]))
        {
            let gone = table.forget(self.object, (&seen, &page.absent), run, rows, context.reading);
            shared[places.histories].iter_mut().for_each(|written| *written += gone);
        }
        let link_rows = one(&mut shared_rows[places.links.clone()]);
        shared[places.links].fill(self.link(&page, &seen, run, link_rows, context.reading));
        if let (Some(table), Some(rows)) = (&self.lists, one(&mut shared_rows[places.lists.clone()])) {
            shared[places.lists].fill(table.append((self.object, self.mode), &seen, run, rows, context)?);
        }
        appended.found = (!page.found.is_empty()).then_some(Slice::Found { ids: page.found });
        appended.is_last = slice.advance(page.next)?;
        if listing.is_some() && !page.is_stuck {
            let unlisted = u64::from(page.unlisted.is_some());
            // Where values come by id, what the list has named is what it has shown.
            let is_by_id = !asked.is_empty();
            let listed =
                if is_by_id { asked.into_iter().filter(|id| slice.holds(*id)).collect() } else { shown };
            slice.count_rows(begins_at, &listed, unlisted, appended.is_last, run);
        }
        if appended.is_last {
            self.judge_pass(slice, page.told_now, page.odd, run);
        }
        if let Slice::Changed { pass, .. } = slice {
            (pass.told, pass.odd) = (page.told, page.odd);
        }
        if let Some(count) = page.count {
            let found = self.judge(slice, count, run);
            appended.found = (!found.is_empty()).then_some(Slice::Found { ids: found });
        }
        if let Some(halves) = page.halves {
            appended.found = archive::keep_halves(halves, run);
        }
        run.needs_whole |= page.is_refused;
        let read_ms = self.client.by_hubspots_clock(context.reading.read_ms);
        // The watermark goes by what the search shows, or, in a run over everything, by what the lists do.
        let is_listed = matches!(slice, Slice::Listed { archived: false, .. } | Slice::Reread { .. });
        let newest_listed = seen.iter().filter(|_| is_listed).filter_map(|record| record.updated_ms).max();
        if let Some(newest_ms) = page.newest_ms.max(newest_listed) {
            run.saw(newest_ms, read_ms);
        }
        let settled_ms = read_ms.saturating_sub(self.session.lookback.settle_ms);
        for record in seen.iter().filter(|record| !record.is_gone) {
            if let Some(archived_ms) = record.archived_ms {
                run.own.archived.add(record.id, archived_ms);
            } else if let Some(updated_ms) = record.updated_ms.filter(|updated_ms| *updated_ms <= settled_ms)
            {
                run.note(RecentReads::hash(record.id, updated_ms), updated_ms);
            }
        }
        for (id, ms) in page.known {
            if page.is_archived {
                run.own.archived.add(id, ms);
            } else {
                run.note(RecentReads::hash(id, ms), ms);
            }
        }
        Ok(AppendedPage { appended, shared, records: seen })
    }

    /// Sets aside what has no id that could be asked for.
    fn meet_what_is_odd(&self, page: &Page, begins_at: u64, odd: u64, run: &mut RunOfRecords<'_>) {
        let name = self.object.name;
        if let Some((id, reason)) = &page.unlisted {
            let kind = if page.is_archived { ARCHIVED_KIND } else { LISTED_KIND };
            run.set_aside(Thing { kind, id, collection: name }, reason);
        }
        if odd > 0 {
            tracing::warn!(
                feed.name = name,
                "{odd} entries of an answer are no records with an id and properties"
            );
        }
        // Of live ones, HubSpot counts those that are lacking; of archived ones, nobody does.
        if odd > 0 && page.is_archived {
            let id = &format!("without an id, behind {begins_at}");
            let reason = format!("{odd} entries of a page are no records with an id and properties");
            run.set_aside(Thing { kind: ARCHIVED_KIND, id, collection: name }, reason);
        }
    }
}
