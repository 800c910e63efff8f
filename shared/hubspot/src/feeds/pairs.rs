//! Pairs of objects whose associations are read, each in one direction: from the object whose records have few links to
//! the one whose records have many. A company has thousands of deals, a deal has few companies.

use std::fmt;
use std::sync::Arc;

/// An object whose associations may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociatedObject {
    /// Its collection, which is its name in tables.
    pub collection: &'static str,
    /// HubSpot's name in paths, or its `objectTypeId`.
    pub path: &'static str,
}

/// The objects among which associations are read: those whose collections somebody wants.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AssociatedObjects(Arc<[AssociatedObject]>);

impl fmt::Debug for AssociatedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|object| object.collection)).finish()
    }
}

impl FromIterator<AssociatedObject> for AssociatedObjects {
    fn from_iter<I: IntoIterator<Item = AssociatedObject>>(objects: I) -> AssociatedObjects {
        AssociatedObjects(objects.into_iter().collect())
    }
}

impl AssociatedObjects {
    /// The objects at the other end of the pairs that are read from this one, in the order of their rank.
    pub(super) fn paired_with(&self, collection: &str) -> Vec<AssociatedObject> {
        let from = Rank::of(collection);
        let mut others: Vec<(Rank, AssociatedObject)> =
            self.0.iter().map(|other| (Rank::of(other.collection), *other)).collect();
        others.retain(|(rank, other)| from.reads(collection, *rank, other.collection));
        others.sort_unstable_by_key(|(rank, other)| (*rank, other.collection));
        others.into_iter().map(|(_, other)| other).collect()
    }
}

/// Place of an object among others. Of a pair, the one with the lower rank is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Custom,
    Activity,
    Survey,
    Item,
    Commerce,
    /// What people work on before and after a deal.
    Work,
    Ticket,
    Deal,
    Contact,
    Company,
    /// It is linked with nothing.
    Alone,
}

impl Rank {
    fn of(collection: &str) -> Rank {
        match collection {
            "companies" => Rank::Company,
            "contacts" => Rank::Contact,
            "deals" => Rank::Deal,
            "tickets" => Rank::Ticket,
            "leads" | "services" | "courses" | "listings" | "appointments" | "projects" => Rank::Work,
            "orders" | "carts" | "invoices" | "commerce_payments" | "commerce_subscriptions" | "quotes" => {
                Rank::Commerce
            }
            "line_items" | "discounts" | "fees" | "taxes" => Rank::Item,
            "feedback_submissions" => Rank::Survey,
            "calls" | "emails" | "meetings" | "notes" | "tasks" | "communications" | "postal_mail" => {
                Rank::Activity
            }
            "products" | "goals" | "users" => Rank::Alone,
            _ => Rank::Custom,
        }
    }

    fn is_person_or_deal(self) -> bool {
        matches!(self, Rank::Ticket | Rank::Deal | Rank::Contact | Rank::Company)
    }

    /// `true`: HubSpot links records of the two, and they are read from this side.
    ///
    /// Which objects it links is in
    /// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>.
    fn reads(self, name: &str, other: Rank, other_name: &str) -> bool {
        use Rank::{Activity, Alone, Commerce, Custom, Deal, Item, Survey, Work};
        if (self, name) > (other, other_name) {
            return false;
        }
        match (self, other) {
            (Alone, _) | (_, Alone) => false,
            (Custom, Item) => other_name == "line_items",
            (Custom, Survey) => false,
            (Custom, _) => true,
            (Activity, Work | Commerce) => true,
            (Activity | Survey, _) => other.is_person_or_deal(),
            (Item, Item) => name != other_name && [name, other_name].contains(&"line_items"),
            (Item, _) => matches!(other, Commerce | Deal),
            (Commerce | Work, Commerce | Work) => name != other_name,
            (Commerce | Work, _) => other.is_person_or_deal(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::known;
    use super::*;

    fn objects() -> AssociatedObjects {
        let mut all: Vec<AssociatedObject> = known().filter_map(|feed| feed.object()).collect();
        all.extend(
            [("boats", "2-7"), ("cars", "2-9")]
                .map(|(collection, path)| AssociatedObject { collection, path }),
        );
        AssociatedObjects(all.into())
    }

    fn others(collection: &str) -> Vec<&'static str> {
        objects().paired_with(collection).into_iter().map(|other| other.collection).collect()
    }

    #[test]
    fn a_pair_is_read_from_the_side_with_few_links() {
        assert_eq!(others("companies"), ["companies"]);
        assert_eq!(others("contacts"), ["contacts", "companies"]);
        assert_eq!(others("deals"), ["deals", "contacts", "companies"]);
        assert_eq!(others("tickets"), ["tickets", "deals", "contacts", "companies"]);
        assert!(
            ["deals", "invoices", "discounts"]
                .iter()
                .all(|name| others("line_items").contains(name) || others(name).contains(&"line_items"))
        );
        for from in ["notes", "cars"] {
            let others = others(from);
            assert!(["tickets", "deals", "contacts", "companies"].iter().all(|name| others.contains(name)));
        }
        assert!(others("cars").contains(&"cars") && others("cars").contains(&"notes"));
        assert!(others("products").is_empty() && others("users").is_empty());
    }

    #[test]
    fn each_pair_is_read_once() {
        let all: Vec<&str> = objects().0.iter().map(|object| object.collection).collect();
        for one in &all {
            for other in &all {
                let both = others(one).contains(other) && others(other).contains(one);
                assert!(!both || one == other, "{one} and {other}");
            }
        }
        assert!(others("boats").contains(&"cars") && !others("cars").contains(&"boats"));
    }

    #[test]
    fn only_what_is_wanted_is_paired() {
        let few = known().filter(|feed| ["deals", "contacts"].contains(&feed.name()));
        let few: AssociatedObjects = few.filter_map(|feed| feed.object()).collect();
        let others = few.paired_with("deals");
        assert_eq!(others.iter().map(|other| other.collection).collect::<Vec<_>>(), ["deals", "contacts"]);
    }
}
