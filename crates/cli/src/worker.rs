//! `atode worker quiet` and `atode worker stop`

use anyhow::ensure;
use atode_queue::{Asked, WorkerId, WorkerRequest, absent};

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};

pub(crate) async fn ask(
    backend: &Backend,
    form: Form,
    id: WorkerId,
    request: WorkerRequest,
) -> anyhow::Result<()> {
    let asked = send(backend, id, request).await?;
    print::answer(form, &asked, |asked| print::line(&outcome(asked)))
}

pub(crate) async fn send(
    backend: &Backend,
    id: WorkerId,
    request: WorkerRequest,
) -> anyhow::Result<Answer<Asked>> {
    match backend {
        Backend::Http(gateway) => {
            Ok(gateway.post(Endpoint::v1(["workers", &id.to_string(), &request.to_string()])).await?)
        }
        Backend::Direct(session) => {
            ensure!(session.client.ask_worker(id, request).await?, absent::worker(id));
            Answer::of(&Asked { id, requested: request })
        }
    }
}

pub(crate) fn outcome(asked: &Asked) -> String {
    let effect = match asked.requested {
        WorkerRequest::Quiet => "go quiet: it finishes its jobs and claims no more",
        WorkerRequest::Stop => "stop: it finishes its jobs and exits",
    };
    format!("worker {} was asked to {effect}", asked.id)
}
