//! The tables that Fivetran's dbt package `dbt_hubspot` reads (from version 1.7.2 on), as views over ours. Names and
//! types of their columns are those that its `macros/staging/get_*_columns.sql` name.

mod activities;
mod crm;
mod history;
mod links;
mod marketing;
mod metadata;

use crate::view::View;

/// All of them.
pub fn views() -> impl Iterator<Item = &'static View> {
    [crm::VIEWS, links::VIEWS, activities::VIEWS, history::VIEWS, metadata::VIEWS, marketing::VIEWS]
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::view::Value;

    #[test]
    fn names_are_given_once_and_all_ways_of_a_view_have_the_same_columns() {
        let mut names = BTreeSet::new();
        for view in views() {
            assert!(names.insert(view.name), "{} twice", view.name);
            let columns: Vec<Vec<_>> = view
                .ways
                .iter()
                .map(|way| way.columns.iter().map(|column| (column.name, column.column_type)).collect())
                .collect();
            assert!(columns.windows(2).all(|two| two[0] == two[1]), "{}", view.name);
            let of_first: BTreeSet<_> = columns[0].iter().map(|(name, _)| name).collect();
            assert_eq!(of_first.len(), columns[0].len(), "{}", view.name);
        }
    }

    /// Without a way to know a column's table, a misspelled one would be NULL for ever.
    #[test]
    fn every_column_that_a_view_reads_is_in_the_dictionary() {
        let dictionary: Vec<_> = hubspot::feeds::known()
            .flat_map(|feed| feed.dictionary())
            .chain(hubspot::feeds::shared())
            .collect();
        for view in views() {
            for way in view.ways {
                for part in way.parts {
                    let entry = dictionary.iter().find(|entry| entry.name == part.table);
                    let entry = entry.unwrap_or_else(|| panic!("{} reads {}", view.name, part.table));
                    let has = |name: &str| entry.columns.iter().any(|column| column.name == name);
                    for column in way.columns {
                        match column.value {
                            Value::Of(name)
                            | Value::Not(name)
                            | Value::IsNull(name)
                            | Value::ObjectName(name) => {
                                assert!(has(name), "{}.{} of {}.{name}", view.name, column.name, part.table);
                            }
                            Value::Object(fields) => {
                                assert!(fields.iter().all(|(_, name)| has(name)), "{}", view.name)
                            }
                            Value::Path(names) => {
                                assert!(names.iter().all(|name| has(name)), "{}", view.name)
                            }
                            Value::Property(_) | Value::PropertyOrKind(_) => {
                                assert!(entry.properties.is_some())
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}
