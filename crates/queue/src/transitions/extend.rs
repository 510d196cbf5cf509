//! Extending leases.

use std::time::Duration;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::lease::LeaseRef;
use crate::model::settlement::{LEASE_WEIGHT, Verdict};
use crate::scripts::EXTEND;
use crate::wire;

pub(crate) async fn extend(
    core: &Core,
    queue: &str,
    leases: &[LeaseRef],
    lease: Duration,
) -> Result<Vec<Verdict>, Error> {
    let keys = core.keys.queue(queue);
    let mut verdicts = Vec::with_capacity(leases.len());
    for call in core.outgoing.calls(leases, |_| LEASE_WEIGHT) {
        let (kinds, places) = wire::numbered(call.iter().map(|lease| &lease.kind));
        let mut args = vec![wire::millis(lease)];
        wire::push_leases(&mut args, call.iter());
        args.extend(places);
        let first = [keys.jobs(), keys.active(), keys.state()];
        let script_keys = wire::keys(&keys, first, kinds, &[Set::Lease]);
        let reply =
            core.call_with(&core.connection, LEASE_WEIGHT * call.len(), &EXTEND, script_keys, args).await?;
        verdicts.extend(reply.verdicts(call.len())?);
    }
    Ok(verdicts)
}
