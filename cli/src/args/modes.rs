//! Names of tables that are kept otherwise than most: without their deleted rows, or with a history.

use anyhow::{anyhow, bail};
use load::Modes;

use crate::alike::did_you_mean;

/// Returns the tables whose deleted rows are removed, and those with a history.
///
/// # Errors
/// For a name that is none of the selected, and for a history of what is read in sets.
pub(crate) fn modes(
    selected: &[&'static str],
    hard_delete: &[String],
    history: &[String],
) -> anyhow::Result<Modes> {
    let by_name = hard_delete.iter().filter(|name| *name != load::ALL).chain(history);
    let unknown = by_name.filter(|name| !selected.contains(&name.as_str()));
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    if !unknown.is_empty() {
        let quoted: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
        let meant = did_you_mean(&unknown, selected);
        bail!("unknown collection {}: {meant}use some of {}", quoted.join(", "), selected.join(", "));
    }
    let modes = Modes { hard_delete: hard_delete.to_vec(), history: history.to_vec() };
    let in_sets = hubspot::feeds::known()
        .flat_map(|feed| feed.dictionary())
        .chain(hubspot::feeds::shared())
        .filter(|collection| !collection.set_key.is_empty());
    let in_sets: Vec<&str> = in_sets.map(|collection| collection.name).collect();
    modes.check(&in_sets).map_err(|why| anyhow!("--history can't be used: {why}"))?;
    Ok(modes)
}

#[cfg(test)]
mod tests {
    use hubspot::feeds::{SHARED, known, shared};

    use super::*;

    fn with_history(names: &[&str]) -> anyhow::Result<Modes> {
        let all: Vec<&'static str> =
            known().flat_map(|feed| feed.collections()).chain(SHARED).copied().collect();
        modes(&all, &[], &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_history_is_refused_of_what_is_read_in_sets_and_of_nothing_else() {
        for collection in known().flat_map(|feed| feed.dictionary()).chain(shared()) {
            let modes = with_history(&[collection.name]);
            assert_eq!(modes.is_err(), !collection.set_key.is_empty(), "{}: {modes:?}", collection.name);
        }
        let refused = with_history(&["contacts", "contact_identities"]).unwrap_err().to_string();
        assert!(refused.starts_with("--history can't be used: contact_identities can't have"), "{refused}");
        assert!(refused.contains("leave it out"), "{refused}");
    }

    #[test]
    fn a_name_that_is_not_selected_is_refused() {
        let refused = modes(&["deals"], &["all".to_owned(), "notes".to_owned()], &[]).unwrap_err();
        assert_eq!(refused.to_string(), "unknown collection \"notes\": use some of deals");
    }
}
