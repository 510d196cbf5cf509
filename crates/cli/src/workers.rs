//! `atode workers`

use crate::print::{self, Form};
use crate::session::Session;
use crate::table::{whole, wraps};

pub(crate) async fn list(session: &Session, form: Form) -> anyhow::Result<()> {
    let workers = session.client.workers().await?;
    if form == Form::Json {
        return print::items(&workers);
    }
    if workers.is_empty() {
        return print::line("no worker is running; jobs wait until one does");
    }
    let columns = [
        whole("worker"),
        whole("pid"),
        whole("host"),
        whole("build"),
        whole("state"),
        whole("active"),
        wraps("queues"),
        whole("seen"),
        whole("http"),
    ];
    print::table(
        &columns,
        workers.into_iter().map(|worker| {
            vec![
                worker.worker.id.to_string(),
                worker.worker.pid.to_string(),
                worker.worker.host,
                worker.worker.build,
                worker.state.to_string(),
                format!("{}/{}", worker.active, worker.slots),
                worker.queues.keys().cloned().collect::<Vec<_>>().join(", "),
                format!("{:.3}", worker.seen_at),
                worker.http,
            ]
        }),
    )
}
