//! Holds recovery back while holders may still extend their leases.
//!
//! After an outage of Redis, or a step of its clock, all leases seem to expire at once. Their holders are alive and
//! extend them within one heartbeat. So a sweeper waits that long after either of these, after its first connect,
//! and after a heartbeat of its own that failed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::worker::Worker;

/// Redis' clock was set if it moved by this much more or less than the local clock.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// Time in which a lease holder reconnects: by default, attempts are at most 1 s apart. It is also longer than the
/// heartbeat of a short lease.
const RECONNECT: Duration = Duration::from_secs(2);

pub(super) struct HoldOff {
    connects: watch::Receiver<u64>,
    /// Redis' time in Unix ms and the local time, at the last look.
    seen: Option<(i64, Instant)>,
    missed_beats: u64,
    until: Instant,
}

impl HoldOff {
    pub(super) fn new(worker: &Worker) -> Self {
        let connects = worker.client.connection().connects();
        HoldOff { connects, seen: None, missed_beats: 0, until: Instant::now() }
    }

    /// Whether recovery has to wait.
    pub(super) fn is_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Begins to wait if Redis was away or its clock was set since the last look.
    pub(super) fn look(&mut self, worker: &Worker) {
        if self.connects.has_changed().is_ok_and(|changed| changed) {
            self.connects.mark_unchanged();
            self.begin(worker, "connected to Redis");
        }
        let missed = worker.missed_beats.load(Ordering::Acquire);
        if std::mem::replace(&mut self.missed_beats, missed) != missed {
            self.begin(worker, "a heartbeat failed");
        }
        let (redis_now, now) = (worker.client.now(), Instant::now());
        if let Some((redis_then, then)) = self.seen.replace((redis_now, now)) {
            let step = redis_now - redis_then - now.duration_since(then).as_millis() as i64;
            if step.unsigned_abs() > CLOCK_STEP.as_millis() as u64 {
                tracing::warn!(step_ms = step, "Redis' clock was set; due times move with it");
                self.begin(worker, "Redis' clock was set");
            }
        }
    }

    /// Waits until all lease holders had time for a heartbeat.
    pub(super) fn begin(&mut self, worker: &Worker, why: &str) {
        tracing::debug!(why, "no recovery until all lease holders had time for a heartbeat");
        self.until = Instant::now() + worker.heartbeat().max(RECONNECT);
    }
}
