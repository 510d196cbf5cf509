//! Ids of jobs, workers and bulk operations: UUIDs of version 7 outside, 14 characters in Redis.
//!
//! A new id is one number: the instant in ms, then 49 bits that are random at the first id of a millisecond and grow
//! with each further one. The UUID has these bits around its version and its variant, a 1 in front of the 49 bits, and
//! zeros behind them. Any other UUID is written in 22 characters; ids that earlier versions made are such UUIDs.

use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use data_encoding::{Encoding, Specification};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Printable ASCII without quotes, backslash and hyphen, in ASCII order: the short form sorts like the id, so jobs due
/// in the same millisecond run in the order in which they were made. A leading hyphen would be an option on a command
/// line.
const DIGITS: &[u8; 90] =
    b"!#$%&()*+,./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~";

/// 14 bytes fill Redis' allocation of 16 bytes exactly, and each waiting job has two copies of its id.
const SHORT: usize = 14;
/// The first number that 14 digits cannot hold. Its instant is in the year 2098.
const END: u128 = HALF as u128 * HALF as u128;
/// The first number that 7 digits cannot hold.
const HALF: u64 = 90_u64.pow(7);

/// The number of bits behind the instant.
const ORDER_BITS: u32 = 49;
/// The number of these bits in the last 64 bits of the UUID.
const LOW_BITS: u32 = 38;

/// Base64 with its digits in ASCII order: the form of the UUIDs that do not have the short one.
pub(crate) static LONG: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~");
    spec.encoding().expect("64 distinct ASCII symbols")
});

/// Keeps ids of one process in order within a millisecond (RFC 9562, 6.2).
static IN_ORDER: Mutex<InOrder> = Mutex::new(InOrder { latest: 0 });

struct InOrder {
    /// The number of the latest id. After an earlier instant it goes on from here.
    latest: u128,
}

impl InOrder {
    fn uuid(&mut self, now: i64) -> Uuid {
        let (ms, latest) = (now.max(0) as u64, (self.latest >> ORDER_BITS) as u64);
        self.latest = if ms > latest || ms + CLOCK_STEP < latest {
            // Half of the numbers of a millisecond: enough room above for its further ids.
            u128::from(ms) << ORDER_BITS | u128::from(rand::random_range(0..1_u64 << (ORDER_BITS - 1)))
        } else {
            // A random step, so that nobody can infer a neighbor's id.
            self.latest + u128::from(rand::random_range(1..1_u64 << 24))
        };
        to_uuid(self.latest)
    }
}

/// Milliseconds. A clock that goes back further was wrong before, and ids must not continue its time.
const CLOCK_STEP: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct JobId(Uuid);

/// The id of a worker process. It is never used again after the process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct WorkerId(Uuid);

/// The id of a bulk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct BulkId(Uuid);

#[derive(Debug, thiserror::Error)]
#[error("an id is a UUID such as 0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b")]
pub struct InvalidId;

fn new_uuid(now: i64) -> Uuid {
    IN_ORDER.lock().unwrap_or_else(PoisonError::into_inner).uuid(now)
}

fn to_uuid(number: u128) -> Uuid {
    let high = number >> LOW_BITS & 0x7ff | 0x7800;
    let low = (number & ((1 << LOW_BITS) - 1)) << 24 | 1 << 63;
    Uuid::from_u128(number >> ORDER_BITS << 80 | high << 64 | low)
}

/// The number of an id that has the short form.
fn number(uuid: Uuid) -> Option<u128> {
    let bits = uuid.as_u128();
    let order = (bits >> 64 & 0x7ff) << LOW_BITS | bits >> 24 & ((1 << LOW_BITS) - 1);
    let number = bits >> 80 << ORDER_BITS | order;
    (number < END && to_uuid(number) == uuid).then_some(number)
}

