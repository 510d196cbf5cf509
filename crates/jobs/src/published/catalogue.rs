//! The catalogue of kinds as a process knows it: a copy that follows the one in Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use atode_queue::{Client, Error, Inbox, PublishedEntry};

use crate::kind::Kind;
use crate::published::compatibility::difference;
use crate::published::definition::PublishedKind;

/// Time between two looks. A message about a change causes one at once.
const POLL: Duration = Duration::from_secs(5);
/// Time between two looks while Redis cannot be read.
const RETRY: Duration = Duration::from_millis(500);
/// How long a kind stays that is missing without a message about its removal: after Redis was emptied, its workers
/// publish it again.
const MISSING_KEPT: Duration = Duration::from_secs(30);

/// Cheap to clone; all clones are one copy.
#[derive(Clone, Default)]
pub struct Catalogue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    known: RwLock<Known>,
    /// One look at a time.
    look: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    kinds: BTreeMap<Arc<str>, Entry>,
    /// Alias → kind.
    aliases: BTreeMap<Arc<str>, Arc<str>>,
    latest: u64,
    /// Redis' time of the last look, Unix ms.
    read_at: Option<i64>,
}

struct Entry {
    kind: Arc<CatalogueKind>,
    missing_since: Option<Instant>,
}

/// A kind of the catalogue.
#[derive(Debug)]
pub struct CatalogueKind {
    pub generation: u64,
    /// The definition in force.
    pub current: Option<PublishedKind>,
    /// A later definition that waits for an operator to accept it.
    pub held: Option<PublishedKind>,
    /// True if a definition cannot be read: a later release wrote it.
    pub is_unreadable: bool,
}

