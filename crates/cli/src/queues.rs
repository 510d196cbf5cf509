//! `atode queues`

use futures_util::future::try_join_all;

use crate::print::{self, Form};
use crate::session::Session;
use crate::table::whole;

pub(crate) async fn list(session: &Session, form: Form) -> anyhow::Result<()> {
    let names = session.queues().await?;
    let workers = session.client.workers().await?;
    let queues = try_join_all(names.iter().map(|name| session.client.queue(name))).await?;
    let queues: Vec<_> = queues.into_iter().map(|queue| queue.with_workers(&workers)).collect();
    if form == Form::Json {
        return print::items(&queues);
    }
    let columns = [
        whole("queue"),
        whole("paused"),
        whole("scheduled"),
        whole("ready"),
        whole("active"),
        whole("completed"),
        whole("dead"),
        whole("cancelled"),
        // Age of the oldest ready job.
        whole("waits"),
    ];
    print::table(
        &columns,
        queues.into_iter().map(|queue| {
            let counts = queue.counts;
            let mut row = vec![queue.name, if queue.paused { "yes" } else { "no" }.to_owned()];
            row.extend(
                [
                    counts.scheduled,
                    counts.ready,
                    counts.active,
                    counts.completed,
                    counts.dead,
                    counts.cancelled,
                ]
                .map(|count| count.to_string()),
            );
            row.push(queue.oldest_ready_age.unwrap_or_else(|| "–".to_owned()));
            row
        }),
    )
}
