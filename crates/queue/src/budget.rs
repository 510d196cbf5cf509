//! The limits of one call to Redis.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::Error;

/// Maximum number of ids per script call: far below the limit of Lua's `unpack`.
pub const MAX_BATCH: usize = 1_000;

/// Bounds the bytes of a call in one direction. A call without an answer makes the next one smaller; quick answers
/// make it larger again. So neither a slow network nor large jobs can make the same call fail forever.
///
/// A client has one budget for sending and one for receiving.
#[derive(Debug)]
pub struct Budget {
    bytes: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { bytes: AtomicUsize::new(Self::MOST) }
    }
}

impl Budget {
    /// Maximum bytes of jobs per call, so that no call blocks Redis or the connection for long.
    pub const MOST: usize = 1 << 20;
    /// Lower bound after failed calls. A single job is sent whatever its size.
    pub const LEAST: usize = 1 << 14;

    /// Bytes of jobs that the next call may carry.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of jobs, given the bytes of each, that the next call may carry: at least one, at most
    /// [`MAX_BATCH`].
    pub(crate) fn fitting(&self, weights: impl ExactSizeIterator<Item = usize>) -> usize {
        let jobs = weights.len().min(MAX_BATCH);
        let (mut carried, most) = (0, self.bytes());
        let too_much = weights.take(jobs).position(|weight| {
            carried += weight;
            carried > most
        });
        too_much.unwrap_or(jobs).max(1)
    }

    /// Splits a list into parts, one per call. The size of each depends on the calls before it.
    pub(crate) fn calls<'a, T>(
        &'a self,
        mut rest: &'a [T],
        weight: impl Fn(&T) -> usize + 'a,
    ) -> impl Iterator<Item = &'a [T]> {
        std::iter::from_fn(move || {
            let (call, later) = rest.split_at_checked(self.fitting(rest.iter().map(&weight)))?;
            rest = later;
            Some(call)
        })
    }

    /// Learns from a call that carried this many bytes, and from its duration compared with its timeout.
    pub(crate) fn observe<T>(
        &self,
        carried: usize,
        took: Duration,
        timeout: Duration,
        result: &Result<T, Error>,
    ) {
        let bytes = self.bytes();
        let next = match result {
            Err(Error::Unknown(_)) => bytes / 4,
            Ok(_) if carried > bytes / 2 && took < timeout / 4 => bytes * 2,
            _ => return,
        };
        self.bytes.store(next.clamp(Self::LEAST, Self::MOST), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(800);
    const QUICK: Duration = Duration::from_millis(10);

    fn lost() -> Result<(), Error> {
        Err(Error::Unknown("timeout".to_owned()))
    }

    #[test]
    fn a_call_without_an_answer_makes_the_next_smaller_and_quick_answers_make_it_larger() {
        let budget = Budget::default();
        for expected in [1 << 18, 1 << 16, 1 << 14, 1 << 14] {
            budget.observe(0, TIMEOUT, TIMEOUT, &lost());
            assert_eq!(budget.bytes(), expected);
        }
        budget.observe(1 << 14, TIMEOUT / 2, TIMEOUT, &Ok(()));
        budget.observe(100, QUICK, TIMEOUT, &Ok(()));
        assert_eq!(budget.bytes(), 1 << 14, "neither slow answers nor small calls say that more would pass");
        for expected in [1 << 15, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 20] {
            budget.observe(budget.bytes(), QUICK, TIMEOUT, &Ok(()));
            assert_eq!(budget.bytes(), expected);
        }
    }

    #[test]
    fn a_call_carries_at_least_one_job_and_at_most_its_budget() {
        let budget = Budget::default();
        assert_eq!(budget.fitting([2 << 20, 1].into_iter()), 1);
        assert_eq!(budget.fitting([1 << 19, 1 << 19, 1].into_iter()), 2);
        assert_eq!(budget.fitting(vec![1; MAX_BATCH + 1].into_iter()), MAX_BATCH);
    }
}
