//! Types of links between two objects: an id within a category, and a label, each for one direction.

use super::associations::Link;
use super::{Account, State};
use crate::ObjectType;

const USER_DEFINED: &str = "USER_DEFINED";

/// One type of a link, with its label.
pub(crate) struct LabelName {
    pub(crate) category: &'static str,
    /// Unique within its category.
    pub(crate) type_id: u16,
    pub(crate) label: Option<&'static str>,
    /// The type's name in lists of records.
    pub(crate) name: String,
}

/// The account's own label: its name in one direction, and in the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnLabel(pub(super) [&'static str; 2]);

impl Default for OwnLabel {
    fn default() -> OwnLabel {
        OwnLabel(["Decision maker", "Decided by"])
    }
}

impl State {
    /// Returns the types of a link: the unlabeled one, that of a primary company, and the account's own label.
    pub(crate) fn labels(
        &self,
        from: ObjectType,
        to: ObjectType,
        link: &Link,
    ) -> impl Iterator<Item = LabelName> + use<> {
        let (is_primary, is_decision_maker) = (link.is_primary, link.is_decision_maker);
        self.label_names(from, to).filter(move |label| match (label.category, label.label) {
            (USER_DEFINED, _) => is_decision_maker,
            (_, Some(_)) => is_primary,
            (_, None) => true,
        })
    }

    /// Returns all types between two objects, in this direction.
    pub(crate) fn label_names(
        &self,
        from: ObjectType,
        to: ObjectType,
    ) -> impl Iterator<Item = LabelName> + use<> {
        label_names(from, to, self.associations.own_label)
    }
}

impl Account {
    /// Renames the account's own label in both directions; its ids stay, and so do the records.
    pub fn rename_label(&self, names: [&'static str; 2]) {
        self.write().associations.own_label = OwnLabel(names);
    }

    /// Returns the category, the id and the label of each type between two objects, in this direction.
    pub fn truth_link_types(
        &self,
        from: ObjectType,
        to: ObjectType,
    ) -> Vec<(&'static str, u16, Option<&'static str>)> {
        let names = self.read().label_names(from, to);
        names.map(|label| (label.category, label.type_id, label.label)).collect()
    }
}

fn label_names(from: ObjectType, to: ObjectType, own: OwnLabel) -> impl Iterator<Item = LabelName> + use<> {
    let (primary, unlabeled) = type_ids(from, to);
    let pair = format!("{}_to_{}", from.singular(), to.singular());
    let hubspot = |type_id, label, name| LabelName { category: "HUBSPOT_DEFINED", type_id, label, name };
    let primary_label = primary.map(|type_id| hubspot(type_id, Some("Primary"), pair.clone()));
    let unlabeled_name = if primary.is_some() { format!("{pair}_unlabeled") } else { pair };
    // A label of two names, one for each direction. Its ids are those of other types in HubSpot's category.
    let OwnLabel([one, other]) = own;
    let (type_id, label) = if from > to { (2, other) } else { (1, one) };
    let (label, name) = (Some(label), "decision_maker".to_owned());
    let own = LabelName { category: USER_DEFINED, type_id, label, name };
    primary_label.into_iter().chain([hubspot(unlabeled, None, unlabeled_name), own])
}

/// Returns the id of the unlabeled type between other types: HubSpot's, where it is known, or one made up.
fn further_type_id(from: ObjectType, to: ObjectType) -> u16 {
    use ObjectType::{
        Calls, Communications, Companies, Contacts, Deals, Emails, LineItems, Meetings, Notes, Quotes, Tasks,
        Tickets,
    };
    // developers.hubspot.com/docs/guides/api/crm/associations/associations-v4#association-type-id-values
    match (from, to) {
        (Deals, Calls) => 205,
        (Deals, Emails) => 209,
        (Deals, Meetings) => 211,
        (Deals, Notes) => 213,
        (Deals, Tasks) => 215,
        (Deals, Communications) => 86,
        (Deals, LineItems) => 19,
        (Deals, Quotes) => 63,
        (Deals, Tickets) => 27,
        (LineItems, Deals) => 20,
        (Contacts, Calls) => 193,
        (Calls, Contacts) => 194,
        (Contacts, Emails) => 197,
        (Emails, Contacts) => 198,
        (Contacts, Meetings) => 199,
        (Meetings, Contacts) => 200,
        (Contacts, Notes) => 201,
        (Notes, Contacts) => 202,
        (Contacts, Tasks) => 203,
        (Tasks, Contacts) => 204,
        (Companies, Calls) => 181,
        (Companies, Emails) => 185,
        (Companies, Meetings) => 187,
        (Companies, Notes) => 189,
        (Companies, Tasks) => 191,
        _ => 1_000 + from as u16 * 64 + to as u16,
    }
}

/// Returns HubSpot's ids of the primary and of the unlabeled type.
fn type_ids(from: ObjectType, to: ObjectType) -> (Option<u16>, u16) {
    use ObjectType::{Companies, Contacts, Deals};
    match (from, to) {
        (Contacts, Companies) => (Some(1), 279),
        (Companies, Contacts) => (Some(2), 280),
        (Deals, Contacts) => (None, 3),
        (Contacts, Deals) => (None, 4),
        (Deals, Companies) => (Some(5), 341),
        (Companies, Deals) => (Some(6), 342),
        (Contacts, Contacts) => (None, 449),
        (Companies, Companies) => (None, 450),
        (Deals, Deals) => (None, 451),
        _ => (None, further_type_id(from, to)),
    }
}
