//! `atode workers`

use crate::print::{self, Form};
use crate::session::Session;

pub(crate) async fn list(session: &Session, form: Form) -> anyhow::Result<()> {
    let workers = session.client.workers().await?;
    if form == Form::Json {
        return print::json(&workers);
    }
    if workers.is_empty() {
        return print::line("no worker is running; jobs wait until one does");
    }
    let header = ["worker", "host", "pid", "build", "state", "active", "queues", "seen", "http"];
    print::table(
        &header,
        workers.into_iter().map(|worker| {
            vec![
                worker.worker.id.to_string(),
                worker.worker.host,
                worker.worker.pid.to_string(),
                worker.worker.build,
                worker.state.to_string(),
                format!("{}/{}", worker.active, worker.slots),
                worker.queues.keys().cloned().collect::<Vec<_>>().join(","),
                worker.seen_at.to_string(),
                worker.http,
            ]
        }),
    )
}
