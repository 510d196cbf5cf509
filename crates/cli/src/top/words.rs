//! Numbers and times in few characters.

use std::time::Duration;

use crate::top::board::FromNow;

/// A number in at most six characters, such as `999999` or `1.23M`.
pub(crate) fn count(n: u64) -> String {
    let (scale, unit) = match n {
        0..1_000_000 => return n.to_string(),
        1_000_000..1_000_000_000 => (1e6, 'M'),
        _ => (1e9, 'G'),
    };
    let n = n as f64 / scale;
    let digits = if n < 10.0 { 2 } else { usize::from(n < 100.0) };
    // Cut, not rounded: 9,999,999 are not yet 10 million.
    let cut = 10f64.powi(digits as i32);
    format!("{:.digits$}{unit}", (n * cut).floor() / cut)
}

/// A length of time in two units.
pub(crate) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if seconds == 0 => format!("{}ms", length.as_millis()),
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => format!("{minutes}m {}s", seconds % 60),
        () if days == 0 => format!("{hours}h {}m", minutes % 60),
        () => format!("{days}d {}h", hours % 24),
    }
}

/// The due time of a job.
pub(crate) fn due(from_now: FromNow) -> String {
    match from_now {
        FromNow::In(time) => format!("in {}", length(time)),
        FromNow::Ago(time) => format!("{} late", length(time)),
    }
}

pub(crate) fn ago(from_now: FromNow) -> String {
    match from_now {
        FromNow::Ago(time) if time >= Duration::from_secs(1) => format!("{} ago", length(time)),
        // The clock of this machine is not exactly that of Redis.
        _ => "now".to_owned(),
    }
}

/// Lines of at most this many characters, broken between words where that is possible.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut rest: Vec<char> = paragraph.chars().collect();
        while rest.len() > width {
            let end = rest[..=width].iter().rposition(|c| *c == ' ').filter(|end| *end > 0);
            let next = rest.split_off(end.unwrap_or(width));
            lines.push(rest.into_iter().collect());
            rest = next.into_iter().skip(usize::from(end.is_some())).collect();
        }
        lines.push(rest.into_iter().collect());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_at_most_six_characters() {
        let numbers = [0, 999_999, 1_000_000, 9_999_999, 12_345_678, 123_456_789, 2_000_000_000];
        let texts = numbers.map(count);
        assert_eq!(texts, ["0", "999999", "1.00M", "9.99M", "12.3M", "123M", "2.00G"]);
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two  three\n\nx", 8), ["one two ", "three", "", "x"]);
        assert_eq!(wrapped("1234567890 1", 5), ["12345", "67890", "1"]);
    }

    #[test]
    fn times_have_two_units() {
        let texts =
            [0, 999, 1_000, 61_000, 3_660_000, 90_000_000].map(|ms| length(Duration::from_millis(ms)));
        assert_eq!(texts, ["0ms", "999ms", "1s", "1m 1s", "1h 1m", "1d 1h"]);
        assert_eq!(due(FromNow::Ago(Duration::from_secs(3))), "3s late");
        assert_eq!(ago(FromNow::In(Duration::from_millis(3))), "now");
    }
}
