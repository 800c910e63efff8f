//! The properties of an object that the credential may see, without a call in each run for classes that have none.

use super::object_type::ObjectType;
use super::state::RecordCursor;
use crate::client::Client;
use crate::error::Result;
use crate::feeds::unfinished::Mode;
use crate::properties::{self, Visible};

/// A class of sensitive properties that has none is asked for again after this time.
const EMPTY_MS: i64 = 24 * 3_600_000;

/// What the credential may see. A backfill asks for all classes.
pub(super) async fn visible(
    object: &ObjectType,
    client: &Client,
    mode: Mode,
    cursor: &mut RecordCursor<'_>,
) -> Result<Visible> {
    let now_ms = client.now().timestamp_millis();
    let known = cursor.own.sensitive.take().filter(|_| mode != Mode::Backfill);
    let is_empty = |class: &String| {
        cursor.own.empty_classes.get(class).is_some_and(|seen_ms| now_ms.saturating_sub(*seen_ms) < EMPTY_MS)
    };
    let (empty, asked) = match known {
        Some(known) => {
            let (empty, asked) = known.into_iter().partition(is_empty);
            (empty, Some(asked))
        }
        None => (Vec::new(), None),
    };
    let visible = properties::visible(client, object.path, asked).await?;
    for class in &visible.sensitive {
        match visible.empty.contains(class) {
            true => cursor.own.empty_classes.insert(class.clone(), now_ms),
            false => cursor.own.empty_classes.remove(class),
        };
    }
    cursor.own.sensitive = Some(visible.sensitive.iter().cloned().chain(empty).collect());
    Ok(visible)
}
