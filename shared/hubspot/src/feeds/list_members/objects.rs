//! The objects whose lists are read.

use std::collections::BTreeSet;

use super::open_members::OpenMembers;
use super::state::{Object, reason};
use super::troubles::Troubles;
use crate::error::Result;
use crate::families::type_id_of;
use crate::feeds::{SHARED, custom_objects, known};

const CONTACTS: &str = "contacts";

impl OpenMembers {
    /// Objects that are wanted, contacts apart; those of the account's own are asked for where some may be among them.
    /// One whose lists were read before, and that is not shown any more, is noted.
    pub(super) async fn objects(&self, troubles: &mut Troubles) -> Result<Vec<Object>> {
        let Some(wanted) = self.session.collections.as_deref() else { return Ok(Vec::new()) };
        let object =
            |name: &str, type_id: &str| Object { collection: name.to_owned(), type_id: type_id.to_owned() };
        let others = wanted.iter().filter(|name| **name != CONTACTS);
        let mut objects: Vec<Object> =
            others.filter_map(|name| Some(object(name, type_id_of(name)?))).collect();
        let tables: BTreeSet<&str> =
            known().flat_map(|feed| feed.collections()).chain(SHARED).copied().collect();
        if wanted.iter().any(|name| !tables.contains(name)) {
            match custom_objects(&self.session.client).await {
                Ok(custom) => {
                    let custom = custom.type_ids.iter().filter(|(name, _)| wanted.contains(*name));
                    objects.extend(custom.map(|(name, type_id)| object(name, type_id)));
                }
                Err(refused) if refused.is_unavailable() => {
                    troubles.lacking.insert("lists of custom objects".to_owned(), reason(&refused));
                }
                Err(failed) if failed.may_be_useless() => {
                    troubles.failed.insert("lists of custom objects".to_owned(), reason(&failed));
                }
                Err(failed) => return Err(failed),
            }
        }
        let is_there = |name: &str| objects.iter().any(|object| object.collection == name);
        for name in self.known.keys().filter(|name| wanted.contains(name.as_str()) && !is_there(name)) {
            let reason = "HubSpot does not show this object any more".to_owned();
            troubles.failed.insert(format!("lists of {name}"), reason);
        }
        Ok(objects)
    }
}
