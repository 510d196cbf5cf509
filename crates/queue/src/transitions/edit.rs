//! Edits of a waiting job: its payload, its due time, its maximum of retries.

use fred::types::Value;
use serde_json::value::RawValue;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::History;
use crate::model::id::JobId;
use crate::model::new_job::Due;
use crate::model::record::Record;
use crate::model::state::State;
use crate::scripts::EDIT;
use crate::transitions::operate;
use crate::view::job;
use crate::wire;

/// How often an edit without a version begins again because the job was changed meanwhile.
const TRIES: usize = 3;

/// The changes to a job. What is unset stays.
#[derive(Debug, Default, Clone)]
pub struct Edit {
    pub payload: Option<Box<RawValue>>,
    pub due: Option<Due>,
    /// `Some(None)` gives the job the limit of its kind.
    pub max_retries: Option<Option<u32>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    Done,
    /// Only waiting jobs can be edited; nothing was changed.
    Refused(State),
    /// The job has been changed since the caller read it; nothing was changed.
    OtherVersion,
    /// There is no such job.
    Gone,
}

/// Edits a job that still has this version. Without one, the job may have any, and a change that another caller makes
/// at the same time is not undone, unless both change the same field.
pub(crate) async fn edit(
    core: &Core,
    queue: &str,
    kind: &str,
    id: JobId,
    version: Option<&str>,
    edit: &Edit,
) -> Result<Edited, Error> {
    let keys = core.keys.queue(queue);
    for _ in 0..TRIES {
        let Some((job, stored)) = job::as_stored(core, queue, kind, id).await? else {
            return Ok(Edited::Gone);
        };
        let Some(present) = job.version else { return Ok(job.state.map_or(Edited::Gone, Edited::Refused)) };
        if version.is_some_and(|version| version != present) {
            return Ok(Edited::OtherVersion);
        }
        let record = edit.apply(Record::decode(stored.record())?).encode(kind);
        let args = vec![
            id.short().into(),
            present.into(),
            Value::Bytes(record.into()),
            keys.wake_channel().into(),
            edit.due.map_or_else(|| "".into(), wire::due),
            edit.state(stored.history()?).into(),
        ];
        let script_keys = wire::keys(&keys, wire::job_keys(&keys), [kind], &Set::ALL);
        let reply = core.call(&EDIT, script_keys, args).await?;
        match operate::place(&reply).ok_or_else(|| reply.corrupt())? {
            (true, _) => return Ok(Edited::Done),
            (false, None) => return Ok(Edited::Gone),
            (false, Some(State::Scheduled | State::Ready)) => {} // changed since it was read
            (false, Some(state)) => return Ok(Edited::Refused(state)),
        }
    }
    Ok(Edited::OtherVersion)
}

impl Edit {
    pub fn is_empty(&self) -> bool {
        self.payload.is_none() && self.due.is_none() && self.max_retries.is_none()
    }

    /// The state behind its token, if the edit changes it: workers that could not read the former payload may read the
    /// new one.
    fn state(&self, mut history: History) -> String {
        if self.payload.is_none() || history.unread.is_none() {
            return String::new();
        }
        history.unread = None;
        history.encode_behind_token()
    }

    fn apply<'a>(&'a self, mut record: Record<'a>) -> Record<'a> {
        if let Some(payload) = &self.payload {
            record.payload = payload;
        }
        if let Some(max_retries) = self.max_retries {
            record.max_retries = max_retries;
        }
        match self.due {
            Some(Due::After(delay)) => {
                (record.delay, record.run_at) = (Some(delay.as_millis() as u64), None);
            }
            Some(Due::At(at)) => (record.delay, record.run_at) = (None, Some(at)),
            None => {}
        }
        record
    }
}
