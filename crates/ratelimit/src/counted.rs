//! A policy together with the local limiter that enforces it.

use crate::memory::Memory;
use crate::policy::Policy;

pub(crate) struct Counted {
    pub(crate) policy: Policy,
    pub(crate) memory: Memory,
}

impl Counted {
    pub(crate) fn new(policy: Policy) -> Self {
        Counted { memory: Memory::new(&policy), policy }
    }
}
