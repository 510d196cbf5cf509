//! The lease of a bulk operation: one runner at a time goes through its jobs and writes its progress.

use std::time::Duration;

use fred::interfaces::SortedSetsInterface;
use fred::types::{Key, Value};

use crate::bulk::action::BulkAction;
use crate::bulk::progress::{Fields, Progress};
use crate::bulk::store::{self, Bulks, KEPT, MAX_ENDED_BULKS, action};
use crate::bulk::view::BulkState;
use crate::core::Core;
use crate::error::Error;
use crate::list::query::ListQuery;
use crate::model::id::BulkId;
use crate::scripts::{NOTE_BULK, TAKE_BULK};
use crate::wire;

/// A runner that says nothing for this long is replaced.
const LEASE: Duration = Duration::from_secs(6);

/// A bulk operation in the hands of this runner.
pub(crate) struct Held {
    pub(crate) id: BulkId,
    token: String,
    pub(crate) action: BulkAction,
    /// One list per phase.
    pub(crate) phases: Vec<ListQuery>,
    /// The instant of its creation, Unix ms.
    pub(crate) as_of: i64,
    pub(crate) progress: Progress,
}

/// The answer to a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// Written; this many bulk operations wait or run.
    Written { open: u64 },
    /// Written, and somebody asked to stop.
    ToAbort,
    /// Another runner holds it.
    Lost,
}

/// Takes a bulk operation, unless another runner holds it. An error says that this build cannot read it.
pub(crate) async fn take(core: &Core, id: BulkId, runner: &str) -> Result<Option<Held>, Error> {
    let known = Bulks { core }.fields(id).await?;
    let number = |fields: &Fields, name: &str| fields.get(name).and_then(|text| text.parse::<i64>().ok());
    if known.is_empty() {
        // Somebody removed it by hand. It must not take the turn of others.
        let open = core.keys.open_bulks();
        let _: i64 = core.connection.client()?.zrem(open, id.to_string()).await?;
        return Ok(None);
    }
    if number(&known, "held_until").is_some_and(|until| until > core.clock.now()) {
        return Ok(None);
    }
    // A later release may have made it. This build leaves alone what it cannot read, before it takes it.
    read(id, &known)?;
    let args = vec![wire::millis(LEASE), runner.into()];
    let reply = core.call(&TAKE_BULK, vec![core.keys.bulk(id).into()], args).await?;
    if !reply.is_done()? {
        return Ok(None);
    }
    let fields = reply.values().get(1).cloned().and_then(|fields| fields.convert::<Fields>().ok());
    read(id, &fields.ok_or_else(|| reply.corrupt())?).map(Some)
}

fn read(id: BulkId, fields: &Fields) -> Result<Held, Error> {
    let unreadable = || Error::corrupt(format!("the bulk operation {id}: a later release may have made it"));
    let field = |name: &str| fields.get(name).ok_or_else(unreadable);
    let query: ListQuery = serde_json::from_str(field("query")?).map_err(|_| unreadable())?;
    let phases = BulkAction::phases(&query.states);
    let phases: Vec<ListQuery> =
        phases.into_iter().map(|states| ListQuery { states, ..query.clone() }).collect();
    let progress = Progress::decode(fields, &phases)?;
    Ok(Held {
        id,
        token: field("token")?.clone(),
        action: action(fields).ok_or_else(unreadable)?,
        as_of: field("created")?.parse().map_err(|_| unreadable())?,
        phases,
        progress,
    })
}

impl Held {
    /// Writes the progress and prolongs the hold.
    pub(crate) async fn note(&self, core: &Core) -> Result<Noted, Error> {
        self.write(core, LEASE, "", Vec::new()).await
    }

    /// Writes the progress and lets another runner go on.
    pub(crate) async fn give_back(&self, core: &Core) -> Result<(), Error> {
        self.write(core, Duration::ZERO, "", Vec::new()).await.map(drop)
    }

    pub(crate) async fn end(&self, core: &Core, state: BulkState, error: &str) -> Result<(), Error> {
        let why = vec!["error".into(), error.into()];
        self.write(core, Duration::ZERO, state.word(), why).await.map(drop)
    }

    async fn write(
        &self,
        core: &Core,
        lease: Duration,
        state: &str,
        more: Vec<Value>,
    ) -> Result<Noted, Error> {
        let keys = [core.keys.bulk(self.id), core.keys.open_bulks(), core.keys.ended_bulks()];
        let mut args: Vec<Value> = vec![
            self.token.as_str().into(),
            wire::millis(lease),
            self.id.to_string().into(),
            state.into(),
            KEPT.into(),
            wire::count(MAX_ENDED_BULKS),
        ];
        args.extend(self.progress.encode(self.phases.get(self.progress.phase)));
        args.extend(more);
        let reply = core.call(&NOTE_BULK, keys.map(Key::from).into(), args).await?;
        store::forget(core, reply.values().get(3)).await;
        Ok(match (reply.number(0)?, reply.number(1)?) {
            (0, _) => Noted::Lost,
            (_, 1) => Noted::ToAbort,
            _ => Noted::Written { open: reply.number(2)? },
        })
    }
}
