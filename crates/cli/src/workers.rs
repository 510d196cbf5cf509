//! `atode workers`

use atode_queue::Registration;

use crate::print::{self, Form};
use crate::session::Session;
use crate::table::{Column, whole, wraps};

const COLUMNS: [Column<Registration>; 9] = [
    whole("worker", |it| it.worker.id.to_string()),
    whole("pid", |it| it.worker.pid.to_string()),
    whole("host", |it| it.worker.host.clone()),
    whole("build", |it| it.worker.build.clone()),
    whole("state", |it| it.state.to_string()),
    whole("active", |it| format!("{}/{}", it.active, it.slots)),
    wraps("queues", |it| it.queues.keys().cloned().collect::<Vec<_>>().join(", ")),
    whole("seen", |it| format!("{:.3}", it.seen_at)),
    whole("http", |it| it.http.clone()),
];

pub(crate) async fn list(session: &Session, form: Form) -> anyhow::Result<()> {
    let workers = session.client.workers().await?;
    if workers.is_empty() && form == Form::Text {
        return print::line("no worker is running; jobs wait until one does");
    }
    print::list(form, &workers, &COLUMNS)
}
