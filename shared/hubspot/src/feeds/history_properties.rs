//! The properties whose history is read, by object: as somebody lists them, or by default those that nearly every report
//! on the past asks for. Never all: one company's deals have 888 million past values of 894 properties.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Those that are read if nobody lists any, as far as the account defines them.
const BY_DEFAULT: [(&str, &[&str]); 5] = [
    ("contacts", &["hs_lead_status", "hubspot_owner_id", "lifecyclestage"]),
    ("companies", &["hs_lead_status", "hubspot_owner_id", "lifecyclestage"]),
    ("deals", &["amount", "closedate", "dealstage", "hubspot_owner_id", "pipeline"]),
    ("tickets", &["hs_pipeline", "hs_pipeline_stage", "hubspot_owner_id"]),
    ("leads", &["hs_pipeline", "hs_pipeline_stage", "hubspot_owner_id"]),
];

/// Properties by the collection of their object. As text: `deals:dealstage,amount;contacts:lifecyclestage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryProperties {
    by_collection: Arc<BTreeMap<String, BTreeSet<String>>>,
    is_default: bool,
}

impl Default for HistoryProperties {
    fn default() -> HistoryProperties {
        let list = |properties: &[&str]| properties.iter().map(|&name| name.to_owned()).collect();
        let by_collection =
            BY_DEFAULT.iter().map(|(object, properties)| ((*object).to_owned(), list(properties)));
        HistoryProperties { by_collection: Arc::new(by_collection.collect()), is_default: true }
    }
}

impl HistoryProperties {
    /// Those of one object, in the order of their names.
    pub fn of(&self, collection: &str) -> impl Iterator<Item = &str> {
        self.by_collection.get(collection).into_iter().flatten().map(String::as_str)
    }

    /// Objects, by their collections, that somebody has listed; none by default.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        self.by_collection.keys().filter(|_| !self.is_default).map(String::as_str)
    }

    /// `true`: nobody has listed any.
    pub fn is_default(&self) -> bool {
        self.is_default
    }
}

/// A list of properties that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddList(String);

impl fmt::Display for OddList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: list properties as in \"deals:dealstage,amount;contacts:lifecyclestage\"", self.0)
    }
}

impl std::error::Error for OddList {}

impl FromStr for HistoryProperties {
    type Err = OddList;

    fn from_str(text: &str) -> Result<HistoryProperties, OddList> {
        let mut by_collection: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((object, list)) = part.split_once(':') else {
                return Err(OddList(format!("{part:?} names no object, or no property")));
            };
            let (object, list) = (object.trim(), list.split(',').map(str::trim));
            if object.is_empty() || list.clone().any(str::is_empty) {
                return Err(OddList(format!("a name is missing in {part:?}")));
            }
            if list.clone().any(|name| ["*", "all"].contains(&name)) {
                return Err(OddList(format!("the history of all properties of {object} is never read")));
            }
            by_collection.entry(object.to_owned()).or_default().extend(list.map(str::to_owned));
        }
        if by_collection.is_empty() {
            return Err(OddList("no property is listed".to_owned()));
        }
        Ok(HistoryProperties { by_collection: Arc::new(by_collection), is_default: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &HistoryProperties, object: &str) -> Vec<String> {
        list.of(object).map(str::to_owned).collect()
    }

    #[test]
    fn properties_are_listed_by_object() {
        let list: HistoryProperties =
            " deals : dealstage , amount; contacts:lifecyclestage;deals:amount;".parse().unwrap();
        assert_eq!(of(&list, "deals"), ["amount", "dealstage"]);
        assert_eq!(of(&list, "contacts"), ["lifecyclestage"]);
        assert!(of(&list, "companies").is_empty());
        assert_eq!(list.listed().collect::<Vec<_>>(), ["contacts", "deals"]);
        let list = HistoryProperties::default();
        assert!(of(&list, "deals").contains(&"dealstage".to_owned()));
        assert_eq!(list.listed().count(), 0);
    }

    #[test]
    fn a_list_that_is_none_says_how_one_looks() {
        for odd in ["", ";", "deals", "deals:", ":amount", "deals:amount,,dealstage", "deals:*", "deals:all"]
        {
            let error = odd.parse::<HistoryProperties>().unwrap_err().to_string();
            assert!(error.ends_with("\"deals:dealstage,amount;contacts:lifecyclestage\""), "{odd}: {error}");
        }
    }
}
