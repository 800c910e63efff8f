//! JSON scanner: a cursor over an answer's bytes that returns borrowed strings and skips unused values. It builds no
//! tree and allocates nothing; it is the hottest code of a backfill.
//!
//! It is lenient where HubSpot gains nothing from strictness (control characters in strings, the shape of numbers)
//! and strict where a row could be lost: brackets must match, strings must end, the document must be whole.

pub(crate) mod body;
pub(crate) mod scanner;
mod string;

pub use self::body::Body;
pub(crate) use self::body::COMPLETE;
pub use self::scanner::{Malformed, Scanner};
pub(crate) use self::scanner::{depth, deserialize_id, parse_id};
pub use self::string::Str;
