//! Pausing a queue, and resuming it.

use crate::client::Client;
use crate::error::Error;
use crate::scripts::{PAUSE, RESUME};

impl Client {
    /// Stops handing out jobs from a queue. Running jobs are not affected.
    pub async fn pause(&self, queue: &str) -> Result<(), Error> {
        let core = &self.0.core;
        // Shows the pause of a queue that never had a job. A full Redis accepts a pause, but no new name.
        match core.announce(queue).await {
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        core.call(&PAUSE, vec![core.keys.queue(queue).paused().into()], Vec::new()).await.map(drop)
    }

    /// Hands out jobs from a paused queue again.
    pub async fn resume(&self, queue: &str) -> Result<(), Error> {
        let keys = self.0.core.keys.queue(queue);
        let args = vec![keys.wake_channel().into()];
        self.0.core.call(&RESUME, vec![keys.paused().into()], args).await.map(drop)
    }
}
