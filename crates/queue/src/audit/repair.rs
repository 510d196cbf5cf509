//! Putting findings right, each by one script that looks again before it writes.

use std::borrow::Cow;

use fred::interfaces::{KeysInterface, PubsubInterface};
use fred::types::{Key, Value};
use serde::Serialize;

use super::judge::{Mending, Target};
use super::{Finding, Plan};
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::scripts::{ENROL, MEND, SET_ASIDE, Script};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Repaired {
    Done {
        /// Where what could not stay is now.
        #[serde(skip_serializing_if = "Option::is_none")]
        set_aside: Option<String>,
    },
    /// It is no longer as it was found, so nothing was done: the next audit tells what it is now.
    Changed,
}

impl Client {
    /// May be repeated, whatever became of the first call.
    pub async fn repair(&self, finding: &Finding) -> Result<Repaired, Error> {
        match &finding.plan {
            Plan::Mend(mending) => self.mend(finding.queue.as_deref().unwrap_or_default(), mending).await,
            Plan::SetAside { key, key_type } => {
                let aside = self.keys().set_aside(key, self.now());
                let script_keys = vec![key.into(), (&aside).into()];
                let done = self.writes(&SET_ASIDE, script_keys, vec![(*key_type).into()]).await?;
                Ok(repaired(done, Some(aside)))
            }
            Plan::Enrol { queue, list, name, keys } => {
                let exist: i64 = self.connection().reader()?.exists(keys.clone()).await?;
                if exist == 0 {
                    return Ok(Repaired::Changed);
                }
                let done = self.writes(&ENROL, vec![list.into()], vec![(&**name).into()]).await?;
                // Jobs may be waiting there that no worker knows of. Like every message it may be lost.
                let wake_channel = self.keys().queue(queue).wake_channel();
                let _: Result<(), _> = self.connection().writer()?.publish(wake_channel, self.now()).await;
                Ok(repaired(done, None))
            }
        }
    }

    async fn mend(&self, queue: &str, mending: &Mending) -> Result<Repaired, Error> {
        let keys = self.keys().queue(queue);
        let aside = self.keys().records_set_aside(queue);
        let mut script_keys: Vec<Key> = vec![
            keys.jobs().into(),
            keys.active().into(),
            keys.state().into(),
            keys.kinds().into(),
            (&aside).into(),
        ];
        for kind in &mending.kinds {
            script_keys.extend(Set::ALL.map(|set| Key::from(keys.set(kind, set))));
        }
        let flag = |is_set| if is_set { '1' } else { '0' };
        let mut judged = String::from(flag(mending.has_state));
        let all = 0..mending.kinds.len() * Set::ALL.len();
        judged.extend(all.map(|place| flag(mending.places.contains(&place))));
        let (target, source, at) = match mending.target {
            Target::Stay(place) => (Some(place), None, 0),
            Target::Move { from, to } => (Some(to), Some(from), 0),
            Target::Due { to, at } => (Some(to), None, at),
            Target::Out => (None, None, 0),
        };
        // From 1, as Lua counts.
        let number = |place: Option<usize>| Value::from(place.map_or(0, |place| place as i64 + 1));
        let entry = mending
            .entry
            .as_ref()
            .map_or(Cow::Borrowed(&b""[..]), |entry| [b"=", &entry[..]].concat().into());
        let args = vec![
            Value::Bytes(mending.id.clone()),
            (&*mending.digest).into(),
            Value::Bytes(entry.into_owned().into()),
            judged.into(),
            number(target),
            number(source),
            at.into(),
            target.map_or("", |place| mending.kind(place)).into(),
            i64::from(mending.keeps_entry()).into(),
            keys.wake_channel().into(),
        ];
        let done = self.writes(&MEND, script_keys, args).await?;
        let has_record = !mending.digest.is_empty();
        Ok(repaired(done, (target.is_none() && has_record).then_some(aside)))
    }

    async fn writes(&self, script: &Script, keys: Vec<Key>, args: Vec<Value>) -> Result<bool, Error> {
        let reply = self.call(script, keys, args).await?;
        let done = reply.get(1).and_then(Value::as_i64);
        done.map(|done| done == 1).ok_or_else(|| Error::corrupt(format!("the reply of {}", script.name)))
    }
}

fn repaired(done: bool, set_aside: Option<String>) -> Repaired {
    if done { Repaired::Done { set_aside } } else { Repaired::Changed }
}
