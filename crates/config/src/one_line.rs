//! Text of clients on one line. It must not look like a second line, move the cursor of a terminal, or reverse the order
//! in which the line is read.

use std::borrow::Cow;

/// Escapes control characters (C0, DEL, C1), line and paragraph separators and bidirectional overrides:
/// `\n`, `\r`, `\t`, `\u{1b}`. Any other text stays as it is, including backslashes.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    Cow::Owned(line)
}

/// Escapes the same characters in a line of JSON, in the notation of JSON: `\u001b`. JSON allows them only inside strings,
/// so the document stays the same.
pub(crate) fn one_line_of_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    // All of them are in the Basic Multilingual Plane, so one \u each is enough.
    let escape = |c: char| if is_escaped(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(json.chars().map(escape).collect())
}

/// Like [`one_line`], but keeps colours and styles (`ESC [ … m`).
pub(crate) fn one_coloured_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        line.push_str(&one_line(before));
        let parameters = sequence[2..].find(|c: char| !c.is_ascii_digit() && c != ';').map(|end| end + 2);
        let style = parameters.filter(|end| sequence[*end..].starts_with('m')).map(|end| end + 1);
        // An escape sequence that is not a style is escaped together with the text after it.
        let (head, tail) = sequence.split_at(style.unwrap_or(1));
        line.push_str(&if style.is_some() { Cow::Borrowed(head) } else { one_line(head) });
        rest = tail;
    }
    line.push_str(&one_line(rest));
    Cow::Owned(line)
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
        assert_eq!(one_coloured_line(text), line);
    }
}
