//! Texts in YAML that dbt reads. HubSpot's words are anybody's: dbt must not take them for its own.

use std::fmt::Write;

/// Returns a text as a YAML scalar on one line. Nothing in it is a template: dbt would run what stands between `{{` and
/// `}}`.
pub(crate) fn scalar(text: &str) -> String {
    let mut scalar = String::from("\"");
    let mut before = ' ';
    for character in text.chars() {
        if before == '{' && matches!(character, '{' | '%' | '#') {
            scalar.push(' ');
        }
        match character {
            '"' => scalar.push_str("\\\""),
            '\\' => scalar.push_str("\\\\"),
            '\n' => scalar.push_str("\\n"),
            // YAML has no place for these, or takes them for the end of a line.
            character if !is_printable(character) => {
                // Writing to a string does not fail.
                let _ = match u32::from(character) {
                    code @ 0..=0xff => write!(scalar, "\\x{code:02x}"),
                    code @ 0x100..=0xffff => write!(scalar, "\\u{code:04x}"),
                    code => write!(scalar, "\\U{code:08x}"),
                };
            }
            character => scalar.push(character),
        }
        before = character;
    }
    scalar.push('"');
    scalar
}

fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_people_are_no_templates() {
        assert_eq!(scalar("{{ env_var('X') }} {% raw %} {# #}"), "\"{ { env_var('X') }} { % raw %} { # #}\"");
        assert_eq!(scalar("{{{"), "\"{ { {\"");
    }

    #[test]
    fn every_text_is_one_scalar_on_one_line() {
        assert_eq!(scalar("a \"b\" \\ c\nd\u{2028}\u{85}\u{7f}é"), r#""a \"b\" \\ c\nd\u2028\x85\x7fé""#);
    }
}
