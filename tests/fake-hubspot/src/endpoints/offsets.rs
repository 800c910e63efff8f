//! The opaque `offset` of the older endpoints: valid for a while, and only with the filters that it was given out for.
//! The server stores none; an offset holds everything itself, scrambled so that nobody can rely on its digits.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Call;
use crate::account::Place;
use crate::dice::mix;
use crate::http::problem::Problem;

const SALT: u64 = 0x6f66_6673_6574_7321;
/// Parameters that may differ from page to page.
const FREE: [&str; 2] = ["offset", "limit"];

pub(super) fn give(call: &Call<'_>, place: Place) -> String {
    let nonce = mix(now_ms() ^ call.number << 44);
    let fields = [place.0 as u64, place.1, now_ms(), filters_of(call)];
    let shuffled =
        fields.into_iter().enumerate().map(|(index, field)| field ^ mix(nonce ^ SALT ^ index as u64));
    let digits: String = [nonce].into_iter().chain(shuffled).map(|field| format!("{field:016x}")).collect();
    format!("{digits}==")
}

/// Returns the place that the request's offset stands for, if it has an offset.
pub(super) fn take(call: &Call<'_>) -> Result<Option<Place>, Problem> {
    let Some(given) = call.request.parameter("offset").filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    let refused = |reason| Problem::validation(format!("Invalid offset: {given}. {reason}"));
    let [at, order, given_at, filters] = read(given).ok_or_else(|| refused("It was never given out."))?;
    if filters != filters_of(call) {
        return Err(refused("It belongs to another query."));
    }
    let age_ms = now_ms().saturating_sub(given_at);
    if u128::from(age_ms) > call.behaviour.offset_lifetime.as_millis() {
        return Err(refused("It has expired."));
    }
    Ok(Some((at as i64, order)))
}

fn read(given: &str) -> Option<[u64; 4]> {
    let digits = given.strip_suffix("==").filter(|digits| digits.len() == 80 && digits.is_ascii())?;
    let field = |index: usize| u64::from_str_radix(&digits[index * 16..(index + 1) * 16], 16).ok();
    let nonce = field(0)?;
    let plain = |index: usize| Some(field(index + 1)? ^ mix(nonce ^ SALT ^ index as u64));
    Some([plain(0)?, plain(1)?, plain(2)?, plain(3)?])
}

fn filters_of(call: &Call<'_>) -> u64 {
    let request = call.request;
    let mut filters: Vec<_> = request.parameters().filter(|(name, _)| !FREE.contains(name)).collect();
    filters.sort_unstable();
    let path = request.segments.iter().map(String::as_str);
    let texts = path.chain(filters.into_iter().flat_map(|(name, value)| [name, value]));
    texts.fold(SALT, |hash, text| mix(text.bytes().fold(hash, |hash, byte| mix(hash ^ u64::from(byte)))))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
