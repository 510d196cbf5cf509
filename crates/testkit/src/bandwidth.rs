//! The limited bandwidth of one direction of a network. Bytes pass one after the other, at a given rate.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Chunks of this duration share the bandwidth fairly between connections, and are long enough to sleep for.
const CHUNKS_PER_SECOND: u32 = 200;
/// With smaller chunks a slow network would spend its time on wake-ups.
const MIN_CHUNK: usize = 512;

/// Shared by all connections. At any time one chunk is in transit.
#[derive(Default)]
pub(crate) struct Bandwidth {
    /// When the last accepted chunk will have arrived.
    free_at: Mutex<Option<Instant>>,
}

impl Bandwidth {
    /// The number of bytes to send at once at this rate.
    pub(crate) fn chunk(bytes_per_second: u32) -> usize {
        ((bytes_per_second / CHUNKS_PER_SECOND) as usize).max(MIN_CHUNK)
    }

    /// Returns once these bytes have arrived, after everything that was accepted before.
    pub(crate) fn transfer(&self, bytes: usize, bytes_per_second: u32) {
        let takes = Duration::from_secs_f64(bytes as f64 / f64::from(bytes_per_second));
        let arrives = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let starts = free_at.map_or(now, |free_at| free_at.max(now));
            *free_at.insert(starts + takes)
        };
        thread::sleep(arrives.saturating_duration_since(Instant::now()));
    }
}
