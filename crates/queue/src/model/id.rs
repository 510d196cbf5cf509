//! Ids of jobs and workers: UUIDs of version 7 outside, 22 characters in Redis.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use uuid::{ContextV7, Timestamp, Uuid};

/// Base64 with its digits in ASCII order: the short form sorts like the id, so jobs due in the same
/// millisecond run in the order in which they were made. It never starts with a hyphen, which a
/// command line would take for an option. 22 bytes fill Redis' 24-byte allocation exactly; the
/// usual 36 characters would cost 48 bytes per copy, and there are two copies.
static SHORT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~");
    spec.encoding().expect("64 distinct ASCII symbols")
});

/// Keeps ids of one process in order within a millisecond (RFC 9562, 6.2).
static IN_ORDER: LazyLock<std::sync::Mutex<InOrder>> = LazyLock::new(std::sync::Mutex::default);

#[derive(Default)]
struct InOrder {
    /// Never goes back: after an earlier instant it repeats the latest one.
    context: ContextV7,
    /// Unix ms.
    latest: u64,
}

impl InOrder {
    fn uuid(&mut self, now: i64) -> Uuid {
        let ms = now.max(0) as u64;
        if ms + CLOCK_STEP < self.latest {
            *self = InOrder::default();
        }
        self.latest = self.latest.max(ms);
        Uuid::new_v7(Timestamp::from_unix(&self.context, ms / 1_000, (ms % 1_000) as u32 * 1_000_000))
    }
}

/// Milliseconds. A clock that goes back further was wrong before, and ids must not continue its time.
const CLOCK_STEP: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

/// The id of a worker process. It is never used again after the process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(Uuid);

#[derive(Debug, thiserror::Error)]
#[error("an id is a UUID such as 0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b")]
pub struct InvalidId;

fn new_uuid(now: i64) -> Uuid {
    IN_ORDER.lock().unwrap_or_else(std::sync::PoisonError::into_inner).uuid(now)
}

fn parse_uuid(text: &str) -> Result<Uuid, InvalidId> {
    match text.len() {
        36 => Uuid::try_parse(text).map_err(|_| InvalidId),
        22 => {
            let bytes = SHORT.decode(text.as_bytes()).map_err(|_| InvalidId)?;
            Uuid::from_slice(&bytes).map_err(|_| InvalidId)
        }
        _ => Err(InvalidId),
    }
}

macro_rules! ids {
    ($($id:ident),+) => {$(
        impl $id {
            /// A new id that carries `now` (Unix ms, the estimate of Redis' clock).
            pub fn new(now: i64) -> Self {
                $id(new_uuid(now))
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        /// Reads the hyphenated form, and the short form that Redis stores.
        impl FromStr for $id {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_uuid(text).map($id)
            }
        }

        impl serde::Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids!(JobId, WorkerId);

impl WorkerId {
    /// The id of a worker that is no longer known: `00000000-0000-0000-0000-000000000000`.
    pub const UNKNOWN: WorkerId = WorkerId(Uuid::nil());
}

impl Default for WorkerId {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl JobId {
    /// The instant that the id carries, Unix ms; `None` for a UUID that was not made here.
    pub fn made_at(self) -> Option<i64> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(seconds as i64 * 1_000 + i64::from(nanos) / 1_000_000)
    }

    /// The form that Redis stores.
    pub fn short(self) -> String {
        SHORT.encode(self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_the_time_of_a_clock_that_was_set_back() {
        let mut ids = InOrder::default();
        let mut id = |now| JobId(ids.uuid(now));
        let (ahead, right) = (1_800_003_600_000, 1_800_000_000_000);
        assert_eq!(id(ahead).made_at(), Some(ahead));
        let (first, second) = (id(right), id(right));
        assert_eq!((first.made_at(), second.made_at()), (Some(right), Some(right)));
        assert!(first < second);
        // A correction of the clock does not disorder them.
        assert!(second < id(right - 3));
    }

    #[test]
    fn both_forms_name_the_same_id_and_the_short_one_sorts_alike() {
        // Its own order: other tests of this process make ids at other times.
        let mut order = InOrder::default();
        let ids: Vec<JobId> = (0..1_000).map(|i| JobId(order.uuid(1_700_000_000_000 + i / 100))).collect();
        for pair in ids.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].short() < pair[1].short());
        }
        let id = ids[0];
        assert_eq!(id.short().len(), 22);
        assert_eq!(id.short().parse::<JobId>().unwrap(), id);
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert_eq!(id.made_at(), Some(1_700_000_000_000));
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in ["", "1", "{}", "not-a-uuid-but-thirty-six-characters", "zzzzzzzzzzzzzzzzzzzzzz", "a:b"] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }
}
