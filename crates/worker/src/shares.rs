//! Divides the slots of a worker among its queues: by weight while several queues have due jobs. A queue that is
//! alone gets every free slot.
//!
//! A claim loop reserves room here before a claim, and reports afterwards how many jobs it got:
//!
//! ```text
//!           ┌─ room ────▶ Polling ── more jobs are due ──▶ HasDueJobs ◀── more jobs are due ──┐
//!  Idle ────┤                                                │    │                           │
//!           │                               ┌─── no room ────┘    └──── room ───▶ Claiming ───┘
//!           │                               ▼                                        ▲
//!           └─ no room ──────────────▶ WaitingForRoom ──────────────── room ─────────┘
//! ```
//!
//! A queue returns to `Idle` when its claim fails or leaves no due jobs, or when it waits for anything other than room.
//! All queues but those in `Idle` and `Polling` compete for slots. A queue that has used more than its share waits
//! until the others that compete have caught up (start-time fair queueing: Goyal, Vin and Cheng, 1996).

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(crate) struct Shares {
    /// Slots of the worker.
    size: usize,
    queues: Mutex<Vec<Share>>,
    /// One per queue, notified when the queue may find room.
    changed: Vec<Notify>,
}

struct Share {
    weight: f64,
    /// Jobs claimed per unit of weight while other queues had due jobs as well.
    spent: f64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// No due jobs are known.
    Idle,
    /// A claim finds out whether jobs are due.
    Polling(Grant),
    /// There may be due jobs, but no room to claim them.
    WaitingForRoom,
    /// A claim is under way for a queue that competes.
    Claiming(Grant),
    /// The last claim left due jobs.
    HasDueJobs,
}

/// Room for one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) room: usize,
    pub(crate) may_bring_suspect: bool,
}

impl State {
    fn competes(self) -> bool {
        !matches!(self, State::Idle | State::Polling(_))
    }

    /// The room of the claim that is under way.
    fn grant(self) -> Option<Grant> {
        if let State::Polling(grant) | State::Claiming(grant) = self { Some(grant) } else { None }
    }
}

impl Shares {
    pub(crate) fn new(size: usize, weights: impl Iterator<Item = u32>) -> Self {
        let share = |weight| Share { weight: f64::from(weight), spent: 0.0, state: State::Idle };
        let queues: Vec<Share> = weights.map(share).collect();
        let changed = queues.iter().map(|_| Notify::new()).collect();
        Shares { size, queues: Mutex::new(queues), changed }
    }

    /// Reserves room for a claim of the queue at `place`. All queues together may claim `free` jobs. Only one
    /// claim at a time may bring a suspect (see [`atode_queue::History::is_suspect`]).
    pub(crate) fn reserve(&self, place: usize, free: usize, has_suspect: bool) -> Grant {
        let mut queues = self.queues();
        let grants = || queues.iter().filter_map(|share| share.state.grant());
        let free = free.saturating_sub(grants().map(|grant| grant.room).sum());
        let may_bring_suspect = !has_suspect && !grants().any(|grant| grant.may_bring_suspect);
        let others =
            queues.iter().enumerate().filter(|(other, share)| *other != place && share.state.competes());
        let (weights, least) = others.fold((0.0, f64::INFINITY), |(weights, least), (_, share)| {
            (weights + share.weight, share.spent.min(least))
        });
        let share = &mut queues[place];
        let room = if least.is_infinite() {
            free
        } else {
            if !share.state.competes() {
                share.spent = share.spent.max(least); // a queue saves nothing up while it has no jobs
            }
            let round = self.size as f64 / (weights + share.weight);
            free.min(((least + round - share.spent) * share.weight).ceil().max(0.0) as usize)
        };
        let grant = Grant { room, may_bring_suspect: may_bring_suspect && room > 0 };
        share.state = match share.state {
            _ if room == 0 => State::WaitingForRoom,
            State::Idle => State::Polling(grant),
            _ => State::Claiming(grant),
        };
        grant
    }

    /// Reports the jobs that a claim got, and whether it left due jobs.
    pub(crate) fn claimed(&self, place: usize, jobs: usize, has_more: bool) {
        let mut queues = self.queues();
        let share = &mut queues[place];
        share.state = if has_more { State::HasDueJobs } else { State::Idle };
        share.spent += jobs as f64 / share.weight;
        if !queues.iter().any(|share| share.state.competes()) {
            queues.iter_mut().for_each(|share| share.spent = 0.0);
        }
        drop(queues);
        for (other, changed) in self.changed.iter().enumerate() {
            if other != place {
                changed.notify_one();
            }
        }
    }

