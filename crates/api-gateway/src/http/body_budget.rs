//! The memory for bodies: one budget of bytes for all bodies that the gateway reads, processes and writes at the same
//! time. A request that exceeds it is refused before anything is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

/// Bytes in memory per byte of a body: the body itself, the records made of it, and the reply.
pub(crate) const COPIES: usize = 3;

/// Bytes of all bodies together, copies included.
const TOTAL: usize = 160 << 20;

/// Larger shares leave the last quarter of the room to smaller ones, so that single jobs find room beside any number of
/// batches.
const LARGE: usize = 1 << 20;

pub(crate) struct BodyBudget {
    capacity: usize,
    used: AtomicUsize,
}

/// Bytes reserved in the room. Dropping the share releases them.
pub(crate) struct Share {
    room: Arc<BodyBudget>,
    bytes: usize,
}

impl BodyBudget {
    /// `largest` is the largest share that any request may need.
    pub(crate) fn new(largest: usize) -> Arc<Self> {
        // The largest share has to fit into three quarters of the room.
        Arc::new(BodyBudget { capacity: TOTAL.max(largest.saturating_mul(2)), used: AtomicUsize::new(0) })
    }

    /// An empty share.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Grows the share to `bytes`. A larger share keeps its size.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let limit = if bytes > LARGE { self.room.capacity / 4 * 3 } else { self.room.capacity };
        let used = self.room.used.fetch_add(more, Ordering::Relaxed) + more;
        if used > limit {
            self.room.used.fetch_sub(more, Ordering::Relaxed);
            return Err(Problem::new(
                Slug::Unavailable,
                "too many large requests are being served at the moment. Nothing was stored: send the request again",
            ));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Shrinks the share to `bytes`. A smaller share keeps its size.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.room.used.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// [`grow`](Self::grow) beyond any limit, for a reply that cannot be refused anymore.
    pub(crate) fn grow_unbounded(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.room.used.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_shares_make_room_and_large_shares_leave_room_for_small_ones() {
        let room = BodyBudget::new(0);
        let reserve = |bytes| {
            let mut share = room.share();
            share.grow(bytes).map(|()| share)
        };
        let large = [reserve(TOTAL / 2).unwrap(), reserve(TOTAL / 4).unwrap()];
        assert_eq!(reserve(2 * LARGE).err().map(|problem| problem.status.as_u16()), Some(503));
        let small: Vec<Share> = std::iter::from_fn(|| reserve(LARGE).ok()).collect();
        assert_eq!(small.len(), TOTAL / 4 / LARGE);
        assert_eq!(room.used(), TOTAL);
        drop(large);
        assert!(reserve(2 * LARGE).is_ok());
        drop(small);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn the_largest_share_always_fits() {
        let room = BodyBudget::new(3 * TOTAL);
        assert!(room.share().grow(3 * TOTAL).is_ok());
    }
}
