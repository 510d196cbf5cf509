//! Counts on their way to Redis: one batch per queue and minute. A batch that was sent is not changed any more, because
//! its answer may have been lost: it is sent again under the same number, and Redis writes it once.

use std::collections::{BTreeMap, VecDeque};

use crate::history::cells::Cells;
use crate::model::id::JobId;

/// Kinds per batch, so that no call blocks Redis for long.
const KINDS: usize = 50;

/// Batches that wait while Redis is away. Little happens then, because jobs are counted when Redis has confirmed them.
/// Beyond it the oldest are dropped.
const BATCHES: usize = 500;

pub(crate) struct Outbox {
    /// Distinguishes this process from others.
    pub(crate) process: String,
    last_number: u64,
    batches: VecDeque<Batch>,
}

pub(crate) struct Batch {
    /// Unique in this process.
    pub(crate) number: u64,
    pub(crate) queue: String,
    /// Minutes since 1970, by Redis' clock.
    pub(crate) minute: i64,
    pub(crate) kinds: BTreeMap<String, Cells>,
    was_sent: bool,
}

impl Outbox {
    /// `now` is Redis' time in Unix ms.
    pub(crate) fn new(now: i64) -> Self {
        Outbox { process: JobId::new(now).short(), last_number: 0, batches: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, queue: String, kind: String, minute: i64, cells: &Cells) {
        let fits = |batch: &&mut Batch| {
            !batch.was_sent
                && batch.queue == queue
                && batch.minute == minute
                && (batch.kinds.len() < KINDS || batch.kinds.contains_key(&kind))
        };
        if let Some(batch) = self.batches.iter_mut().find(fits) {
            *batch.kinds.entry(kind).or_default() += cells;
            return;
        }
        if self.batches.len() == BATCHES {
            tracing::warn!("dropping the oldest part of the history that could not be written to Redis");
            self.batches.pop_front();
        }
        self.last_number += 1;
        let kinds = BTreeMap::from([(kind, cells.clone())]);
        self.batches.push_back(Batch { number: self.last_number, queue, minute, kinds, was_sent: false });
    }

    /// The next batch to send. It stays until [`written`](Self::written).
    pub(crate) fn next(&mut self) -> Option<&Batch> {
        let batch = self.batches.front_mut()?;
        batch.was_sent = true;
        Some(batch)
    }

    /// The batch that was sent last needs no further attempt.
    pub(crate) fn written(&mut self) {
        self.batches.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::cells::Event;
    use crate::history::tally::Tally;

    fn one_job() -> Cells {
        let tally = Tally::default();
        tally.count(Event::Enqueued, 1);
        tally.take()
    }

    fn add(outbox: &mut Outbox, queue: &str, kind: &str, minute: i64) {
        outbox.add(queue.to_owned(), kind.to_owned(), minute, &one_job());
    }

    #[test]
    fn counts_of_a_queue_and_minute_share_a_batch_until_it_is_sent() {
        let mut outbox = Outbox::new(0);
        for kind in ["a:b", "a:b", "a:c"] {
            add(&mut outbox, "default", kind, 7);
        }
        add(&mut outbox, "mail", "a:b", 7);
        add(&mut outbox, "default", "a:b", 8);
        let sent = outbox.next().map(|batch| (batch.number, batch.kinds["a:b"].count(Event::Enqueued)));
        assert_eq!(sent, Some((1, 2)));
        add(&mut outbox, "default", "a:b", 7);
        let again = outbox.next().map(|batch| (batch.number, batch.kinds["a:b"].count(Event::Enqueued)));
        assert_eq!(again, sent, "its answer may have been lost");
        let mut rest = Vec::new();
        loop {
            outbox.written();
            let Some(batch) = outbox.next() else { break };
            rest.push((batch.number, batch.queue.clone(), batch.minute));
        }
        let name = |queue: &str| queue.to_owned();
        assert_eq!(rest, [(2, name("mail"), 7), (3, name("default"), 8), (4, name("default"), 7)]);
    }

    #[test]
    fn a_batch_has_at_most_so_many_kinds_and_the_outbox_so_many_batches() {
        let mut outbox = Outbox::new(0);
        for kind in 0..=KINDS {
            add(&mut outbox, "default", &format!("a:{kind}"), 7);
        }
        assert_eq!(outbox.batches.iter().map(|batch| batch.kinds.len()).collect::<Vec<_>>(), [KINDS, 1]);
        for minute in 0..1_000 {
            add(&mut outbox, "default", "a:b", minute);
        }
        assert_eq!(outbox.batches.len(), BATCHES);
        assert_eq!(outbox.batches.back().map(|batch| batch.minute), Some(999));
    }
}
