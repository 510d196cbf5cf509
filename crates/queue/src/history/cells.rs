//! The numbers of one bucket of history: counters, then the bins of two histograms. Buckets are merged by adding them,
//! over processes, kinds, queues and time.
//!
//! Most numbers are 0, so a bucket is stored as varints (7 bits per byte, low bits first, the high bit set on all but
//! the last byte): a number above 0 is the next cell, and 0 is followed by the number of cells to skip. Cells that are
//! added at the end by a later release are merged by `flush.lua` of this one, and skipped by its reader.

use std::ops::AddAssign;
use std::sync::LazyLock;
use std::time::Duration;

/// The counters of a bucket, in the order of their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Enqueued,
    Completed,
    /// An attempt failed and the job was retried.
    Failed,
    Dead,
    Cancelled,
    /// The lease ran out and the job was recovered.
    Reaped,
}

const EVENTS: usize = 6;

/// The histograms of a bucket, in the order of their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// From the due time of a run to its start.
    Lateness,
    Run,
}

const TIMINGS: usize = 2;

/// Bins of a histogram. Bin 0 has everything below [`FIRST`]. Each further bin is 20 % wider than the one before it, and
/// the last one, from 9 days on, has no end.
const BINS: usize = 128;

/// Lower bound of bin 1, in seconds.
const FIRST: f64 = 0.000_1;

/// The ratio of the bounds of a bin. A time is read as the value in the middle of its bin, which is at most
/// (1.2 − 1) / (1.2 + 1) = 9.1 % off.
const RATIO: f64 = 1.2;

/// Cells of a bucket.
pub(crate) const CELLS: usize = EVENTS + TIMINGS * BINS;

/// The value in the middle of each bin, in seconds with three digits.
static MIDDLES: LazyLock<[f64; BINS]> = LazyLock::new(|| {
    std::array::from_fn(|bin| {
        let Some(step) = bin.checked_sub(1) else { return 0.0 };
        let low = FIRST * RATIO.powi(step as i32);
        let middle = 2.0 * low * RATIO / (1.0 + RATIO);
        format!("{middle:.2e}").parse().unwrap_or(middle)
    })
});

/// The cells of a bucket, or the sum of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells(pub(crate) [u64; CELLS]);

impl Event {
    pub(crate) fn cell(self) -> usize {
        self as usize
    }
}

impl Timing {
    /// The cell that counts this time.
    pub(crate) fn cell(self, time: Duration) -> usize {
        let units = time.as_secs_f64() / FIRST;
        let bin = if units < 1.0 { 0 } else { 1 + (units.ln() / RATIO.ln()) as usize };
        self.first_cell() + bin.min(BINS - 1)
    }

    fn first_cell(self) -> usize {
        EVENTS + BINS * self as usize
    }
}

impl Default for Cells {
    fn default() -> Self {
        Cells([0; CELLS])
    }
}

impl Cells {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|n| *n == 0)
    }

    pub(crate) fn count(&self, event: Event) -> u64 {
        self.0[event.cell()]
    }

    /// The time, in seconds, that this percentage of the runs did not exceed. Unset without a run. At most 9.6 % off,
    /// except below 0.1 ms, which reads as 0, and above 9 days.
    pub(crate) fn percentile(&self, timing: Timing, percent: u64) -> Option<f64> {
        let first = timing.first_cell();
        let bins = &self.0[first..first + BINS];
        let runs: u64 = bins.iter().sum();
        let rank = (runs * percent).div_ceil(100).max(1);
        let mut passed = 0;
        let bin = bins.iter().position(|runs| {
            passed += runs;
            passed >= rank
        })?;
        Some(MIDDLES[bin])
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        let mut skipped = 0;
        for n in self.0 {
            if n == 0 {
                skipped += 1;
                continue;
            }
            if skipped > 0 {
                bytes.push(0);
                push_varint(&mut bytes, skipped);
                skipped = 0;
            }
            push_varint(&mut bytes, n);
        }
        bytes
    }

    /// Adds an encoded bucket. Bytes that this version does not understand end it.
    pub(crate) fn add_encoded(&mut self, bytes: &[u8]) {
        let (mut cell, mut skips) = (0_usize, false);
        let mut rest = bytes;
        while let Some(n) = take_varint(&mut rest) {
            if skips {
                cell = cell.saturating_add(n as usize);
                skips = false;
            } else if n == 0 {
                skips = true;
            } else {
                let Some(known) = self.0.get_mut(cell) else { return };
                *known = known.saturating_add(n);
                cell += 1;
            }
        }
    }
}

impl AddAssign<&Cells> for Cells {
    fn add_assign(&mut self, other: &Cells) {
        for (n, more) in self.0.iter_mut().zip(other.0) {
            *n = n.saturating_add(more);
        }
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

/// `None` at the end, and for a number of more than 56 bits, which nobody writes.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let last = bytes.iter().take(8).position(|byte| *byte < 0x80)?;
    let (varint, rest) = bytes.split_at(last + 1);
    *bytes = rest;
    Some(varint.iter().rev().fold(0, |n, byte| n << 7 | u64::from(byte & 0x7f)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_times(times: impl IntoIterator<Item = Duration>) -> Cells {
        let mut cells = Cells::default();
        for time in times {
            cells.0[Timing::Run.cell(time)] += 1;
        }
        cells
    }

    #[test]
    fn a_percentile_is_at_most_ten_percent_off() {
        for micros in (100..10_000_000_u64).step_by(997).chain([3_600_000_000, 86_400_000_000]) {
            let time = Duration::from_micros(micros);
            let read = of_times([time]).percentile(Timing::Run, 50).unwrap();
            let off = (read / time.as_secs_f64() - 1.0).abs();
            assert!(off < 0.096, "{time:?} is read as {read} s");
        }
        assert_eq!(of_times([Duration::from_micros(99)]).percentile(Timing::Run, 99), Some(0.0));
        let years = of_times([Duration::from_secs(1 << 40)]).percentile(Timing::Run, 99);
        assert!(years.is_some_and(|read| read > 9.0 * 86_400.0), "{years:?}");
    }

    #[test]
    fn a_percentile_is_the_time_that_so_many_runs_did_not_exceed() {
        let cells = of_times((1..=100).map(|n| Duration::from_millis(if n <= 98 { 10 } else { 1_000 })));
        let near = |percent, expected: f64| {
            let read = cells.percentile(Timing::Run, percent).unwrap();
            assert!((read / expected - 1.0).abs() < 0.096, "p{percent}: {read}");
        };
        near(50, 0.01);
        near(98, 0.01);
        near(99, 1.0);
        assert_eq!(cells.percentile(Timing::Lateness, 50), None, "no run, no percentile");
        assert_eq!(Cells::default().percentile(Timing::Run, 99), None);
    }

    proptest! {
        #[test]
        fn encoded_buckets_add_up(
            a in proptest::collection::vec((0..CELLS, 1..1_u64 << 40), 0..40),
            b in proptest::collection::vec((0..CELLS, 1..300_u64), 0..40),
        ) {
            let of = |list: Vec<(usize, u64)>| {
                let mut cells = Cells::default();
                for (cell, n) in list {
                    cells.0[cell] += n;
                }
                cells
            };
            let (a, b) = (of(a), of(b));
            let mut sum = a.clone();
            sum += &b;
            let mut decoded = Cells::default();
            decoded.add_encoded(&a.encode());
            prop_assert_eq!(&decoded, &a);
            decoded.add_encoded(&b.encode());
            prop_assert_eq!(decoded, sum);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Cells::default().add_encoded(&bytes);
        }
    }
}
