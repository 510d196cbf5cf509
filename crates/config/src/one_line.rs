//! Text of clients on one line. It must not look like a second line, move the cursor of a terminal, or reverse the order
//! in which the line is read.

use std::borrow::Cow;

/// Escapes control characters (C0, DEL, C1), line and paragraph separators and bidirectional overrides:
/// `\n`, `\r`, `\t`, `\u{1b}`. Any other text stays as it is, including backslashes.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |c, _| c.escape_default().to_string())
}

/// Escapes the same characters in a line of JSON, in the notation of JSON: `\u001b`. JSON allows them only inside strings,
/// so the document stays the same.
pub(crate) fn one_line_of_json(json: &str) -> Cow<'_, str> {
    // All of them are in the Basic Multilingual Plane, so one \u each is enough.
    escaped(json, |c, _| format!("\\u{:04x}", u32::from(c)))
}

/// Like [`one_line`], but keeps colors and styles (`ESC [ … m`).
pub(crate) fn one_colored_line(text: &str) -> Cow<'_, str> {
    escaped(text, |c, rest| {
        let sequence = rest.strip_prefix("\u{1b}[").map(|rest| rest.trim_start_matches(is_of_style));
        let is_style = sequence.is_some_and(|rest| rest.starts_with('m'));
        if is_style { c.to_string() } else { c.escape_default().to_string() }
    })
}

/// `escape` returns the replacement of a character. It also gets the text that begins with that character.
fn escaped(text: &str, escape: impl Fn(char, &str) -> String) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_escaped(c) { line.push_str(&escape(c, &text[at..])) } else { line.push(c) }
    }
    Cow::Owned(line)
}

fn is_of_style(c: char) -> bool {
    c.is_ascii_digit() || c == ';'
}

fn is_escaped(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nb\r\t\0\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}z";

    #[test]
    fn characters_that_break_or_reverse_a_line_are_escaped() {
        let line = r"a\nb\r\t\u{0}\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}z";
        assert_eq!(one_line(HOSTILE), line);
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in ["", r"C:\new", "後で é 🦀 \u{200d}", "\u{a0}"] {
            assert!(matches!(one_line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn json_stays_the_same_document() {
        let escaped = one_line_of_json("{\"message\":\"a\u{7f}\u{85}\u{2028}\u{202e}é\"}").into_owned();
        assert_eq!(escaped, r#"{"message":"a\u007f\u0085\u2028\u202eé"}"#);
    }

    #[test]
    fn terminal_styles_stay_and_other_sequences_are_escaped() {
        let text = "\u{1b}[2m10:00\u{1b}[0m \u{1b}[38;5;1mx\u{1b}[0m \u{1b}[2J\u{1b}]0;t\u{7}\n\u{1b}[3";
        let line = "\u{1b}[2m10:00\u{1b}[0m \u{1b}[38;5;1mx\u{1b}[0m \\u{1b}[2J\\u{1b}]0;t\\u{7}\\n\\u{1b}[3";
        assert_eq!(one_colored_line(text), line);
    }
}