fn encode(number: u128) -> String {
    let mut text = String::with_capacity(SHORT);
    // Two halves, because divisions of 64 bits are much faster.
    for half in [(number / u128::from(HALF)) as u64, (number % u128::from(HALF)) as u64] {
        let mut unit = HALF;
        for _ in 0..SHORT / 2 {
            unit /= 90;
            text.push(char::from(DIGITS[(half / unit % 90) as usize]));
        }
    }
    text
}

fn decode(text: &str) -> Option<u128> {
    text.bytes().try_fold(0, |number, byte| {
        let digit = DIGITS.binary_search(&byte).ok()?;
        Some(number * 90 + digit as u128)
    })
}

fn parse_uuid(text: &str) -> Result<Uuid, InvalidId> {
    match text.len() {
        36 => Uuid::try_parse(text).map_err(|_| InvalidId),
        SHORT => decode(text).map(to_uuid).ok_or(InvalidId),
        22 => {
            let bytes = LONG.decode(text.as_bytes()).map_err(|_| InvalidId)?;
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

        /// Reads the hyphenated form, and both forms that Redis stores.
        impl FromStr for $id {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_uuid(text).map($id)
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

ids!(JobId, WorkerId, BulkId);

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
        (self.0.get_version_num() == 7).then(|| (self.0.as_u128() >> 80) as i64)
    }

    /// The form that Redis stores: 14 characters, or 22 for a UUID that this version did not make.
    pub fn short(self) -> String {
        number(self.0).map_or_else(|| LONG.encode(self.0.as_bytes()), encode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Its own order: other tests of this process make ids at other times.
    fn in_order() -> InOrder {
        InOrder { latest: 0 }
    }

    #[test]
    fn an_id_carries_the_time_of_a_clock_that_was_set_back() {
        let mut ids = in_order();
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
    fn new_ids_are_in_order_and_short_and_sort_alike() {
        let mut order = in_order();
        let ids: Vec<JobId> = (0..1_000).map(|i| JobId(order.uuid(1_700_000_000_000 + i / 100))).collect();
        for pair in ids.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].short() < pair[1].short());
        }
        assert!(ids.iter().all(|id| id.short().len() == 14));
        assert_eq!(ids[999].made_at(), Some(1_700_000_000_009));
        let outside = Uuid::parse_str(&ids[0].to_string()).expect("a UUID");
        assert_eq!((outside.get_version_num(), outside.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn ids_of_earlier_versions_and_other_uuids_keep_22_characters() {
        for uuid in [
            "01a20ae0-e7a9-74d9-a81f-9cb53c56386d",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            let id: JobId = uuid.parse().expect("a UUID");
            assert_eq!(id.short().len(), 22, "{uuid}");
            assert_eq!(id.short().parse::<JobId>().expect("its own form"), id);
        }
        let too_late = JobId(in_order().uuid(4_100_000_000_000));
        assert_eq!(too_late.short().len(), 22);
        assert_eq!(too_late.short().parse::<JobId>().expect("its own form"), too_late);
    }

    proptest! {
        #[test]
        fn all_forms_name_the_same_id_and_sort_alike(a in 0..END, b in 0..END, foreign: u128) {
            let ids = [a, b].map(|number| JobId(to_uuid(number)));
            for (id, number) in ids.iter().zip([a, b]) {
                prop_assert_eq!(id.short().len(), 14);
                prop_assert_eq!(id.short().parse::<JobId>().expect("its own form"), *id);
                prop_assert_eq!(id.to_string().parse::<JobId>().expect("its own form"), *id);
                prop_assert_eq!(id.made_at(), Some((number >> 49) as i64));
            }
            prop_assert_eq!(ids[0].cmp(&ids[1]), ids[0].short().cmp(&ids[1].short()));
            let foreign = JobId(Uuid::from_u128(foreign));
            prop_assert_eq!(foreign.short().parse::<JobId>().expect("its own form"), foreign);
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in [
            "",
            "1",
            "{}",
            "not-a-uuid-but-thirty-six-characters",
            "zzzzzzzzzzzzzzzzzzzzzz",
            "a:b",
            "fourteen chars",
            "not-an-id-here",
        ] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }
}
