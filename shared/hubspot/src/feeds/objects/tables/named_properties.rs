//! Properties that answers name. HubSpot names an empty one too, as `null`, and leaves out names that it does not know
//! (<https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis>): a record that names fewer than
//! others is shown in part.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::json::{Malformed, Scanner};

/// The count of one run. Answers without a single `null` prove nothing: they might leave empty ones out.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct NamedProperties {
    most: AtomicUsize,
    names_empty: AtomicBool,
}

impl NamedProperties {
    /// A run begins, or goes on. `known`: the number that answers to the same question have named before.
    pub(in crate::feeds::objects) fn begin(&self, known: Option<usize>) {
        self.most.store(known.unwrap_or_default(), Ordering::Relaxed);
        self.names_empty.store(known.is_some(), Ordering::Relaxed);
    }

    /// The number that each whole record names, where that is known.
    pub(in crate::feeds::objects) fn most(&self) -> Option<usize> {
        let is_known = self.names_empty.load(Ordering::Relaxed);
        is_known.then(|| self.most.load(Ordering::Relaxed))
    }

    /// Takes note of a record that names so many of the properties that were asked for. `true`: it is whole, as far as
    /// anything tells. `names_empty`: it, or one before it, names an empty one.
    pub(in crate::feeds::objects) fn take_note(&self, named: usize, names_empty: bool) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        if named > most {
            self.most.store(named, Ordering::Relaxed);
        }
        if names_empty && !self.names_empty.load(Ordering::Relaxed) {
            self.names_empty.store(true, Ordering::Relaxed);
        }
        named >= most || !self.names_empty.load(Ordering::Relaxed)
    }

    /// Counts what the records of a first page name, before the first of them is judged. `is_asked` tells the properties
    /// that were asked for.
    pub(in crate::feeds::objects) fn learn(&self, is_asked: impl Fn(&str) -> bool, page: &str) {
        if self.most.load(Ordering::Relaxed) > 0 {
            return;
        }
        let mut most = 0;
        let learned = Scanner::new(page).each_field(|key, value| match key.raw() {
            "results" if value.is_nested() && !value.is_object() => value.each_item(|record| {
                most = most.max(self.count(&is_asked, record)?);
                Ok::<_, Malformed>(())
            }),
            _ => value.skip(),
        });
        // What does not parse is the matter of whoever reads it.
        if learned.is_ok() {
            self.most.store(most, Ordering::Relaxed);
        }
    }

    fn count(&self, is_asked: impl Fn(&str) -> bool, record: &mut Scanner<'_>) -> Result<usize, Malformed> {
        let mut named = 0;
        if !record.is_object() {
            return record.skip().map(|()| named);
        }
        record.each_field(|key, value| match key.raw() {
            "properties" if value.is_object() => value.each_field(|key, value| {
                if !is_asked(&key.text()) {
                    return value.skip();
                }
                named += 1;
                if value.raw()? == "null" {
                    self.names_empty.store(true, Ordering::Relaxed);
                }
                Ok::<_, Malformed>(())
            }),
            _ => value.skip(),
        })?;
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_names_fewer_than_one_before_is_in_part() {
        let named = NamedProperties::default();
        assert!(named.take_note(3, true) && named.take_note(5, true) && !named.take_note(4, true));
        assert_eq!(named.most(), Some(5));
    }

    #[test]
    fn answers_that_name_no_empty_one_prove_nothing() {
        let named = NamedProperties::default();
        assert!(named.take_note(5, false) && named.take_note(1, false));
        assert_eq!(named.most(), None);
    }

    #[test]
    fn an_earlier_run_knows_what_the_first_record_has_to_name() {
        let named = NamedProperties::default();
        named.begin(Some(5));
        assert!(!named.take_note(4, false));
    }

    #[test]
    fn a_run_begins_without_what_another_has_counted() {
        let named = NamedProperties::default();
        named.take_note(5, true);
        named.begin(None);
        assert!(named.take_note(4, true));
    }
}
