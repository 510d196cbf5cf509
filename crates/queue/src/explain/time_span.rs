//! Lengths of time for people: two units at most.

/// `250 ms`, `4.2 s`, `4 min 12 s`, `3 h 5 min`, `12 d 3 h`. A negative length is 0.
pub(crate) fn time_span(ms: i64) -> String {
    let ms = ms.max(0);
    let (s, min, h) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", s, ms % 1_000 / 100),
        10_000..60_000 => format!("{s} s"),
        60_000..3_600_000 => format!("{min} min {} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {} min", min % 60),
        _ => format!("{} d {} h", h / 24, h % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::time_span;

    #[test]
    fn a_time_span_has_two_units_at_most_and_is_never_negative() {
        let texts = [-5, 0, 999, 4_250, 59_999, 252_000, 11_100_000, 1_047_600_000].map(time_span);
        assert_eq!(texts, ["0 ms", "0 ms", "999 ms", "4.2 s", "59 s", "4 min 12 s", "3 h 5 min", "12 d 3 h"]);
    }
}
