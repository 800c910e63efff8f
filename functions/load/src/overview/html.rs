//! HTML as it is written: fixed markup, and text from elsewhere that is escaped.

use std::fmt::{Display, Write};

/// A document under way. Markup is part of this program; whatever comes from data goes through [`Html::text`].
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Adds text, for the content of an element or the quoted value of an attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Html {
        // A String takes whatever it is given.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// Adds an element without attributes.
    pub(super) fn element(
        &mut self,
        open: &'static str,
        text: impl Display,
        close: &'static str,
    ) -> &mut Html {
        self.markup(open).text(text).markup(close)
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // HTML has no place for these.
                '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f' => self.0.push('\u{fffd}'),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.element("<p title=\"", "a\" onload='x'", "\">").element("", "</p><script>1 & 2\0", "</p>");
        assert_eq!(
            html.into_text(),
            "<p title=\"a&quot; onload=&#39;x&#39;\">&lt;/p&gt;&lt;script&gt;1 &amp; 2\u{fffd}</p>"
        );
    }
}
