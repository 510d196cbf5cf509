//! Colors of words in tables. Text is marked with characters of no width while a table is laid out, and the marks become
//! escape codes at the end. Whether a terminal gets them is decided where it is written.

use anstyle::{AnsiColor, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Title,
    Good,
    Busy,
    Warning,
    Bad,
}

/// Variation selectors that no font uses.
const FIRST_MARK: u32 = 0xE0150;
const END: char = '\u{E0160}';

const TONES: [Tone; 6] = [Tone::Plain, Tone::Title, Tone::Good, Tone::Busy, Tone::Warning, Tone::Bad];

impl Tone {
    /// The tone of a state of a job or a worker.
    pub(crate) fn of_state(state: &str) -> Self {
        match state {
            "completed" | "running" => Tone::Good,
            "active" => Tone::Busy,
            "cancelled" | "quiet" | "stopping" => Tone::Warning,
            "dead" => Tone::Bad,
            _ => Tone::Plain,
        }
    }

    pub(crate) fn mark(self, text: &str) -> String {
        match char::from_u32(FIRST_MARK + self as u32) {
            Some(mark) if self != Tone::Plain && !text.is_empty() => format!("{mark}{text}{END}"),
            _ => text.to_owned(),
        }
    }

    fn style(self) -> Style {
        match self {
            Tone::Plain => Style::new(),
            Tone::Title => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Busy => AnsiColor::Cyan.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
        }
    }
}

/// The text with escape codes in the place of marks.
pub(crate) fn with_colors(text: &str) -> String {
    let mut colored = String::with_capacity(text.len());
    for character in text.chars() {
        match tone_of(character) {
            Some(tone) => colored.push_str(&tone.style().render().to_string()),
            None if character == END => colored.push_str(&anstyle::Reset.render().to_string()),
            None => colored.push(character),
        }
    }
    colored
}

/// The text without marks.
pub(crate) fn without_colors(text: &str) -> String {
    text.chars().filter(|character| !is_mark(*character)).collect()
}

/// Characters that take a place.
pub(crate) fn width(text: &str) -> usize {
    text.chars().filter(|character| !is_mark(*character)).count()
}

fn is_mark(character: char) -> bool {
    character == END || tone_of(character).is_some()
}

fn tone_of(character: char) -> Option<Tone> {
    (character as u32).checked_sub(FIRST_MARK).and_then(|n| TONES.get(n as usize)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_escape_codes_or_nothing() {
        let text = format!("{} and {}", Tone::Bad.mark("dead"), Tone::Plain.mark("ready"));
        assert_eq!(with_colors(&text), "\u{1b}[31mdead\u{1b}[0m and ready");
        assert_eq!(without_colors(&text), "dead and ready");
        assert_eq!(width(&text), 14);
    }
}