impl Catalogue {
    /// Follows the catalogue in Redis for ever.
    pub async fn follow(self, client: Client) {
        let news = client.published_kinds().news();
        loop {
            let pause = match self.look(&client).await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::debug!(%error, "cannot read the catalogue of kinds now");
                    RETRY
                }
            };
            self.wait(&news, pause).await;
        }
    }

    /// Reads what has changed.
    pub async fn look(&self, client: &Client) -> Result<(), Error> {
        let _one = self.0.look.lock().await;
        let mut after = self.read().latest;
        // Set while everything is read again.
        let mut seen: Option<BTreeSet<Arc<str>>> = None;
        loop {
            let changes = client.published_kinds().changes(after).await?;
            let mut known = self.write();
            for entry in changes.changed {
                after = entry.generation;
                if let Some(seen) = &mut seen {
                    seen.insert(entry.kind.clone());
                }
                known.put(entry);
            }
            if changes.has_more {
                continue;
            }
            known.latest = after;
            // Some kind is missing, or Redis was emptied or has lost its latest changes.
            let is_another = known.present() != changes.kinds || changes.latest < after;
            if seen.is_none() && is_another {
                (seen, after) = (Some(BTreeSet::new()), 0);
                continue;
            }
            known.finish(seen.as_ref(), changes.now);
            return Ok(());
        }
    }

    /// Reads the entries of some kinds. For a process that needs no others.
    pub async fn look_at(&self, client: &Client, kinds: &[Arc<str>]) -> Result<(), Error> {
        let _one = self.0.look.lock().await;
        let generation = |kind: &Arc<str>| self.read().kinds.get(kind).map_or(0, |it| it.kind.generation);
        let generations: Vec<(Arc<str>, u64)> =
            kinds.iter().map(|kind| (kind.clone(), generation(kind))).collect();
        let (changed, now) = client.published_kinds().changed_among(&generations).await?;
        let mut known = self.write();
        for entry in changed {
            if entry.generation == 0 {
                known.remove(&entry.kind);
            } else {
                known.put(entry);
            }
        }
        known.read_at = Some(now);
        Ok(())
    }

    /// Waits for a message about a change, at most this long. A removed kind is dropped at once.
    pub async fn wait(&self, news: &Inbox, pause: Duration) {
        if let Ok(mail) = tokio::time::timeout(pause, news.next()).await {
            for removed in mail.messages.iter().filter_map(|message| message.strip_prefix('-')) {
                self.write().remove(removed);
            }
        }
    }

    /// The kind of this name or alias.
    pub fn get(&self, name: &str) -> Option<Arc<CatalogueKind>> {
        let known = self.read();
        let entry = known.kinds.get(name).or_else(|| known.kinds.get(known.aliases.get(name)?))?;
        Some(entry.kind.clone())
    }

    /// The entry of this kind, whatever its aliases.
    pub fn entry(&self, kind: &str) -> Option<Arc<CatalogueKind>> {
        self.read().kinds.get(kind).map(|entry| entry.kind.clone())
    }

    /// All kinds, in order of their names.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<CatalogueKind>)> {
        self.read().kinds.iter().map(|(name, entry)| (name.clone(), entry.kind.clone())).collect()
    }

    /// Redis' time of the last look, Unix ms; nothing if there was none.
    pub fn read_at(&self) -> Option<i64> {
        self.read().read_at
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CatalogueKind {
    /// The build that a payload is for, if it fits a published schema that differs from that of `own`: a payload that
    /// `own` refuses is then not wrong, but of another build.
    pub fn other_build_for(&self, own: &Kind, payload: &str) -> Option<&str> {
        let others = [&self.current, &self.held].into_iter().flatten().filter(|published| {
            let other = published.definition.schema.json();
            difference(&own.schema, other).is_some() || difference(other, &own.schema).is_some()
        });
        let mut fitting = others.filter(|published| published.definition.schema.check(payload).is_ok());
        fitting.next().map(|published| &*published.build)
    }
}

impl Known {
    fn put(&mut self, entry: PublishedEntry) {
        let mut is_unreadable = false;
        let mut decode = |bytes: &[u8]| {
            let decoded = PublishedKind::decode(bytes);
            if let Err(error) = &decoded {
                is_unreadable = true;
                tracing::warn!(kind = %entry.kind, %error, "an entry of the catalogue of kinds cannot be read; was it written by a later release?");
            }
            decoded.ok()
        };
        let mut current = entry.definition.as_deref().and_then(&mut decode);
        let held = entry.held.as_deref().and_then(&mut decode);
        // A schema that is the same needs no compiling again.
        let known = self.kinds.get(&entry.kind).and_then(|old| old.kind.current.as_ref());
        if let (Some(current), Some(known)) = (&mut current, known)
            && current.definition.schema == known.definition.schema
        {
            current.definition.schema = known.definition.schema.clone();
        }
        self.aliases.retain(|_, of| *of != entry.kind);
        let aliases = current.iter().flat_map(|current| &current.definition.aliases);
        self.aliases.extend(aliases.map(|alias| (alias.clone(), entry.kind.clone())));
        let kind = CatalogueKind { generation: entry.generation, current, held, is_unreadable };
        self.kinds.insert(entry.kind, Entry { kind: Arc::new(kind), missing_since: None });
    }

    fn remove(&mut self, kind: &str) {
        self.kinds.remove(kind);
        self.aliases.retain(|_, of| **of != *kind);
    }

    /// Kinds that the catalogue in Redis had at the last look.
    fn present(&self) -> usize {
        self.kinds.values().filter(|entry| entry.missing_since.is_none()).count()
    }

    /// `seen` are all kinds of the catalogue in Redis, if all were read.
    fn finish(&mut self, seen: Option<&BTreeSet<Arc<str>>>, now: i64) {
        for (kind, entry) in &mut self.kinds {
            if seen.is_some_and(|seen| !seen.contains(kind)) {
                entry.missing_since.get_or_insert_with(Instant::now);
            }
        }
        let is_gone = |entry: &Entry| entry.missing_since.is_some_and(|since| since.elapsed() > MISSING_KEPT);
        let gone: Vec<_> =
            self.kinds.iter().filter(|(_, it)| is_gone(it)).map(|(kind, _)| kind.clone()).collect();
        for kind in gone {
            self.remove(&kind);
        }
        self.read_at = Some(now);
    }
}
