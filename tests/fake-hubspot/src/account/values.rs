//! Random values for one property of one record. A small share are odd ones that connectors stumble over.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

use super::properties::{Kind, Property};
use crate::dice::Dice;

/// Number of owners, and of the ids that stand for them.
pub(crate) const OWNERS: u64 = 12;

/// Maker of a property's ordinary values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// Never filled by chance: HubSpot sets it when something happens.
    Nothing,
    FirstName,
    LastName,
    Email,
    MoreEmails,
    Phone,
    Company,
    Domain,
    Url,
    JobTitle,
    City,
    Country,
    Words,
    /// A text with mark-up, such as the body of a note; one of two hundred is longer than many a warehouse's columns.
    Html,
    Option,
    Options,
    Below(u64),
    Amount,
    Owner,
    Bool,
    Always(&'static str),
    Date,
    Datetime,
    Json,
}

/// The record and settings that a value may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    pub(crate) record_id: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) newest: DateTime<Utc>,
    pub(crate) width: usize,
    pub(crate) odd_values: f64,
}

pub(crate) fn write_value(property: &Property, around: &Surroundings, dice: &mut Dice, out: &mut String) {
    let may_be_odd = property.origin == super::properties::Origin::Stored
        && !matches!(property.maker, Maker::Email | Maker::Always(_) | Maker::Owner);
    if may_be_odd && dice.chance(around.odd_values) {
        write_odd(property.kind, dice, out);
    } else {
        write_ordinary(property, around, dice, out);
    }
}

fn write_ordinary(property: &Property, around: &Surroundings, dice: &mut Dice, out: &mut String) {
    match property.maker {
        Maker::Nothing => {}
        Maker::FirstName => out.push_str(dice.pick(FIRST_NAMES)),
        Maker::LastName => out.push_str(dice.pick(LAST_NAMES)),
        Maker::Email => write_email(around.record_id, dice, out),
        Maker::MoreEmails => {
            write_email(around.record_id + 1, dice, out);
            out.push(';');
            write_email(around.record_id + 2, dice, out);
        }
        Maker::Phone => write(out, format_args!("+1 555 {:03} {:04}", dice.below(1000), dice.below(10_000))),
        Maker::Company => write(out, format_args!("{} {}", dice.pick(LAST_NAMES), dice.pick(COMPANY_FORMS))),
        Maker::Domain => {
            write(out, format_args!("{}{}.example", dice.pick(WORDS), around.record_id % 10_000))
        }
        Maker::Url => write(out, format_args!("https://{}.example/{}", dice.pick(WORDS), dice.pick(WORDS))),
        Maker::JobTitle => write(out, format_args!("{} {}", dice.pick(RANKS), dice.pick(FIELDS))),
        Maker::City => out.push_str(dice.pick(CITIES)),
        Maker::Country => out.push_str(dice.pick(COUNTRIES)),
        Maker::Words => write_words(around.width, dice, out),
        Maker::Html => {
            out.push_str("<div style=\"\"><p>");
            write_words(if dice.below(200) == 0 { LONG_BODY } else { around.width * 4 }, dice, out);
            out.push_str("</p>\n<p>Gr\u{fc}\u{df}e &amp; \u{1f44b}</p></div>");
        }
        Maker::Option => out.push_str(option(property, dice)),
        Maker::Options => write_options(property, dice, out),
        Maker::Below(limit) => write(out, format_args!("{}", dice.below(limit))),
        Maker::Amount => write(out, format_args!("{}.{:02}", dice.below(90_000), dice.below(100))),
        Maker::Owner => write(out, format_args!("{}", 41_000_000 + dice.below(OWNERS) * 7)),
        Maker::Bool => out.push_str(dice.pick(&["true", "false"])),
        Maker::Always(value) => out.push_str(value),
        Maker::Date => write(out, format_args!("{}", moment(around, dice).format("%Y-%m-%d"))),
        Maker::Datetime => out.push_str(&crate::time::text(moment(around, dice))),
        Maker::Json => {
            write(out, format_args!(r#"{{"{}":[{}]}}"#, dice.pick(WORDS), dice.below(99)));
        }
    }
}

/// Width of a long body in bytes: more than Redshift's 65,535 (docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html).
const LONG_BODY: usize = 140_000;

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = out.write_fmt(text);
}

fn write_email(record_id: u64, dice: &mut Dice, out: &mut String) {
    write(out, format_args!("{}.{record_id}@{}.example", dice.pick(WORDS), dice.pick(WORDS)));
}

fn write_words(width: usize, dice: &mut Dice, out: &mut String) {
    let end = out.len() + width / 2 + dice.below(width as u64 + 1) as usize;
    out.push_str(dice.pick(WORDS));
    while out.len() < end {
        out.push(' ');
        out.push_str(dice.pick(WORDS));
    }
}

fn option(property: &Property, dice: &mut Dice) -> &'static str {
    if property.options.is_empty() { "" } else { dice.pick(&property.options) }
}

