//! Changes as data: for tests in other languages, and for churn.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::account::{ChangeError, EventType, Kind, Label, Processing, SubscriptionChange};
use crate::{Account, ObjectType};

/// A change. As JSON: `{"do": "update", "object": "contacts", "id": 51, "values": {"firstname": "Ada"}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    Create {
        object: ObjectType,
        values: BTreeMap<String, Option<String>>,
    },
    Update {
        object: ObjectType,
        id: u64,
        values: BTreeMap<String, Option<String>>,
    },
    SetCalculated {
        object: ObjectType,
        id: u64,
        name: String,
        value: Option<String>,
    },
    Archive {
        object: ObjectType,
        id: u64,
    },
    Restore {
        object: ObjectType,
        id: u64,
    },
    Purge {
        object: ObjectType,
        id: u64,
    },
    Merge {
        object: ObjectType,
        primary: u64,
        merged: u64,
    },
    Associate {
        from: (ObjectType, u64),
        to: (ObjectType, u64),
        label: Label,
    },
    Dissociate {
        from: (ObjectType, u64),
        to: (ObjectType, u64),
    },
    TouchManyInOneMs {
        object: ObjectType,
        count: usize,
    },
    AddProperty {
        object: ObjectType,
        name: String,
        kind: Kind,
    },
    ArchiveProperty {
        object: ObjectType,
        name: String,
    },
    ChangePropertyType {
        object: ObjectType,
        name: String,
        kind: Kind,
    },
    CreateList {
        object: ObjectType,
        name: String,
        processing: Processing,
    },
    RenameList {
        list: u64,
        name: String,
    },
    DeleteList {
        list: u64,
    },
    RestoreList {
        list: u64,
    },
    AddToList {
        list: u64,
        record: u64,
    },
    RemoveFromList {
        list: u64,
        record: u64,
    },
    SubmitForm {
        contact: u64,
        form: String,
    },
    DeleteSubmission {
        conversion_id: String,
    },
    RenameForm {
        form: String,
        name: String,
    },
    ArchiveForm {
        form: String,
    },
    /// Adds events that were all created in one millisecond, so many milliseconds before now.
    RecordEmailEvents {
        event: EventType,
        recipients: Vec<String>,
        campaign: u64,
        milliseconds_ago: u64,
    },
    /// Adds one item of the timeline, so many milliseconds before now.
    ChangeSubscriptions {
        recipient: String,
        changes: Vec<SubscriptionChange>,
        milliseconds_ago: u64,
    },
    RenameStage {
        object: ObjectType,
        stage: String,
        label: String,
    },
    DeleteStage {
        object: ObjectType,
        stage: String,
    },
    DeletePipeline {
        object: ObjectType,
        pipeline: String,
    },
    ArchiveOwner {
        owner: u64,
    },
    RenameOwner {
        owner: u64,
        last_name: String,
    },
    RemoveUser {
        user: u64,
    },
    DeleteTeam {
        team: u64,
    },
    SetExchangeRate {
        from: String,
        rate: String,
    },
    /// Sets the clock of new modifications: this many milliseconds after now; negative: before.
    SetClockOffset {
        milliseconds: i64,
    },
}

/// Ids of the records (or of the list) that were created or changed, where the caller can't know them.
pub type Touched = Vec<u64>;

impl Operation {
    pub fn apply(&self, account: &Account) -> Result<Touched, ChangeError> {
        match self {
            Self::Create { object, values } => account.create(*object, &pairs(values)).map(|id| vec![id]),
            Self::Update { object, id, values } => account.update(*object, *id, &pairs(values)).map(none),
            Self::SetCalculated { object, id, name, value } => {
                account.set_calculated(*object, *id, name, value.as_deref()).map(none)
            }
            Self::Archive { object, id } => account.archive(*object, *id).map(none),
            Self::Restore { object, id } => account.restore(*object, *id).map(none),
            Self::Purge { object, id } => account.purge(*object, *id).map(none),
            Self::Merge { object, primary, merged } => {
                account.merge(*object, *primary, *merged).map(|id| vec![id])
            }
            Self::Associate { from, to, label } => account.associate(*from, *to, *label).map(none),
            Self::Dissociate { from, to } => {
                account.dissociate(*from, *to);
                Ok(Vec::new())
            }
            Self::TouchManyInOneMs { object, count } => Ok(account.touch_many_in_one_ms(*object, *count)),
            Self::AddProperty { object, name, kind } => account.add_property(*object, name, *kind).map(none),
            Self::ArchiveProperty { object, name } => account.archive_property(*object, name).map(none),
            Self::ChangePropertyType { object, name, kind } => {
                account.change_property_type(*object, name, *kind).map(none)
            }
            Self::SetClockOffset { milliseconds } => {
                account.set_clock_offset(TimeDelta::milliseconds(*milliseconds));
                Ok(Vec::new())
            }
            Self::RenameStage { object, stage, label } => {
                account.rename_stage(*object, stage, label).map(none)
            }
            Self::DeleteStage { object, stage } => account.delete_stage(*object, stage).map(none),
            Self::DeletePipeline { object, pipeline } => account.delete_pipeline(*object, pipeline).map(none),
            Self::ArchiveOwner { owner } => account.archive_owner(*owner).map(none),
            Self::RenameOwner { owner, last_name } => account.rename_owner(*owner, last_name).map(none),
            Self::RemoveUser { user } => account.remove_user(*user).map(none),
            Self::DeleteTeam { team } => account.delete_team(*team).map(none),
            Self::SetExchangeRate { from, rate } => {
                account.set_exchange_rate(from, rate);
                Ok(Vec::new())
            }
            Self::CreateList { object, name, processing } => {
                Ok(vec![account.create_list(*object, name, *processing)])
            }
            Self::RenameList { list, name } => account.rename_list(*list, name).map(none),
            Self::DeleteList { list } => account.delete_list(*list).map(none),
            Self::RestoreList { list } => account.restore_list(*list).map(none),
            Self::AddToList { list, record } => account.add_to_list(*list, *record).map(none),
            Self::RemoveFromList { list, record } => {
                account.remove_from_list(*list, *record).map(|_| Vec::new())
            }
            Self::SubmitForm { contact, form } => account.submit_form(*contact, form).map(|_| Vec::new()),
            Self::DeleteSubmission { conversion_id } => account.delete_submission(conversion_id).map(none),
            Self::RenameForm { form, name } => account.rename_form(form, name).map(none),
            Self::ArchiveForm { form } => account.archive_form(form).map(none),
            Self::RecordEmailEvents { event, recipients, campaign, milliseconds_ago } => {
                let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
                let at = ago(account, *milliseconds_ago);
                account.record_email_events(*event, &recipients, *campaign, at).map(|_| Vec::new())
            }
            Self::ChangeSubscriptions { recipient, changes, milliseconds_ago } => {
                let at = ago(account, *milliseconds_ago);
                account.change_subscriptions(recipient, changes, None, at).map(none)
            }
        }
    }
}

fn ago(account: &Account, milliseconds: u64) -> DateTime<Utc> {
    account.now() - TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap_or(0))
}

fn none((): ()) -> Touched {
    Vec::new()
}

fn pairs(values: &BTreeMap<String, Option<String>>) -> Vec<(&str, Option<&str>)> {
    values.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
}
