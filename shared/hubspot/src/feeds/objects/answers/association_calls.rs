//! Calls for the associations with one object: whether they may be read, and what a run keeps of them.

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::associations::Input;
use crate::budget::RateLimit;
use crate::call::Call;
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::feeds::batches::Batches;
use crate::feeds::objects::object_type::ObjectType;
use crate::version;

/// Records in one call of the associations endpoint
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>).
pub(in crate::feeds::objects) const MAX_INPUTS: usize = 1_000;
/// An id that no record has.
pub(in crate::feeds::objects) const NOBODY: u64 = (1 << 53) - 1;

/// The source's name in the cursor, when associations with this object are refused.
pub(in crate::feeds::objects) fn source(other: &str) -> String {
    format!("associations with {other}")
}

/// `true`: the associations with `other`, as paths name it, may be read.
pub(in crate::feeds::objects) async fn answers(
    object: &ObjectType,
    client: &Client,
    other: &str,
) -> Result<bool> {
    let first = Input { id: 1, after: None, is_second: false };
    match client.send(&batch_read(object, other, &[first])).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.kind() == ErrorKind::MissingScope => Ok(false),
        // Answers, whatever it says of this one record.
        Err(refused) if matches!(refused.kind(), ErrorKind::BadRequest | ErrorKind::NotFound) => Ok(true),
        Err(failed) => Err(failed),
    }
}

/// The reason why the associations with `other`, as paths name it, may not be read of anybody.
pub(in crate::feeds::objects) async fn refusal(
    object: &ObjectType,
    client: &Client,
    other: &str,
) -> Result<Option<String>> {
    let nobody = Input { id: NOBODY, after: None, is_second: false };
    match client.send(&batch_read(object, other, &[nobody])).await {
        Ok(_) => Ok(None),
        Err(refused) if refused.is_unavailable() || refused.kind() == ErrorKind::BadRequest => {
            Ok(Some(refused.to_string()))
        }
        Err(failed) => Err(failed),
    }
}

/// The calls for the associations with one object, in one run.
#[derive(Debug)]
pub(in crate::feeds::objects) struct AssociationCalls {
    /// The object's collection, and its name in paths.
    pub(in crate::feeds::objects) other: &'static str,
    pub(in crate::feeds::objects) path: &'static str,
    /// The ids are a column of the records.
    pub(in crate::feeds::objects) is_column: bool,
    /// The types are rows of the table of associations.
    pub(in crate::feeds::objects) is_table: bool,
    /// The reason why they are refused, of those that were never read.
    pub(in crate::feeds::objects) refused: OnceCell<Option<String>>,
    pub(in crate::feeds::objects) batches: Batches,
    /// Of a record without associations, the endpoint says nothing at all.
    pub(in crate::feeds::objects) is_silence_none: OnceCell<bool>,
}

impl AssociationCalls {
    pub(in crate::feeds::objects) fn new(
        other: &'static str,
        path: &'static str,
        is_column: bool,
        is_table: bool,
    ) -> AssociationCalls {
        let (refused, is_silence_none) = (OnceCell::new(), OnceCell::new());
        let batches = Batches::new(MAX_INPUTS);
        AssociationCalls { other, path, is_column, is_table, refused, batches, is_silence_none }
    }
}

/// The call that asks for these records.
pub(in crate::feeds::objects) fn batch_read(object: &ObjectType, other: &str, inputs: &[Input]) -> Call {
    let path = format!("/crm/associations/{}/{}/{other}/batch/read", version::ASSOCIATIONS, object.path);
    let inputs: Vec<Value> = inputs.iter().map(Input::json).collect();
    Call::post(path, json!({ "inputs": inputs }).to_string(), RateLimit::Associations)
}
