//! Output of the commands. Whoever reads it may have seen enough, as `head` has: that is no error.

use std::io::{ErrorKind, Write};

/// Columns of the narrowest terminal that people use.
pub(crate) const WIDTH: usize = 80;

/// Prints a report on stdout.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let printed = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = printed
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::error!("the report can't be printed: {error}");
    }
}

/// Prints what is no part of a report, on stderr.
pub(crate) fn say(text: &str) {
    // There is no place left to tell of a failure.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `true`: nobody wants codes for colours, as `NO_COLOR` says (<https://no-color.org>).
pub(crate) fn is_colorless() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Splits a line at its spaces. A command between backticks is one word, so that a copy of it works; so is what stands
/// beside it without a space.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let (mut words, mut begin, mut is_quoted) = (Vec::new(), 0, false);
    for (place, letter) in line.char_indices() {
        if letter == '`' {
            is_quoted = !is_quoted && line[place + 1..].contains('`');
        } else if letter.is_whitespace() && !is_quoted {
            words.push(&line[begin..place]);
            begin = place + letter.len_utf8();
        }
    }
    words.push(&line[begin..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Returns a line as several that fit, the further ones behind `indent` spaces. A longer word stays whole, and so does a
/// command between backticks.
pub(crate) fn wrapped(line: &str, indent: usize) -> String {
    let begin = &line[..line.len() - line.trim_start().len()];
    let (mut text, mut columns, mut is_first) = (begin.to_owned(), begin.len(), true);
    for word in words(line) {
        let width = word.chars().count();
        if !is_first && columns + 1 + width > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            columns = indent;
        } else if !is_first {
            text.push(' ');
            columns += 1;
        }
        text.push_str(word);
        (columns, is_first) = (columns + width, false);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stays_on_one_line() {
        let command = format!("`hubspot-source sync --collections {} --adopt`", "deals,".repeat(12));
        for before in ["", "word ", &"word ".repeat(14)] {
            let text = wrapped(&format!("{before}run {command}, and then `doctor`, it's well"), 4);
            assert!(text.contains(&format!("{command},")), "{text}");
            assert!(text.lines().all(|line| line.len() <= WIDTH || line.trim().starts_with('`')), "{text}");
        }
        let open = wrapped(&format!("a ` that has no end: {}", "some words ".repeat(20)), 2);
        assert!(open.lines().all(|line| line.len() <= WIDTH), "{open}");
    }

    #[test]
    fn lines_fit_and_lose_no_word() {
        let line = format!("  contacts: {} end", "some words ".repeat(20));
        let text = wrapped(&line, 4);
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(text.starts_with("  contacts: some") && text.contains("\n    some words"), "{text}");
        assert_eq!(text.split_whitespace().count(), line.split_whitespace().count());
        assert_eq!(wrapped("short", 2), "short");
        assert_eq!(wrapped(&"x".repeat(90), 2).len(), 90);
    }
}
