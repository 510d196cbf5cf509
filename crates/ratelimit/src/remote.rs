//! Limits shared by all gateways: script calls on a single Redis or a cluster.

use std::num::NonZeroU32;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{Key, Value};
use fred::util::sha1_hash;
use sha2::{Digest, Sha256};

use crate::decision::{Decision, Denial, Quota};
use crate::policy::Policy;
use crate::subject::Subject;

const SCRIPT: &str = include_str!("gcra.lua");

pub(crate) struct Remote {
    client: Client,
    prefix: String,
    sha1: String,
}

impl Remote {
    pub(crate) fn new(client: Client, prefix: &str) -> Self {
        Remote { client, prefix: prefix.to_owned(), sha1: sha1_hash(SCRIPT) }
    }

    /// The client's key, hash-tagged. An API key's name is hashed: it may be long and may contain braces.
    pub(crate) fn key(&self, policy: &Policy, subject: &Subject) -> String {
        let (prefix, id) = (&self.prefix, policy.id);
        match subject {
            Subject::Address(address) => format!("{prefix}ratelimit:{id}:{{{address}}}"),
            Subject::Key(name) => {
                let hash = Sha256::digest(name.as_bytes());
                format!("{prefix}ratelimit:{id}:{{key-{}}}", BASE64URL_NOPAD.encode(&hash[..16]))
            }
        }
    }

    /// Decides about `count` concurrent requests, in their order.
    pub(crate) async fn check(
        &self,
        policy: &Policy,
        key: &str,
        cost: NonZeroU32,
        count: usize,
    ) -> Result<Vec<Decision>, Error> {
        let reply = self.run(policy, key, cost, count).await?;
        decode(policy, cost, count, &reply).ok_or_else(|| {
            Error::new(fred::error::ErrorKind::Protocol, format!("unexpected reply {reply:?}"))
        })
    }

    /// Fails unless the server that has this client's key answers. Spends nothing.
    pub(crate) async fn probe(&self, policy: &Policy, subject: &Subject) -> Result<(), Error> {
        self.run(policy, &self.key(policy, subject), NonZeroU32::MIN, 0).await.map(drop)
    }

    async fn run(
        &self,
        policy: &Policy,
        key: &str,
        cost: NonZeroU32,
        count: usize,
    ) -> Result<Vec<Value>, Error> {
        let mut args: Vec<Value> = vec![cost.get().into(), (count as i64).into()];
        for window in &policy.windows {
            args.push((window.emission().as_micros() as i64).into());
            args.push(window.limit.get().into());
        }
        let keys = vec![Key::from(key)];
        match self.client.evalsha(self.sha1.as_str(), keys.clone(), args.clone()).await {
            // EVAL, not SCRIPT LOAD: in a cluster, it reaches the node that has the key.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                self.client.eval(SCRIPT, keys, args).await
            }
            other => other,
        }
    }
}

/// Decodes the script's reply, which `gcra.lua` describes.
fn decode(policy: &Policy, cost: NonZeroU32, count: usize, reply: &[Value]) -> Option<Vec<Decision>> {
    let [passed, refused, wait, remaining @ ..] = reply else { return None };
    let passed = usize::try_from(passed.as_i64()?).ok()?;
    let remaining: Vec<u32> = remaining
        .iter()
        .map(|remaining| Some(u32::try_from(remaining.as_i64()?).unwrap_or(0)))
        .collect::<Option<_>>()?;
    // The quotas at the time when `behind` further requests were still to come.
    let quotas = |behind: usize| -> Vec<Quota> {
        let more = cost.get().saturating_mul(behind as u32);
        policy.windows.iter().zip(&remaining).map(|(window, left)| Quota::new(*window, left + more)).collect()
    };
    let allowed = (0..passed).rev().map(|behind| Decision::Allowed(quotas(behind)));
    let mut decisions: Vec<Decision> = allowed.collect();
    if passed < count {
        let denial = Denial {
            violated: *policy.windows.get(usize::try_from(refused.as_i64()?).ok()?.checked_sub(1)?)?,
            retry_after: Duration::from_micros(wait.as_u64()?),
            quotas: quotas(0),
        };
        decisions.resize(count, Decision::Denied(denial));
    }
    Some(decisions)
}
