//! Extending leases.

use std::time::Duration;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::lease::LeaseRef;
use crate::model::settlement::{LEASE_WEIGHT, Verdict};
use crate::scripts::EXTEND;
use crate::wire::{self, KindPlaces};

/// Extends leases of one queue to `lease` from now.
pub(crate) async fn extend(
    core: &Core,
    queue: &str,
    leases: &[LeaseRef],
    lease: Duration,
) -> Result<Vec<Verdict>, Error> {
    let keys = core.keys().queue(queue);
    let mut verdicts = Vec::with_capacity(leases.len());
    let mut rest = leases;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(core.outgoing().fitting(rest.iter().map(|_| LEASE_WEIGHT)));
        rest = later;
        let mut kinds = KindPlaces::default();
        let mut args = vec![wire::millis(lease)];
        wire::push_leases(&mut args, chunk.iter());
        args.extend(chunk.iter().map(|lease| kinds.place(&lease.kind)));
        let mut script_keys = vec![keys.jobs().into(), keys.active().into(), keys.state().into()];
        script_keys.extend(kinds.keys(&keys, &[Set::Lease]));
        let reply = core.call_with(LEASE_WEIGHT * chunk.len(), &EXTEND, script_keys, args).await?;
        verdicts.extend(reply.verdicts(chunk.len())?);
    }
    Ok(verdicts)
}
