//! The memory that bodies may take: one budget of bytes for all that the gateway reads, works on and writes at a
//! time. Beyond it a request is refused before anything is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::problem::{Problem, Slug};

/// Bytes of all bodies together, copies included.
const TOTAL: usize = 160 << 20;

/// Shares above this leave the last quarter to smaller ones, so that single jobs find room beside any batches.
const LARGE: usize = 1 << 20;

pub(crate) struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// A part of the room, given back when dropped.
pub(crate) struct Share {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// `largest`: the largest share that anybody may need.
    pub(crate) fn new(largest: usize) -> Arc<Self> {
        // The largest has to fit into what large ones may take.
        Arc::new(Room { most: TOTAL.max(largest.saturating_mul(2)), taken: AtomicUsize::new(0) })
    }

    /// A share of nothing, to be grown.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }

    /// Bytes that are taken now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Makes the share this large; a smaller size changes nothing.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let most = if bytes > LARGE { self.room.most / 4 * 3 } else { self.room.most };
        let taken = self.room.taken.fetch_add(more, Ordering::Relaxed) + more;
        if taken > most {
            self.room.taken.fetch_sub(more, Ordering::Relaxed);
            return Err(Problem::new(
                Slug::Unavailable,
                "too many large requests are being served at the moment. Nothing was stored: send the request again",
            ));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Makes the share at most this large.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.room.taken.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// [`grow`](Self::grow) for what cannot be refused any more.
    pub(crate) fn grow_anyway(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.room.taken.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_makes_room_and_large_shares_leave_some_to_small_ones() {
        let room = Room::new(0);
        let taken = |bytes| {
            let mut share = room.share();
            share.grow(bytes).map(|()| share)
        };
        let large = [taken(TOTAL / 2).unwrap(), taken(TOTAL / 4).unwrap()];
        assert_eq!(taken(2 * LARGE).err().map(|problem| problem.status().as_u16()), Some(503));
        let small: Vec<Share> = std::iter::from_fn(|| taken(LARGE).ok()).collect();
        assert_eq!(small.len(), TOTAL / 4 / LARGE);
        assert_eq!(room.taken(), TOTAL);
        drop(large);
        assert!(taken(2 * LARGE).is_ok());
        drop(small);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn the_largest_share_fits_however_large_it_is() {
        let room = Room::new(3 * TOTAL);
        assert!(room.share().grow(3 * TOTAL).is_ok());
    }
}
