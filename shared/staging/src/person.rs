//! Columns that say whose a row is, and the person that is looked for in them: for who asks to be forgotten.
//!
//! A collection's columns are one line of text, which a function gets as a setting: its name, `!` if its rows tell which
//! ids and addresses are of one person, and a word for each column.
//!
//! | word | the column holds |
//! |---|---|
//! | `id#` | the id of a contact |
//! | `merged_vids[#` | ids, a JSON list |
//! | `email@` | an address |
//! | `hs_additional_emails;@` | addresses with semicolons between them |
//! | `cc[@` | addresses, each a text in JSON |
//! | `object=contacts&object_id#` | the same, in rows that have this value in another column |
//! | `associated_vids-#` | ids, a JSON list, of a row about something else: it stays, without the id |
//! | `requested_by-@` | an address, of a row about somebody else: it stays, without the address |
//! | `created~` | the time at which happened what the row tells |
//! | `user_agent!` | a detail that may tell who it is: it goes where the row stays under a pseudonym |

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Contents of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Id,
    Ids,
    Address,
    SeparatedAddresses,
    JsonAddresses,
    /// Ids in a list of a row that is not the person's.
    Mention,
    /// An address in a row that is not the person's.
    MentionedAddress,
    /// The time at which happened what the row tells.
    Time,
    /// A detail that may tell whose the row is.
    Detail,
}

const MARKS: [(&str, Holds); 9] = [
    ("[#", Holds::Ids),
    ("-#", Holds::Mention),
    ("-@", Holds::MentionedAddress),
    ("[@", Holds::JsonAddresses),
    (";@", Holds::SeparatedAddresses),
    ("#", Holds::Id),
    ("@", Holds::Address),
    ("~", Holds::Time),
    ("!", Holds::Detail),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonColumn {
    pub name: String,
    pub holds: Holds,
    /// The column and its value without which a row is about something else.
    pub only_where: Option<(String, String)>,
}

/// Columns of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonColumns {
    pub collection: String,
    /// `true`: what a row holds belongs to one person, so that one id or address leads to the others.
    pub identifies: bool,
    pub columns: Vec<PersonColumn>,
    /// Milliseconds: rows about something that happened later are of somebody else, who has the address by now.
    pub until_ms: Option<i64>,
}

/// Ids and addresses of one person, or of several. Nothing of it is ever shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    pub ids: BTreeSet<u64>,
    /// In lower case.
    pub addresses: BTreeSet<String>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({} ids, {} addresses)", self.ids.len(), self.addresses.len())
    }
}

impl Person {
    /// Adds an address as HubSpot spells it; `false`: it is none, or known.
    pub fn add_address(&mut self, address: &str) -> bool {
        let address = address.trim().to_lowercase();
        address.contains('@') && self.addresses.insert(address)
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.addresses.is_empty()
    }

    /// Adds what a column of a row of the person holds.
    pub fn add(&mut self, holds: Holds, text: &str) {
        for id in holds.ids(text) {
            self.ids.insert(id);
        }
        for address in holds.addresses(text) {
            self.add_address(&address);
        }
    }

    /// `true`: the text of such a column names the person.
    pub fn is_named(&self, holds: Holds, text: &str) -> bool {
        holds.ids(text).iter().any(|id| self.ids.contains(id))
            || holds.addresses(text).iter().any(|address| self.addresses.contains(&address.to_lowercase()))
    }
}

impl Holds {
    /// Ids in the text of such a column.
    pub fn ids(self, text: &str) -> Vec<u64> {
        let numbers: Vec<&str> = match self {
            Holds::Id => vec![text.trim()],
            Holds::Ids | Holds::Mention => text.split(|c: char| !c.is_ascii_digit()).collect(),
            Holds::Address
            | Holds::SeparatedAddresses
            | Holds::JsonAddresses
            | Holds::MentionedAddress
            | Holds::Time
            | Holds::Detail => Vec::new(),
        };
        // Rows that stand for an empty set have the id 0.
        numbers.into_iter().filter_map(|id| id.parse().ok()).filter(|id| *id != 0).collect()
    }

