//! `atode workers`

use atode_queue::{Items, Registration};

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::style::Tone;
use crate::table::{Column, whole, wraps};
use crate::watch::Drawn;

const COLUMNS: [Column<Registration>; 9] = [
    whole("worker", |it| it.worker.id.to_string()),
    whole("pid", |it| it.worker.pid.to_string()),
    whole("host", |it| it.worker.host.clone()),
    whole("build", |it| it.worker.build.clone()),
    whole("state", |it: &Registration| it.state.to_string())
        .toned(|it| Tone::of_state(&it.state.to_string())),
    whole("active", |it| format!("{}/{}", it.active, it.slots)),
    wraps("queues", |it| it.queues.keys().cloned().collect::<Vec<_>>().join(", ")),
    whole("seen", |it| format!("{:.3}", it.seen_at)),
    whole("http", |it| it.http.clone()),
];

pub(crate) async fn list(backend: &Backend, form: Form) -> anyhow::Result<Drawn> {
    let workers = read(backend).await?;
    let text = print::answer_text(form, &workers, |workers| match workers.items.as_slice() {
        [] => "no worker is running; jobs wait until one does".to_owned(),
        workers => print::table_text(&COLUMNS, workers),
    })?;
    Ok(text.into())
}

pub(crate) async fn read(backend: &Backend) -> anyhow::Result<Answer<Items<Registration>>> {
    match backend {
        Backend::Http(gateway) => Ok(gateway.get(Endpoint::v1(["workers"])).await?),
        Backend::Direct(session) => Answer::of(&Items { items: session.client.workers().await? }),
    }
}
