//! The same line is written once in [`WINDOW`], then once more with the number of its repeats: what fails a
//! thousand times a second must not bury the rest of the log.
//!
//! "The same" means: from the same place in the code, with equal values of [`DISTINGUISHING`]. Other fields, such
//! as a job's or a request's id, may differ. Lines of the targets in [`NEVER_HELD`] are always written, and so is what only `debug` shows.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::{self, Debug, Write as _},
    hash::{DefaultHasher, Hasher},
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

/// What became of a job: each line is about another one. Other workers: a starting worker names each.
const NEVER_HELD: [&str; 2] = ["job", "fleet"];

/// Lines from one place that are told apart at the same time. Further ones count as the same.
const VARIANTS: usize = 8;

/// Which lines are the same.
pub(super) struct Key {
    callsite: Identifier,
    /// A hash of the distinguishing fields.
    variant: u64,
}

pub(super) struct Repeats {
    by_place: Mutex<Option<ByPlace>>,
}

/// Windows by the place in the code, then by variant. Of both there are few.
type ByPlace = HashMap<Identifier, HashMap<u64, Window>>;

/// From the first such line on.
struct Window {
    ends: Instant,
    /// Lines held back in it.
    held: u64,
    /// The last of them.
    last: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// Give the line to [`Repeats::hold`] instead.
    Hold,
}

impl Key {
    /// `None`: the line is always written.
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
    pub(super) const fn new() -> Self {
        Repeats { by_place: Mutex::new(None) }
    }

    pub(super) fn verdict(&self, key: &Key, now: Instant) -> Verdict {
        let mut by_place = self.lock();
        match entry(&mut by_place, key) {
            Entry::Occupied(_) => Verdict::Hold,
            Entry::Vacant(free) => {
                free.insert(Window::from(now));
                Verdict::Write
            }
        }
    }

    /// Keeps a line, without its line break, until the window of its like ends.
    pub(super) fn hold(&self, key: &Key, line: String, now: Instant) {
        let mut by_place = self.lock();
        let window = entry(&mut by_place, key).or_insert_with(|| Window::from(now));
        window.held += 1;
        window.last = line;
    }

    /// Ends the windows that are over by `now`. Of each in which lines were held back: their number, and the
    /// last one. Also when the next window ends.
    pub(super) fn due(&self, now: Instant) -> (Vec<(u64, String)>, Option<Instant>) {
        let (mut due, mut next) = (Vec::new(), None);
        let mut by_place = self.lock();
        let Some(by_place) = by_place.as_mut() else { return (due, None) };
        by_place.retain(|_, windows| {
            windows.retain(|_, window| {
                if window.ends <= now {
                    if window.held == 0 {
                        return false;
                    }
                    due.push((window.held, std::mem::take(&mut window.last)));
                    *window = Window::from(now);
                }
                next = next.into_iter().chain([window.ends]).min();
                true
            });
            !windows.is_empty()
        });
        (due, next)
    }

    fn lock(&self) -> MutexGuard<'_, Option<ByPlace>> {
        self.by_place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn from(now: Instant) -> Self {
        Window { ends: now + WINDOW, held: 0, last: String::new() }
    }
}

/// Where a line is counted: on its own, while there is room for one more of its place, else with all others.
fn entry<'p>(by_place: &'p mut Option<ByPlace>, key: &Key) -> Entry<'p, u64, Window> {
    const OTHERS: u64 = 0;
    let windows = by_place.get_or_insert_default().entry(key.callsite.clone()).or_default();
    let is_known = windows.contains_key(&key.variant);
    windows.entry(if is_known || windows.len() < VARIANTS { key.variant } else { OTHERS })
}

struct FieldHash(DefaultHasher);

impl Visit for FieldHash {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if DISTINGUISHING.contains(&field.name()) {
            // Writing to a hash does not fail.
            let _ = write!(self, "{}={value:?}\0", field.name());
        }
    }
}

impl fmt::Write for FieldHash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
