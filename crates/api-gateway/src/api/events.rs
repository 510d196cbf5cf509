//! `GET /v1/events`: server-sent events. First a snapshot of the queues and the live workers, then the ones that change.
//!
//! All streams of a gateway share one look per second, and nobody looks while nobody listens. A slow client misses looks,
//! not changes: each event has the whole queue or worker. Nothing is replayed. A client that connects again begins with
//! another snapshot.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::api::looks::{Look, MAX_STREAMS, Overview, event};
use crate::api::queues::overview;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::replies::Reply;
use crate::http::unread::NoQuery;

/// Time between two looks: changes in between are one event.
const INTERVAL: Duration = Duration::from_secs(1);

/// A comment is sent after this time without an event, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The first bytes of a stream: a browser connects again after 2 s.
const RETRY: &str = "retry: 2000\n\n";

/// Looks once per interval while somebody listens. Runs as long as the gateway.
pub(crate) async fn watch(gateway: Data<Gateway>) {
    let looks = &gateway.looks;
    loop {
        if looks.latest.is_closed() {
            looks.latest.send_replace(Look::Never);
            looks.begun.notified().await;
        }
        let look = match in_time(look(&gateway), Problem::from).await {
            Ok(overview) => Look::Seen(Arc::new(overview)),
            Err(problem) => Look::Away(problem.detail),
        };
        looks.latest.send_if_modified(|latest| {
            let is_new = *latest != look;
            *latest = look;
            is_new
        });
        tokio::time::sleep(INTERVAL).await;
    }
}

pub(crate) async fn show(gateway: Data<Gateway>, request: HttpRequest, _: NoQuery) -> Reply {
    let mut reply = HttpResponse::Ok();
    reply
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"));
    if request.method() == Method::HEAD {
        return Ok(reply.finish());
    }
    let looks = &gateway.looks;
    let permit = looks.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{MAX_STREAMS} clients listen to the events of this gateway already: try another gateway, or later");
        Problem::new(Slug::Unavailable, detail)
    })?;
    let latest = looks.latest.subscribe();
    looks.begun.notify_one();
    let stream = Stream { gateway: gateway.clone(), latest, sent: None, begun: false, _permit: permit };
    let chunks = stream::unfold(stream, async |mut stream| {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), stream))
    });
    Ok(reply.streaming(chunks))
}

/// The stream of one client.
struct Stream {
    gateway: Data<Gateway>,
    latest: watch::Receiver<Look>,
    /// The overview that the client has. Unset before the first one, and while Redis is away.
    sent: Option<Arc<Overview>>,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// The next bytes for the client; nothing once the gateway stops.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.begun, true) {
            self.latest.mark_changed();
            return Some(RETRY.to_owned());
        }
        loop {
            tokio::select! {
                changed = self.latest.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(": keep-alive\n\n".to_owned()),
                () = self.gateway.stopping.cancelled() => return None,
            }
            let look = self.latest.borrow_and_update().clone();
            let chunk = match look {
                Look::Never => continue,
                Look::Away(detail) => {
                    self.sent = None;
                    event("unavailable", &serde_json::json!({ "detail": detail }).to_string())
                }
                Look::Seen(overview) => {
                    let before = self.sent.replace(overview.clone());
                    before.map_or_else(|| overview.snapshot(), |before| overview.changes(&before))
                }
            };
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
    }
}

async fn look(gateway: &Gateway) -> Result<Overview, Problem> {
    let (queues, workers) = overview(gateway).await?;
    let queues = queues.into_iter().map(|queue| queue.with_workers(&workers));
    Ok(Overview {
        queues: queues
            .map(|queue| Ok((queue.name.clone(), json(&queue)?)))
            .collect::<Result<_, Problem>>()?,
        workers: workers
            .iter()
            .map(|worker| Ok((worker.worker.id.to_string(), json(worker)?)))
            .collect::<Result<_, Problem>>()?,
    })
}

fn json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value)
        .map_err(|error| Problem::new(Slug::Internal, "an event cannot be serialized").caused_by(error))
}
