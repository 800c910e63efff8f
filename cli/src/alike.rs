//! Names that somebody may have meant by an unknown one.

/// Likeness from which a name is taken for the one that was meant.
const ALIKE: f64 = 0.8;

/// Returns the known name that an unknown one was meant for.
pub(crate) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let alike = known.map(|known| (strsim::jaro_winkler(&name, known), known));
    let best = alike.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, known)| known)
}

/// Asks for the names that some unknown ones were meant for, in front of a list of all; empty where none is alike.
pub(crate) fn did_you_mean(unknown: &[&str], known: &[&str]) -> String {
    let meant: Vec<&str> = unknown.iter().filter_map(|name| meant(name, known.iter().copied())).collect();
    if meant.is_empty() { String::new() } else { format!("did you mean {}? Or ", meant.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_known_and_a_strange_word_is_not() {
        let known = ["contacts", "companies", "deals"];
        assert_eq!(meant("Contcats", known.into_iter()), Some("contacts"));
        assert_eq!(meant("tickets", known.into_iter()), None);
        assert_eq!(did_you_mean(&["deal", "xyz"], &known), "did you mean deals? Or ");
        assert_eq!(did_you_mean(&["xyz"], &known), "");
    }
}
