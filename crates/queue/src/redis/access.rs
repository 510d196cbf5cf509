//! The gate in front of all calls: it lets nothing through to a Redis on which a script would stop half way.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, RefusalCode};

/// Problems of the Redis of this connection, each with what to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Reported by a script, for users that may not run INFO.
    pub(crate) version: Option<String>,
    /// Why no job can be stored or run.
    pub(crate) obstacle: Option<String>,
    /// Features that work less well.
    pub(crate) warnings: Vec<String>,
    pub(crate) channels: Channels,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Channels {
    #[default]
    Permitted,
    Denied,
}

/// The findings of the last look. A closed one lets nothing through, so that no script stops half way.
#[derive(Default)]
pub(crate) struct Access {
    gate: AtomicU8,
    last: Mutex<Option<(Instant, Findings)>>,
}

/// Values of [`Access::gate`]; 0 before the first look.
const OPEN: u8 = 1;
const CLOSED: u8 = 2;

impl Access {
    /// Errors before the first look, and while there is an obstacle.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.gate.load(Ordering::Acquire) {
            OPEN => Ok(()),
            CLOSED => {
                let message = self.findings().obstacle.unwrap_or_default();
                Err(Error::Refused { code: RefusalCode::NotPermitted, message })
            }
            _ => Err(Error::NotSent("not connected to Redis yet".to_owned())),
        }
    }

    /// True after the first look.
    pub(crate) fn is_known(&self) -> bool {
        self.gate.load(Ordering::Acquire) != 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn findings(&self) -> Findings {
        self.lock().as_ref().map(|(_, findings)| findings.clone()).unwrap_or_default()
    }

    /// The time of the last look.
    pub(crate) fn looked_at(&self) -> Option<Instant> {
        self.lock().as_ref().map(|(at, _)| *at)
    }

    pub(crate) fn set(&self, findings: Findings) {
        let gate = if findings.obstacle.is_some() { CLOSED } else { OPEN };
        *self.lock() = Some((Instant::now(), findings));
        self.gate.store(gate, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Findings)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
