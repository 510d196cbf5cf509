//! Pausing a queue, and resuming it.

use crate::core::Core;
use crate::error::Error;
use crate::scripts::{PAUSE, RESUME};

/// Stops handing out jobs from a queue. Running jobs are not affected.
pub(crate) async fn pause(core: &Core, queue: &str) -> Result<(), Error> {
    // Shows the pause of a queue that never had a job. A full Redis accepts a pause, but no new name.
    match core.catalogue().announce(queue).await {
        Ok(()) | Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    core.call(&PAUSE, vec![core.keys().queue(queue).paused().into()], Vec::new()).await.map(drop)
}

/// Hands out jobs again.
pub(crate) async fn resume(core: &Core, queue: &str) -> Result<(), Error> {
    let keys = core.keys().queue(queue);
    core.call(&RESUME, vec![keys.paused().into()], vec![keys.wake_channel().into()]).await.map(drop)
}
