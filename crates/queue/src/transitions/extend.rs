//! Extending leases.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::lease::LeaseRef;
use crate::model::settlement::{LEASE_WEIGHT, Verdict};
use crate::scripts::EXTEND;
use crate::wire;

impl Client {
    /// Extends leases of one queue to `lease` from now.
    pub async fn extend(
        &self,
        queue: &str,
        leases: &[LeaseRef],
        lease: Duration,
    ) -> Result<Vec<Verdict>, Error> {
        let core = &self.0.core;
        let keys = core.keys.queue(queue);
        let mut verdicts = Vec::with_capacity(leases.len());
        for call in core.outgoing.calls(leases, |_| LEASE_WEIGHT) {
            let (kinds, places) = wire::numbered(call.iter().map(|lease| &lease.kind));
            let mut args = vec![wire::millis(lease)];
            wire::push_leases(&mut args, call.iter());
            args.extend(places);
            let first = [keys.jobs(), keys.active(), keys.state()];
            let script_keys = wire::keys(&keys, first, kinds, &[Set::Lease]);
            let reply = core
                .call_with(&core.connection, LEASE_WEIGHT * call.len(), &EXTEND, script_keys, args)
                .await?;
            verdicts.extend(reply.verdicts(call.len())?);
        }
        Ok(verdicts)
    }
}
