//! Links between records, kept in both directions. A link can be the primary one of its record, and can carry a label
//! of the account's own besides HubSpot's.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::association_types::OwnLabel;
use crate::ObjectType;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) to: u64,
    /// `true`: the company is the deal's (or contact's) primary one. It is set on both directions of the link.
    pub(crate) is_primary: bool,
    pub(crate) is_decision_maker: bool,
}

/// Label of a link, besides HubSpot's unlabeled type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    #[default]
    Unlabeled,
    /// Between a company and a deal or contact: at most one company of a record is primary.
    Primary,
    /// A label that the account made itself.
    DecisionMaker,
}

#[derive(Debug, Default)]
pub(crate) struct Associations {
    links: HashMap<(ObjectType, ObjectType), HashMap<u64, Vec<Link>>>,
    pub(super) own_label: OwnLabel,
}

impl Associations {
    /// Returns the links of a record, ascending by id.
    pub(crate) fn of(&self, from: ObjectType, id: u64, to: ObjectType) -> &[Link] {
        self.links.get(&(from, to)).and_then(|links| links.get(&id)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn link(&mut self, from: (ObjectType, u64), to: (ObjectType, u64), label: Label) {
        let holder = if to.0 == ObjectType::Companies { (from, to.0) } else { (to, from.0) };
        if label == Label::Primary {
            self.demote_primary(holder.0, holder.1);
        }
        self.put(from, to, label);
        self.put(to, from, label);
    }

    /// Removes a link. Returns `true` if there was one.
    pub(crate) fn unlink(&mut self, from: (ObjectType, u64), to: (ObjectType, u64)) -> bool {
        self.take(to, from);
        self.take(from, to)
    }

    pub(crate) fn forget(&mut self, object: ObjectType, id: u64) {
        for other in self.types_beside(object) {
            for link in self.of(object, id, other).to_vec() {
                self.unlink((object, id), (other, link.to));
            }
        }
    }

    /// Gives all links of `old` to `new`; a link that `new` has already stays as it is.
    pub(crate) fn hand_over(&mut self, object: ObjectType, old: u64, new: u64) {
        for other in self.types_beside(object) {
            for link in self.of(object, old, other).to_vec() {
                self.unlink((object, old), (other, link.to));
                if (object, new) == (other, link.to) {
                    continue;
                }
                let links = self.of(object, new, other);
                let is_known = links.iter().any(|known| known.to == link.to);
                let has_primary = links.iter().any(|known| known.is_primary);
                if !is_known {
                    let label = match link {
                        Link { is_primary: true, .. } if !has_primary => Label::Primary,
                        Link { is_decision_maker: true, .. } => Label::DecisionMaker,
                        _ => Label::Unlabeled,
                    };
                    self.link((object, new), (other, link.to), label);
                }
            }
        }
    }

    /// Types that some record of this one is linked with, in their order.
    fn types_beside(&self, object: ObjectType) -> BTreeSet<ObjectType> {
        self.links.keys().filter(|(from, _)| *from == object).map(|(_, to)| *to).collect()
    }

    fn demote_primary(&mut self, of: (ObjectType, u64), to: ObjectType) {
        let Some(links) = self.links.get_mut(&(of.0, to)).and_then(|links| links.get_mut(&of.1)) else {
            return;
        };
        let Some(link) = links.iter_mut().find(|link| link.is_primary) else { return };
        link.is_primary = false;
        let other = link.to;
        let back = self.links.get_mut(&(to, of.0)).and_then(|links| links.get_mut(&other));
        for link in back.into_iter().flatten().filter(|link| link.to == of.1) {
            link.is_primary = false;
        }
    }

    fn put(&mut self, from: (ObjectType, u64), to: (ObjectType, u64), label: Label) {
        let links = self.links.entry((from.0, to.0)).or_default().entry(from.1).or_default();
        let place = match links.binary_search_by_key(&to.1, |link| link.to) {
            Ok(place) => place,
            Err(place) => {
                links.insert(place, Link { to: to.1, is_primary: false, is_decision_maker: false });
                place
            }
        };
        links[place].is_primary |= label == Label::Primary;
        links[place].is_decision_maker |= label == Label::DecisionMaker;
    }

    fn take(&mut self, from: (ObjectType, u64), to: (ObjectType, u64)) -> bool {
        let Some(links) = self.links.get_mut(&(from.0, to.0)).and_then(|links| links.get_mut(&from.1)) else {
            return false;
        };
        let found = links.binary_search_by_key(&to.1, |link| link.to);
        if let Ok(place) = found {
            links.remove(place);
        }
        found.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAL: (ObjectType, u64) = (ObjectType::Deals, 9);

    fn company(id: u64) -> (ObjectType, u64) {
        (ObjectType::Companies, id)
    }

    #[test]
    fn a_deal_has_one_primary_company() {
        let mut associations = Associations::default();
        associations.link(DEAL, company(2), Label::Primary);
        associations.link(company(1), DEAL, Label::Primary);
        let primary = |object, id, to| -> Vec<_> {
            associations.of(object, id, to).iter().map(|link| (link.to, link.is_primary)).collect()
        };
        assert_eq!(primary(ObjectType::Deals, 9, ObjectType::Companies), [(1, true), (2, false)]);
        assert_eq!(primary(ObjectType::Companies, 2, ObjectType::Deals), [(9, false)]);
    }

    #[test]
    fn links_go_over_once() {
        let mut associations = Associations::default();
        associations.link(DEAL, company(1), Label::Primary);
        associations.link(DEAL, company(2), Label::Unlabeled);
        associations.link((ObjectType::Deals, 8), company(2), Label::Primary);
        associations.hand_over(ObjectType::Deals, 9, 8);
        assert_eq!(associations.of(ObjectType::Deals, 9, ObjectType::Companies), []);
        let links = associations.of(ObjectType::Deals, 8, ObjectType::Companies);
        assert_eq!(
            links.iter().map(|link| (link.to, link.is_primary)).collect::<Vec<_>>(),
            [(1, false), (2, true)]
        );
    }
}
