//! The wake-ups of a worker: jobs that are due earlier than it knew, and the announcements of other workers.

use std::sync::Arc;

use crate::keys::Keys;
use crate::redis::inbox::{Inbox, Mail};
use crate::redis::subscription::Subscriptions;
use crate::workers::announcement::{Drained, KindSet};

/// A subscription to the wake-ups of some queues.
pub struct Wakeups {
    inbox: Arc<Inbox>,
    kinds: KindSet,
}

/// The news of a queue since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// True if a message may have been missed: claim at once.
    pub missed: bool,
    /// The last claim by a worker of the same kinds that took all due jobs.
    pub drained: Option<Drained>,
    /// The earliest due time published after that, Unix ms.
    pub due: Option<i64>,
    /// True if workers of other kinds claim from this queue, too.
    pub others: bool,
}

pub(crate) fn wakeups(
    subscriptions: &Subscriptions,
    keys: &Keys,
    queues: &[Arc<str>],
    kinds: &KindSet,
) -> Wakeups {
    let channels = queues.iter().map(|queue| keys.queue(queue).wake_channel());
    Wakeups { inbox: subscriptions.listen(channels.collect()), kinds: kinds.clone() }
}

impl Wakeups {
    /// Waits for the next message.
    pub async fn next(&self) -> Heard {
        Heard::from(&self.inbox.next().await, &self.kinds.0)
    }
}

impl Heard {
    /// A message is a due time, earlier than those before it, or an announcement. A later version may publish
    /// something else: it counts as missed.
    fn from(mail: &Mail, kinds: &str) -> Self {
        let mut heard = Heard { missed: mail.missed, ..Heard::default() };
        for message in &mail.messages {
            if let Ok(due) = message.parse() {
                heard.due = Some(heard.due.map_or(due, |known: i64| known.min(due)));
            } else if let Some((of, drained)) = Drained::parse(message) {
                if of == kinds {
                    heard = Heard { drained: Some(drained), due: None, missed: false, ..heard };
                } else {
                    heard.others = true;
                }
            } else {
                heard.missed = true;
            }
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::WorkerId;

    fn heard(messages: &[&str]) -> Heard {
        let messages = messages.iter().map(|message| (*message).to_owned()).collect();
        Heard::from(&Mail { missed: false, messages }, "ours")
    }

    #[test]
    fn a_claim_that_took_all_replaces_what_was_known_before_and_later_due_times_count() {
        let drained = |next_due| Some(Drained { next_due, watcher: None, workers: 3 });
        assert_eq!(heard(&["70", "50", "60"]), Heard { due: Some(50), ..Heard::default() });
        assert_eq!(
            heard(&["50", "=100 3 ours -", "80", "90"]),
            Heard { drained: drained(Some(100)), due: Some(80), ..Heard::default() }
        );
        assert_eq!(heard(&["50", "=-1 3 ours -"]), Heard { drained: drained(None), ..Heard::default() });
    }

    #[test]
    fn claims_of_other_kinds_do_not_change_what_is_known_of_the_own_kinds() {
        assert_eq!(
            heard(&["50", "=100 3 theirs -"]),
            Heard { due: Some(50), others: true, ..Heard::default() }
        );
    }

    #[test]
    fn a_message_that_cannot_be_read_means_that_something_was_missed() {
        assert!(heard(&["something new"]).missed);
        assert!(!heard(&["something new", "=100 3 ours -"]).missed);
    }

    #[test]
    fn the_watcher_is_named_by_its_id() {
        let worker = WorkerId::new(1_700_000_000_000);
        let heard = heard(&[&format!("=100 3 ours {worker}")]);
        assert_eq!(heard.drained.unwrap().watcher, Some(worker));
    }
}
