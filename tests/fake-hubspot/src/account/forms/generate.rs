//! The forms of an account, and a few submissions for each contact, between its creation and its last modification.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Form, FormType, Forms, Page, Submission};
use crate::Settings;
use crate::account::guid::Guid;
use crate::account::record::Record;
use crate::dice::Dice;

pub(in crate::account) fn generate<'a>(
    settings: &Settings,
    newest: DateTime<Utc>,
    contacts: impl Iterator<Item = (&'a Record, &'a str)>,
) -> Forms {
    let mut forms = Forms::default();
    let mut made = Vec::new();
    let mut dice = Dice::nth(settings.seed, 21);
    for number in 0..settings.marketing.forms {
        let form = form(number, newest, &mut dice);
        forms.forms.insert(form.id, form.clone());
        made.push(form);
    }
    if made.is_empty() {
        return forms;
    }
    for (contact, email) in contacts {
        let mut dice = Dice::nth(settings.seed ^ SUBMISSIONS, contact.id);
        for _ in 0..dice.below(settings.marketing.submissions_per_contact + 1) {
            let form = &made[dice.below(made.len() as u64) as usize];
            let (from, to) = (contact.created_at.timestamp_millis(), contact.updated_at.timestamp_millis());
            forms.add(Submission {
                id: Guid::draw(&mut dice),
                form: form.id,
                kind: form.kind,
                contact: contact.id,
                timestamp: dice.between(from, to),
                title: Arc::clone(&form.name),
                page: page(&mut dice),
                email: email.into(),
            });
        }
    }
    for of_contact in forms.by_contact.values_mut() {
        of_contact.sort_unstable_by_key(|(_, place)| *place);
    }
    forms
}

fn form(number: usize, newest: DateTime<Utc>, dice: &mut Dice) -> Form {
    let created_at = newest - TimeDelta::milliseconds(dice.between(100 * DAY, 1_400 * DAY));
    let updated_at = created_at + TimeDelta::milliseconds(dice.between(0, 90 * DAY));
    let kind = match number % 8 {
        3 => FormType::Captured,
        5 => FormType::Flow,
        7 => FormType::BlogComment,
        _ => FormType::Hubspot,
    };
    let name = format!("{} ({number})", NAMES[number % NAMES.len()]);
    let archived_at =
        (number % 8 == 6).then(|| newest - TimeDelta::milliseconds(dice.between(DAY, 80 * DAY)));
    Form { id: Guid::draw(dice), name: name.into(), kind, created_at, updated_at, archived_at }
}

pub(super) fn page(dice: &mut Dice) -> Option<Page> {
    let place = dice.below(PAGES.len() as u64 + 1) as usize;
    PAGES.get(place).copied()
}

const SUBMISSIONS: u64 = 0x7375_626d_6974;
const DAY: i64 = 86_400_000;
const NAMES: [&str; 4] = ["Contact us", "Newsletter \"weekly\"", "Demo gewünscht", "When will we land?"];
const PAGES: [Page; 3] = [
    Page {
        url: "https://vendor.example/contact?a=1&b=%20",
        title: Some("Contact | Vendor"),
        id: Some("5011245101"),
    },
    Page { url: "https://vendor.example/größe", title: Some("Größe"), id: Some("5011245102") },
    Page { url: "https://elsewhere.example/", title: None, id: None },
];
