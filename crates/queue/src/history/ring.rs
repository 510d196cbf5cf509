//! The two resolutions of the history, and where their buckets are stored. `flush.lua` has the same numbers.

use std::time::Duration;

/// Milliseconds.
pub(crate) const MINUTE: i64 = 60_000;

/// Hours for which a history is kept after its last news: 72, and the bucket that is being filled.
pub(crate) const HOURS_KEPT: i64 = 73;

/// A part of the past, in buckets of one minute or of five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    ring: Ring,
    buckets: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ring {
    /// In front of the fields of this ring.
    name: char,
    buckets: i64,
    minutes: i64,
}

const MINUTES: Ring = Ring { name: 'm', buckets: 120, minutes: 1 };
const FIVE_MINUTES: Ring = Ring { name: 'f', buckets: 864, minutes: 5 };

impl Window {
    /// The last hour, in minutes.
    pub const HOUR: Window = Window { ring: MINUTES, buckets: 60 };

    /// Up to 2 hours by minute, up to 72 hours by five minutes; nothing for a shorter or longer time. The length is
    /// rounded up to whole buckets.
    pub fn new(length: Duration) -> Option<Self> {
        let ms = i64::try_from(length.as_millis()).ok()?;
        let buckets = |ring: Ring| ms / (ring.minutes * MINUTE) + i64::from(ms % (ring.minutes * MINUTE) > 0);
        let ring = [MINUTES, FIVE_MINUTES].into_iter().find(|ring| buckets(*ring) <= ring.buckets)?;
        (ms > 0).then_some(Window { ring, buckets: buckets(ring) })
    }

    /// Milliseconds of a bucket.
    pub(crate) fn step(self) -> i64 {
        self.ring.minutes * MINUTE
    }

    /// The numbers of its buckets, oldest first. The last one has `now`, Unix ms.
    pub(crate) fn numbers(self, now: i64) -> impl ExactSizeIterator<Item = i64> + Clone {
        let last = now / self.step();
        (0..self.buckets as usize).map(move |n| last - self.buckets + 1 + n as i64)
    }

    /// The field of a bucket.
    pub(crate) fn field(self, number: i64) -> String {
        format!("{}{}", self.ring.name, number.rem_euclid(self.ring.buckets))
    }
}

/// The cells in a field, if it has this bucket and not an earlier one.
pub(crate) fn cells_of(number: i64, field: &[u8]) -> Option<&[u8]> {
    let (stamp, cells) = field.split_first_chunk::<4>()?;
    (i64::from(u32::from_be_bytes(*stamp)) == number).then_some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(minutes: u64) -> Option<(i64, i64)> {
        Window::new(Duration::from_secs(60 * minutes)).map(|window| (window.buckets, window.step() / MINUTE))
    }

    #[test]
    fn a_window_has_minutes_up_to_2_hours_and_five_minutes_up_to_72() {
        assert_eq!(Window::new(Duration::from_secs(60 * 60)), Some(Window::HOUR));
        assert_eq!(window(1), Some((1, 1)));
        assert_eq!(window(120), Some((120, 1)));
        assert_eq!(window(121), Some((25, 5)));
        assert_eq!(window(72 * 60), Some((864, 5)));
        assert_eq!((window(0), window(72 * 60 + 1)), (None, None));
        assert_eq!(Window::new(Duration::MAX), None);
    }

    #[test]
    fn the_last_bucket_has_the_present() {
        let window = Window::new(Duration::from_secs(180)).unwrap();
        let numbers: Vec<i64> = window.numbers(1_000 * MINUTE + 59_999).collect();
        assert_eq!(numbers, [998, 999, 1_000]);
        assert_eq!(window.field(1_000), "m40");
    }

    #[test]
    fn the_script_has_the_same_rings() {
        let script = include_str!("flush.lua");
        for ring in [MINUTES, FIVE_MINUTES] {
            let text = format!("{{ '{}', {}, {} }}", ring.name, ring.buckets, ring.minutes);
            assert!(script.contains(&text), "{text}");
        }
    }
}
