//! Whether Redis would store a job now, and how full it is.

use std::collections::HashMap;

use fred::types::{Key, Value};

use crate::client::Client;
use crate::error::{Error, RefusalCode};
use crate::scripts::ENQUEUE;

/// Percent of `maxmemory` from which an operator is warned: finished jobs have made room long before.
const NEARLY_FULL: u64 = 90;

/// Any queue's keys will do: nothing is written.
const QUEUE: &str = "default";

/// Bytes, as `INFO` says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) used: u64,
    /// 0: no limit.
    pub(crate) limit: u64,
}

impl Memory {
    pub(crate) fn from_info(facts: &HashMap<&str, &str>) -> Self {
        let number = |name: &str| facts.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        Memory { used: number("used_memory"), limit: number("maxmemory") }
    }

    pub(crate) fn warning(self) -> Option<String> {
        let percent = (100 * self.used).checked_div(self.limit)?;
        (percent >= NEARLY_FULL).then(|| {
            format!(
                "Redis' memory is {percent} % full ({} of {} MiB): at 100 % it refuses new jobs. Finished jobs make \
                 room by themselves while a worker lives; purge dead ones, or raise maxmemory.",
                self.used >> 20,
                self.limit >> 20
            )
        })
    }
}

impl Client {
    /// Why Redis would refuse a job now, and what to do about it; none where it would take one. It is asked by
    /// the enqueue script without a job, which is refused as any other and writes nothing.
    pub(crate) async fn refusal(&self) -> Option<String> {
        let keys = self.keys().queue(QUEUE);
        let keys: Vec<Key> = vec![keys.jobs().into(), keys.kinds().into(), keys.stats().into()];
        // atomic, wake channel, ms of a key, kinds, jobs
        let args: Vec<Value> = vec!["0".into(), "".into(), 0.into(), 0.into(), 0.into()];
        let Err(Error::Refused { code, .. }) = self.call(&ENQUEUE, keys, args).await else { return None };
        Some(match code {
            RefusalCode::OutOfMemory => {
                "Redis' memory is full, and it refuses new jobs. Purge finished and dead jobs (POST \
                 /v1/queues/{queue}/purge?state=completed), or raise maxmemory."
                    .to_owned()
            }
            RefusalCode::Misconfigured => {
                "Redis cannot save to its disk (MISCONF), and refuses new jobs and their results. Its log says why; \
                 is the disk full?"
                    .to_owned()
            }
            RefusalCode::NoReplicas => {
                "Redis has fewer replicas than min-replicas-to-write, and refuses new jobs and their results. Start \
                 them, or lower the setting."
                    .to_owned()
            }
            other => format!("Redis refuses new jobs at the moment ({other:?})."),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_that_is_nearly_full_is_a_warning() {
        let warning = |used, limit| Memory { used, limit }.warning();
        assert_eq!(warning(1 << 30, 0), None);
        assert_eq!(warning(89 << 20, 100 << 20), None);
        let text = warning(90 << 20, 100 << 20).unwrap_or_default();
        assert!(text.contains("90 % full (90 of 100 MiB)"), "{text}");
    }
}
