//! `atode queues`

use atode_queue::{Items, QueueView};
use futures_util::future::try_join_all;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Column, whole};
use crate::watch::Drawn;

const COLUMNS: [Column<QueueView>; 9] = [
    whole("queue", |queue| queue.name.clone()),
    whole("paused", |queue: &QueueView| if queue.paused { "yes" } else { "no" }.to_owned())
        .toned(|queue| if queue.paused { Tone::Warning } else { Tone::Plain }),
    whole("scheduled", |queue| queue.counts.scheduled.to_string()),
    whole("ready", |queue| queue.counts.ready.to_string()),
    whole("active", |queue| queue.counts.active.to_string()),
    whole("completed", |queue| queue.counts.completed.to_string()),
    whole("dead", |queue: &QueueView| queue.counts.dead.to_string())
        .toned(|queue| if queue.counts.dead > 0 { Tone::Bad } else { Tone::Plain }),
    whole("cancelled", |queue| queue.counts.cancelled.to_string()),
    // Age of the oldest ready job.
    whole("waits", |queue| queue.oldest_ready_age.map_or("–".to_owned(), |age| age.to_string())),
];

pub(crate) async fn list(backend: &Backend, form: Form) -> anyhow::Result<Drawn> {
    let queues = read(backend).await?;
    Ok(print::answer_text(form, &queues, |queues| print::table_text(&COLUMNS, &queues.items))?.into())
}

pub(crate) async fn read(backend: &Backend) -> anyhow::Result<Answer<Items<QueueView>>> {
    match backend {
        Backend::Http(gateway) => Ok(gateway.get(Endpoint::v1(["queues"])).await?),
        Backend::Direct(session) => Answer::of(&Items { items: queues(session).await? }),
    }
}

async fn queues(session: &Session) -> anyhow::Result<Vec<QueueView>> {
    let names = session.queues().await?;
    let workers = session.client.workers().await?;
    let queues = try_join_all(names.iter().map(|name| session.client.queue(name))).await?;
    Ok(queues.into_iter().map(|queue| queue.with_workers(&workers)).collect())
}
