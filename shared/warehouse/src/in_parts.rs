//! A text over many columns. Where an expression has no room for all of them, its parts are columns of a subquery.

use crate::dialect::{Dialect, quote_identifier};

/// An expression, and the columns of a subquery that it reads, if it is in parts.
#[derive(Debug)]
pub(crate) struct InParts {
    pub(crate) text: String,
    parts: Vec<(String, String)>,
}

impl InParts {
    pub(crate) fn whole(text: String) -> InParts {
        InParts { text, parts: Vec::new() }
    }

    /// `parts` are in a subquery `alias`, in columns whose names begin with `name`. `text` makes one of them.
    pub(crate) fn new(
        alias: &str,
        name: &str,
        parts: Vec<String>,
        text: impl Fn(&[String]) -> String,
    ) -> InParts {
        let named = |(n, part)| (quote_identifier(&format!("_{name}_{n}")), part);
        let parts: Vec<(String, String)> = parts.into_iter().enumerate().map(named).collect();
        // Trino puts a part into the place where it is read, unless it is read twice:
        // https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/sql/planner/iterative/rule/InlineProjections.java
        let read = |(name, _): &(String, String)| {
            format!("CASE WHEN {alias}.{name} IS NULL THEN '' ELSE {alias}.{name} END")
        };
        InParts { text: text(&parts.iter().map(read).collect::<Vec<_>>()), parts }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the parts as they are selected.
    pub(crate) fn columns(&self) -> String {
        self.parts.iter().map(|(name, part)| format!("{part} AS {name}")).collect::<Vec<_>>().join(", ")
    }

    /// Returns the rows of `from`, which are called `alias` there, with the parts.
    pub(crate) fn rows(&self, from: &str, alias: &str) -> String {
        match self.is_whole() {
            true => from.to_owned(),
            false => format!("(SELECT {alias}.*, {} FROM {from}) AS {alias}", self.columns()),
        }
    }
}

/// Divides the texts of columns so that an expression has room for each part; `None` if it has room for all of them.
pub(crate) fn divided<'a>(dialect: &Dialect, texts: &'a [String]) -> Option<Vec<&'a [String]>> {
    let most = dialect.small_expressions.as_ref()?.bytes;
    let (mut parts, mut begin, mut taken) = (Vec::new(), 0, 0);
    for (n, text) in texts.iter().enumerate() {
        if n > begin && taken + text.len() > most {
            parts.push(&texts[begin..n]);
            (begin, taken) = (n, 0);
        }
        taken += text.len();
    }
    if begin == 0 {
        return None;
    }
    parts.push(&texts[begin..]);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::athena::ATHENA;
    use crate::postgres::POSTGRES;

    #[test]
    fn parts_have_all_texts_and_room_for_them() {
        let texts: Vec<String> =
            (0..300).map(|n| "x".repeat(n % 50 + 1)).chain(["x".repeat(5_000)]).collect();
        let parts = divided(&ATHENA, &texts).unwrap();
        assert_eq!(parts.concat(), texts);
        let bytes: Vec<usize> = parts.iter().map(|part| part.iter().map(String::len).sum()).collect();
        assert!(
            parts.iter().zip(&bytes).all(|(part, bytes)| *bytes <= 2_000 || part.len() == 1),
            "{bytes:?}"
        );
        assert!(bytes.windows(2).all(|two| two[0] + two[1] > 2_000), "{bytes:?}");
        assert!(divided(&ATHENA, &texts[..70]).is_none());
        assert!(divided(&POSTGRES, &texts).is_none());
    }

    #[test]
    fn each_part_is_read_twice() {
        let parts = InParts::new("s", "x", vec!["a".to_owned(), "b".to_owned()], |parts| parts.join(" || "));
        assert_eq!(parts.rows("t AS s", "s"), "(SELECT s.*, a AS \"_x_0\", b AS \"_x_1\" FROM t AS s) AS s");
        for name in ["s.\"_x_0\"", "s.\"_x_1\""] {
            assert_eq!(parts.text.matches(name).count(), 2);
        }
    }
}