fn write_options(property: &Property, dice: &mut Dice, out: &mut String) {
    let mut separator = "";
    for chosen in property.options.iter().filter(|_| dice.chance(0.4)) {
        out.push_str(separator);
        out.push_str(chosen);
        separator = ";";
    }
    if separator.is_empty() {
        out.push_str(option(property, dice));
    }
}

/// Draws a moment between the record's creation and the newest of the account, most to the millisecond, some to the
/// second.
fn moment(around: &Surroundings, dice: &mut Dice) -> DateTime<Utc> {
    let span = (around.newest - around.created_at).num_milliseconds();
    let milliseconds = dice.between(0, span);
    let moment = around.created_at + TimeDelta::milliseconds(milliseconds);
    if dice.chance(0.2) { moment - TimeDelta::milliseconds(moment.timestamp_millis() % 1000) } else { moment }
}

fn write_odd(kind: Kind, dice: &mut Dice, out: &mut String) {
    let odd: &[&str] = match kind {
        Kind::Number => &[
            "",
            "N/A",
            "1.0E+25",
            "1234;5678",
            "-0",
            "1,234.50",
            "00017",
            " 42 ",
            "9007199254740993",
            "-12345678901234567890",
            "1152921504606846976",
            "0.1234567890123456789",
            "33.333333333333336",
        ],
        Kind::Bool => &["", "TRUE", "yes", "False", "1"],
        Kind::Date => &[
            "",
            "1577836800000",
            "20230-01-01",
            "253402300800000000",
            "2021-02-30",
            "-0001-01-01",
            "1633996800000.0",
            "1.6339968E12",
            "0",
            "86400000",
            "-86400000",
        ],
        Kind::Datetime => &[
            "",
            "1577836800000",
            "2020-01-01",
            "+20230-01-01T00:00:00Z",
            "253402300800000000",
            "-62135596800000",
            "1633996800123.0",
            "-3600000",
            "43200000",
        ],
        Kind::Enumeration => &["", "no longer an option", "first;second", ";"],
        Kind::Json => &["", "not json", "{\"open\":", "null", "[1,\"\\u0000\"]"],
        Kind::PhoneNumber => &["", "ask reception", "+49 (0)30 / 123-456"],
        Kind::String => &[
            "",
            "N/A",
            "she said \"no\"",
            "C:\\temp\\new",
            "line one\nline two\r\n\tthird",
            "\u{0}\u{1}\u{8}\u{b}\u{c}\u{1f}\u{7f}",
            "😀👩‍👩‍👧 smile",
            "𝕳ubspot",
            "Ærøskøbing, São Paulo, 北京, القاهرة",
            "null",
            " padded ",
            "\u{2028}\u{feff}\u{200b}",
        ],
    };
    if kind == Kind::String && dice.chance(0.03) {
        out.extend(std::iter::repeat_n(LONGEST_FILL, LONGEST));
    } else {
        out.push_str(dice.pick(odd));
    }
}

/// The most characters HubSpot keeps in a string.
const LONGEST: usize = 65_536;
const LONGEST_FILL: char = 'x';

const FIRST_NAMES: &[&str] = &[
    "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Jun", "Zoë", "Søren", "María",
    "O'Neil",
];
const LAST_NAMES: &[&str] = &[
    "Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Allen", "Tanaka", "Müller", "Nguyễn",
    "Smith",
];
const COMPANY_FORMS: &[&str] = &["Ltd.", "GmbH", "& Sons", "Inc.", "S.A.", "Group", "Labs"];
const RANKS: &[&str] = &["Head of", "VP", "Director,", "Junior", "Lead", "Chief"];
const FIELDS: &[&str] = &["Marketing", "Sales", "Engineering", "R&D", "Finance", "Customer Success"];
const CITIES: &[&str] = &["Berlin", "Boston", "São Paulo", "Tokyo", "Dublin", "Kraków", "Lagos"];
const COUNTRIES: &[&str] = &["Germany", "United States", "Brazil", "Japan", "Ireland", "Poland", "Nigeria"];
const WORDS: &[&str] = &[
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "jasper", "kernel",
    "linen", "meadow", "nickel", "orchid", "pepper", "quartz", "river", "saffron", "timber", "umbra",
    "velvet", "willow", "zephyr",
];
