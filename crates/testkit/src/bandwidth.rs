//! One direction of a thin line: bytes go through it one after the other, at a given rate.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Pieces of this duration keep the line fair between connections, and are not too short to sleep.
const PIECES_PER_SECOND: u32 = 200;
/// A line slower than this many bytes per piece would spend its time on wake-ups.
const LEAST_PIECE: usize = 512;

/// Shared by all connections: at any time one piece is on its way.
#[derive(Default)]
pub(crate) struct Line {
    /// When the last piece that was accepted has arrived.
    free_at: Mutex<Option<Instant>>,
}

impl Line {
    /// The bytes to send at once at this rate.
    pub(crate) fn piece(bytes_per_second: u32) -> usize {
        ((bytes_per_second / PIECES_PER_SECOND) as usize).max(LEAST_PIECE)
    }

    /// Returns once these bytes have arrived: behind all that others have sent before.
    pub(crate) fn carry(&self, bytes: usize, bytes_per_second: u32) {
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
