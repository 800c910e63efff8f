//! JSON text, written by hand: records are most of what the server sends, and a tree of values per record would make it
//! the slow side of every benchmark.

/// Writes a quoted string. HubSpot sends characters as they are; with `ascii_only` they come as `\uXXXX`, which is the
/// same text to every parser.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str, ascii_only: bool) {
    out.push(b'"');
    let mut rest = text;
    while let Some(place) = rest.bytes().position(|byte| needs_escape(byte, ascii_only)) {
        let (plain, special) = rest.split_at(place);
        out.extend_from_slice(plain.as_bytes());
        let mut characters = special.chars();
        if let Some(character) = characters.next() {
            write_escaped(out, character);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

fn needs_escape(byte: u8, ascii_only: bool) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || (ascii_only && byte >= 0x7f)
}

fn write_escaped(out: &mut Vec<u8>, character: char) {
    let short = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector can't fail.
    let _ = std::io::Write::write_fmt(out, format_args!("{number}"));
}

/// Writes the items with commas between.
pub(crate) fn write_joined<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let torture = "plain \"quoted\" \\ \u{0}\u{1f}\u{7f}\n\r\t\u{8}\u{c} é 北京 😀 \u{2028} end";
        for ascii_only in [false, true] {
            let mut out = Vec::new();
            write_string(&mut out, torture, ascii_only);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), torture);
            assert_eq!(out.is_ascii(), ascii_only);
        }
    }
}
