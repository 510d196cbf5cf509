//! What is counted for clients of the same limits: a policy, and the local limiter that holds it.

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
