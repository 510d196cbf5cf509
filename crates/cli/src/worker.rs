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
    let asked = match backend {
        Backend::Http(gateway) => {
            gateway.post(Endpoint::v1(["workers", &id.to_string(), &request.to_string()])).await?
        }
        Backend::Direct(session) => {
            ensure!(session.client.ask_worker(id, request).await?, absent::worker(id));
            Answer::of(&Asked { id, requested: request })?
        }
    };
    print::answer(form, &asked, |Asked { id, requested }| {
        let effect = match requested {
            WorkerRequest::Quiet => "go quiet: it finishes its jobs and claims no more",
            WorkerRequest::Stop => "stop: it finishes its jobs and exits",
        };
        print::line(&format!("worker {id} was asked to {effect}"))
    })
}