    /// Addresses in the text of such a column, as they are spelled.
    pub fn addresses(self, text: &str) -> Vec<String> {
        let is_address = |text: &&str| text.contains('@');
        match self {
            Holds::Address | Holds::MentionedAddress => {
                [text.trim()].into_iter().filter(is_address).map(str::to_owned).collect()
            }
            Holds::SeparatedAddresses => {
                text.split(';').map(str::trim).filter(is_address).map(str::to_owned).collect()
            }
            // A text in JSON ends at a quote; one with an escaped quote in it is no address.
            Holds::JsonAddresses => text.split('"').filter(is_address).map(str::to_owned).collect(),
            Holds::Id | Holds::Ids | Holds::Mention | Holds::Time | Holds::Detail => Vec::new(),
        }
    }

    /// `true`: a row with such a column may be a person's.
    pub fn names(self) -> bool {
        !matches!(self, Holds::Mention | Holds::MentionedAddress | Holds::Time | Holds::Detail)
    }
}

impl PersonColumns {
    /// `true`: rows may stay under a pseudonym: it is known which of their columns tell more.
    pub fn may_stay(&self) -> bool {
        self.columns.iter().any(|column| column.holds == Holds::Detail)
    }

    /// The same for contacts that HubSpot has shown no more since a time; `None`: no row of the collection is theirs alone.
    /// Their addresses may be those of another contact by now, so a row that has a contact's id is known by it alone; and
    /// where several persons share a row, as an e-mail with several recipients, it stays.
    pub fn of_removed(&self, gone_ms: i64) -> Option<PersonColumns> {
        let is_any = |wanted: &[Holds]| self.columns.iter().any(|column| wanted.contains(&column.holds));
        let kept: &[Holds] = match (is_any(&[Holds::Id, Holds::Ids]), is_any(&[Holds::Mention])) {
            (true, _) => &[Holds::Id, Holds::Ids],
            (false, true) => &[Holds::Mention],
            (false, false) if is_any(&[Holds::SeparatedAddresses]) => return None,
            (false, false) => &[Holds::Address, Holds::Time, Holds::Detail],
        };
        let (may_stay, mut columns) = (self.may_stay(), Vec::new());
        for column in &self.columns {
            let is_emptied = matches!(column.holds, Holds::JsonAddresses | Holds::MentionedAddress);
            if kept.contains(&column.holds) {
                columns.push(column.clone());
            } else if is_emptied && may_stay {
                // By these nobody is found, but a row of the person is to lose them.
                columns.push(PersonColumn { holds: Holds::Detail, ..column.clone() });
            }
        }
        Some(PersonColumns { columns, until_ms: Some(gone_ms), ..self.clone() })
    }
}

/// Returns a JSON list of ids without those of the person; `None` if none of them is in it.
pub fn without_ids(list: &str, person: &Person) -> Option<String> {
    if !person.is_named(Holds::Mention, list) {
        return None;
    }
    let ids = list.trim().trim_start_matches('[').trim_end_matches(']').split(',');
    let others = ids.filter(|id| !person.is_named(Holds::Mention, id));
    Some(format!("[{}]", others.collect::<Vec<_>>().join(",")))
}

impl FromStr for PersonColumns {
    type Err = String;

    fn from_str(line: &str) -> Result<PersonColumns, String> {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or("a collection has no name")?;
        let columns = words.map(column).collect::<Result<Vec<_>, String>>()?;
        if columns.is_empty() {
            return Err(format!("{name} has no columns"));
        }
        let (collection, identifies) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name, false),
        };
        Ok(PersonColumns { collection: collection.to_owned(), identifies, columns, until_ms: None })
    }
}

fn column(word: &str) -> Result<PersonColumn, String> {
    let (only_where, rest) = match word.split_once('&') {
        Some((condition, rest)) => {
            let (column, value) =
                condition.split_once('=').ok_or_else(|| format!("{condition:?} is no condition"))?;
            (Some((column.to_owned(), value.to_owned())), rest)
        }
        None => (None, word),
    };
    let marked = MARKS.iter().find_map(|(mark, holds)| Some((rest.strip_suffix(mark)?, *holds)));
    match marked {
        Some((name, holds)) if !name.is_empty() => {
            Ok(PersonColumn { name: name.to_owned(), holds, only_where })
        }
        _ => Err(format!("{word:?} does not end with what the column holds")),
    }
}

