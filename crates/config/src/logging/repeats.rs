//! Repeated lines. A line is written once per [`WINDOW`], then once more with the number of its repeats, so that an error
//! that occurs a thousand times per second does not bury the rest of the log.
//!
//! Lines are the same if they come from the same place in the code and have equal values of [`DISTINGUISHING`]. Other
//! fields, such as the id of a job or request, may differ. Lines of the targets in [`NEVER_HELD`] are always written, and
//! so are lines below the level `info`.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::callsite::Identifier;
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Lines that differ in one of these are not the same.
const DISTINGUISHING: [&str; 4] = ["message", "error", "queue", "kind"];

/// Targets whose lines each have a subject of their own: the outcome of a job, and another worker that is alive.
const NEVER_HELD: [&str; 2] = ["job", "fleet"];

/// The number of different lines from one place that are told apart at a time. Any further lines count as the same.
const VARIANTS: usize = 8;

/// Identifies lines that are the same.
pub(super) struct Key {
    callsite: Identifier,
    /// A hash of the distinguishing fields.
    variant: u64,
}

#[derive(Default)]
pub(super) struct Repeats(Mutex<ByPlace>);

/// Windows by place in the code, then by variant. There are few of both.
type ByPlace = HashMap<Identifier, HashMap<u64, Window>>;

/// The time after a line was written, in which its repeats are held back.
struct Window {
    ends: Instant,
    /// Number of lines that were held back.
    held: u64,
    /// The last line that was held back.
    last: String,
}

impl Key {
    /// The key of an event. `None` means that the event is always written.
    pub(super) fn of(event: &Event<'_>) -> Option<Self> {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || NEVER_HELD.contains(&metadata.target()) {
            return None;
        }
        let mut hash = FieldHash(DefaultHasher::new());
        event.record(&mut hash);
        Some(Key { callsite: metadata.callsite(), variant: hash.0.finish() })
    }
}

impl Repeats {
    /// Whether to write a line now. It then opens its window. If not, pass the line to [`Self::hold`].
    pub(super) fn is_first(&self, key: &Key, now: Instant) -> bool {
        match entry(&mut self.lock(), key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(Window::from(now));
                true
            }
        }
    }

    /// Keeps a line, without its line break, until its window ends.
    pub(super) fn hold(&self, key: &Key, line: String, now: Instant) {
        let mut by_place = self.lock();
        let window = entry(&mut by_place, key).or_insert_with(|| Window::from(now));
        window.held += 1;
        window.last = line;
    }

    /// Ends the windows that are over at `now`. For each window that held lines back, returns their number and the last
    /// of them. Also returns when the next window ends.
    pub(super) fn due(&self, now: Instant) -> (Vec<(u64, String)>, Option<Instant>) {
        let mut due = Vec::new();
        let mut by_place = self.lock();
        for windows in by_place.values_mut() {
            windows.retain(|_, window| window.ends > now || window.held > 0);
            for window in windows.values_mut().filter(|window| window.ends <= now) {
                let ended = mem::replace(window, Window::from(now));
                due.push((ended.held, ended.last));
            }
        }
        (due, by_place.values().flat_map(HashMap::values).map(|window| window.ends).min())
    }

    fn lock(&self) -> MutexGuard<'_, ByPlace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn from(now: Instant) -> Self {
        Window { ends: now + WINDOW, held: 0, last: String::new() }
    }
}

/// The window of a line: its own if it already has one, or if its place has fewer than [`VARIANTS`] windows; otherwise
/// one that all further lines share.
fn entry<'p>(by_place: &'p mut ByPlace, key: &Key) -> Entry<'p, u64, Window> {
    const OTHERS: u64 = 0;
    let windows = by_place.entry(key.callsite.clone()).or_default();
    let is_known = windows.contains_key(&key.variant);
    windows.entry(if is_known || windows.len() < VARIANTS { key.variant } else { OTHERS })
}

struct FieldHash(DefaultHasher);

impl Visit for FieldHash {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if DISTINGUISHING.contains(&field.name()) {
            (field.name(), format!("{value:?}")).hash(&mut self.0);
        }
    }
}