    /// The queue waits for something other than room, and leaves its share to the others.
    pub(crate) fn idle(&self, place: usize) {
        self.claimed(place, 0, false);
    }

    /// Waits until the queue at `place` may find room. Returns at once if room appeared since the last call.
    pub(crate) async fn changed(&self, place: usize) {
        self.changed[place].notified().await;
    }

    /// A job has left its slot, or no longer waits for one.
    pub(crate) fn slot_freed(&self) {
        self.changed.iter().for_each(Notify::notify_one);
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Share>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots that queues of these weights get if all have due jobs and slots become free one by one.
    fn divide(weights: &[u32], slots: usize) -> Vec<usize> {
        let shares = Shares::new(1, weights.iter().copied());
        let mut taken = vec![0; weights.len()];
        for slot in 0..slots {
            let first = slot % weights.len(); // any queue may ask first
            for place in (0..weights.len()).map(|n| (first + n) % weights.len()) {
                if shares.reserve(place, 1, false).room > 0 {
                    taken[place] += 1;
                    shares.claimed(place, 1, true);
                    break;
                }
            }
        }
        taken
    }

    #[test]
    fn queues_with_due_jobs_share_by_weight() {
        let taken = divide(&[1, 2, 4], 700);
        for (taken, expected) in taken.iter().zip([100, 200, 400]) {
            assert!(taken.abs_diff(expected) <= 3, "{taken} instead of {expected}");
        }
    }

    #[test]
    fn a_queue_gets_all_slots_while_the_others_have_no_due_jobs() {
        let shares = Shares::new(64, [1, 1].into_iter());
        assert_eq!(shares.reserve(0, 64, false).room, 64);
        assert_eq!(shares.reserve(1, 64, false).room, 0, "the slots are reserved for a claim under way");
        shares.claimed(0, 10, false);
        assert_eq!(shares.reserve(1, 54, false).room, 54);
        shares.claimed(1, 54, true);
        assert_eq!(shares.reserve(1, 64, false).room, 64);
    }

    #[test]
    fn a_queue_without_due_jobs_for_long_gets_its_share_and_no_more() {
        let shares = Shares::new(4, [1, 1].into_iter());
        for _ in 0..1_000 {
            assert_eq!(shares.reserve(0, 4, false).room, 4);
            shares.claimed(0, 4, true);
        }
        assert_eq!(shares.reserve(1, 4, false).room, 2);
        shares.claimed(1, 2, true);
        let (mut first, mut second) = (0, 0);
        for _ in 0..100 {
            for (place, sum) in [(0, &mut first), (1, &mut second)] {
                let room = shares.reserve(place, 1, false).room;
                shares.claimed(place, room, true);
                *sum += room;
            }
        }
        assert!(first.abs_diff(second) <= 6, "{first} {second}");
    }

    #[test]
    fn a_queue_that_polls_leaves_all_other_slots_to_the_queues_with_due_jobs() {
        let shares = Shares::new(8, [1, 1].into_iter());
        assert_eq!(shares.reserve(0, 8, false).room, 8);
        shares.claimed(0, 8, true);
        assert_eq!(shares.reserve(1, 1, false).room, 1);
        assert_eq!(shares.reserve(0, 8, false).room, 7, "only the slot of the poll is missing");
        shares.claimed(0, 7, true);
        shares.claimed(1, 1, true);
        assert_eq!(shares.reserve(0, 8, false).room, 0, "the other queue has due jobs, and is behind");
    }

    #[test]
    fn a_queue_that_found_no_room_for_its_first_claim_gets_its_share() {
        let shares = Shares::new(1, [1, 4].into_iter());
        assert_eq!(shares.reserve(1, 1, false).room, 1);
        assert_eq!(shares.reserve(0, 1, false).room, 0, "the slot is reserved");
        shares.claimed(1, 1, true);
        assert_eq!(shares.reserve(1, 1, false).room, 0, "the other queue is next");
        assert_eq!(shares.reserve(0, 1, false).room, 1);
    }

    #[test]
    fn only_one_claim_at_a_time_may_bring_a_suspect() {
        let shares = Shares::new(64, [1, 1].into_iter());
        assert!(!shares.reserve(0, 64, true).may_bring_suspect, "a suspect runs");
        shares.claimed(0, 0, false);
        assert!(shares.reserve(0, 10, false).may_bring_suspect);
        assert!(!shares.reserve(1, 64, false).may_bring_suspect);
        shares.claimed(1, 0, false);
        shares.claimed(0, 0, false);
        assert!(shares.reserve(1, 64, false).may_bring_suspect);
    }
}
