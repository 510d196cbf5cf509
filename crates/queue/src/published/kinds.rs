//! The entry to the catalogue of kinds, and its data. Only `crates/jobs` knows what an entry says.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Key;

use crate::core::Core;
use crate::redis::inbox::Inbox;
use crate::redis::subscription::Subscriptions;

/// Kinds in the catalogue. Further ones are refused until retired kinds are removed.
pub const MAX_PUBLISHED_KINDS: usize = 10_000;

/// The catalogue of kinds.
#[derive(Clone, Copy)]
pub struct PublishedKinds<'a> {
    pub(crate) core: &'a Core,
    pub(crate) subscriptions: &'a Subscriptions,
}

/// A kind in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedEntry {
    pub kind: Arc<str>,
    /// Greater after each change, of this kind or of another.
    pub generation: u64,
    /// The definition in force; nothing if the catalogue does not have the kind (any more).
    pub definition: Option<Bytes>,
    /// A later definition that waits for an operator to accept it.
    pub held: Option<Bytes>,
}

/// Changes of the catalogue, in their order.
#[derive(Debug)]
pub struct KindChanges {
    /// Redis' time of the look, Unix ms.
    pub now: i64,
    /// All kinds in the catalogue.
    pub kinds: usize,
    /// The greatest generation.
    pub latest: u64,
    pub changed: Vec<PublishedEntry>,
    /// True if further changes did not fit into the reply.
    pub has_more: bool,
}

/// A definition to be published.
#[derive(Debug, Clone)]
pub struct Publication {
    pub kind: Arc<str>,
    /// The generation that the publisher has seen; 0 if the catalogue had no such kind.
    pub seen: u64,
    pub definition: Bytes,
    pub place: PublishedAs,
}

/// The place of a definition in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedAs {
    /// In force. A definition that is held stays held.
    Current,
    /// In force, and nothing is held any more.
    CurrentAndAccepted,
    /// Held until an operator accepts it.
    Held,
}

/// The outcome of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    Done,
    /// The catalogue's entry had changed: look again.
    Changed,
    /// The catalogue has [`MAX_PUBLISHED_KINDS`] kinds.
    Full,
}

/// The decision of an operator about a definition that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldDecision {
    /// It comes into force.
    Accept,
    /// It is dropped.
    Reject,
}

impl PublishedKinds<'_> {
    /// Subscribes to changes. A message is a generation, or `-` and the name of a kind that was removed.
    pub fn news(&self) -> Arc<Inbox> {
        self.subscriptions.listen(vec![self.core.keys.kinds_channel()])
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        let keys = &self.core.keys;
        [keys.kinds(), keys.kind_changes(), keys.held_kinds()].map(Key::from).into()
    }
}