impl fmt::Display for PersonColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.collection, if self.identifies { "!" } else { "" })?;
        for PersonColumn { name, holds, only_where } in &self.columns {
            f.write_str(" ")?;
            if let Some((column, value)) = only_where {
                write!(f, "{column}={value}&")?;
            }
            let mark = MARKS.iter().find(|(_, mark)| mark == holds).map_or("", |(mark, _)| mark);
            write!(f, "{name}{mark}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(ids: &[u64], addresses: &[&str]) -> Person {
        let mut person = Person { ids: ids.iter().copied().collect(), ..Person::default() };
        addresses.iter().for_each(|address| _ = person.add_address(address));
        person
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        for line in [
            "contacts! id# merged_vids[# email@ properties_hs_additional_emails_value;@",
            "associations from_object=contacts&from_id# to_object=contacts&to_id#",
            "deals associated_vids-#",
            "email_events recipient@ cc[@ by-@ created~ user_agent!",
        ] {
            assert_eq!(line.parse::<PersonColumns>().unwrap().to_string(), line);
        }
        for wrong in ["", "contacts", "contacts id", "contacts #", "contacts object&id#"] {
            assert!(wrong.parse::<PersonColumns>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_person_is_named_by_whole_ids_and_addresses() {
        let ada = person(&[12], &["Ada@Example.com"]);
        assert!(ada.is_named(Holds::Id, "12") && !ada.is_named(Holds::Id, "123"));
        assert!(ada.is_named(Holds::Ids, "[7,12]") && !ada.is_named(Holds::Ids, "[7,120]"));
        assert!(ada.is_named(Holds::Address, "ADA@example.com"));
        assert!(!ada.is_named(Holds::Address, "nada@example.com"));
        assert!(ada.is_named(Holds::SeparatedAddresses, "bo@example.com; ada@example.com"));
        assert!(ada.is_named(Holds::JsonAddresses, r#"[{"name":"email","value":"Ada@example.com"}]"#));
        assert!(!ada.is_named(Holds::JsonAddresses, r#"["nada@example.com"]"#));
        assert!(Holds::Id.ids("0").is_empty());
        assert!(!ada.is_named(Holds::Id, "ada@example.com") && !ada.is_named(Holds::Address, "12"));
    }

    #[test]
    fn of_a_removed_contact_an_id_counts_before_addresses() {
        for (line, removed) in [
            ("contacts! id# merged_vids[# email@", Some("contacts! id# merged_vids[#")),
            ("events to@ cc[@ by-@ created~ url!", Some("events to@ cc! by! created~ url!")),
            ("events to@ cc[@ by-@ created~", Some("events to@ created~")),
            ("deals associated_vids-#", Some("deals associated_vids-#")),
            ("emails from@ to;@ created~", None),
        ] {
            let of_removed = line.parse::<PersonColumns>().unwrap().of_removed(5);
            assert!(of_removed.as_ref().is_none_or(|columns| columns.until_ms == Some(5)));
            assert_eq!(of_removed.map(|columns| columns.to_string()).as_deref(), removed);
        }
    }

    #[test]
    fn a_row_tells_what_else_is_of_the_person() {
        let mut ada = person(&[12], &[]);
        ada.add(Holds::Ids, "[7,9]");
        ada.add(Holds::SeparatedAddresses, "A@x.com;;b@x.com");
        ada.add(Holds::Address, "0a1b2c");
        assert_eq!(ada, person(&[7, 9, 12], &["a@x.com", "b@x.com"]));
        assert_eq!(format!("{ada:?}"), "Person(3 ids, 2 addresses)");
    }

    #[test]
    fn lists_of_others_lose_the_id_alone() {
        let ada = person(&[12], &[]);
        for (list, left) in [("[12]", "[]"), ("[12,3]", "[3]"), ("[1,12,3]", "[1,3]"), ("[1,12]", "[1]")] {
            assert_eq!(without_ids(list, &ada).as_deref(), Some(left));
        }
        assert_eq!(without_ids("[1,123]", &ada), None);
        assert_eq!(without_ids("", &ada), None);
    }
}
