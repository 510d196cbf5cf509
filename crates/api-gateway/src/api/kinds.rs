//! `GET /v1/kinds`, `GET /v1/kinds/{kind}`: the kinds of jobs that can be enqueued, compiled in or published by
//! workers. `POST /v1/kinds/{kind}/accept`, `/reject`, and `DELETE /v1/kinds/{kind}` change the catalogue.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use atode_jobs::{KindChangeError, KindPage, KindView, MAX_KINDS_PER_PAGE, decide_kind, remove_kind};
use atode_queue::{HeldDecision, Registration};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::filter::limit;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::queue_errors;
use crate::http::replies::Reply;
use crate::http::unread::{NoQuery, PathOnly};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Kinds per page; 1,000 if absent.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000))]
    limit: Option<String>,
    /// `next_cursor` of the page before: its last kind.
    cursor: Option<String>,
}

/// While Redis is away, the live workers are null. Everything else is known without Redis.
pub(crate) async fn list(gateway: Data<Gateway>, query: Query<ListQuery>) -> Reply {
    let limit = limit(query.limit.as_deref(), MAX_KINDS_PER_PAGE, MAX_KINDS_PER_PAGE)?;
    let workers = workers(&gateway).await;
    let page = KindPage::new(&gateway.rules, workers.as_deref(), limit, query.cursor.as_deref());
    Ok(HttpResponse::Ok().json(page))
}

pub(crate) async fn show(gateway: Data<Gateway>, kind: Path<String>, _: NoQuery) -> Reply {
    let known = gateway.rules.find(&kind).ok_or_else(|| {
        Problem::not_found(format!("there is no kind {kind}; GET /v1/kinds lists all kinds"))
    })?;
    let workers = workers(&gateway).await;
    let entry = gateway.catalogue.entry(known.name());
    Ok(HttpResponse::Ok().json(KindView::new(&known, entry.as_deref(), workers.as_deref())))
}

pub(crate) async fn accept(gateway: Data<Gateway>, kind: Path<String>, _: PathOnly) -> Reply {
    decide(&gateway, &kind, HeldDecision::Accept).await
}

pub(crate) async fn reject(gateway: Data<Gateway>, kind: Path<String>, _: PathOnly) -> Reply {
    decide(&gateway, &kind, HeldDecision::Reject).await
}

pub(crate) async fn remove(gateway: Data<Gateway>, kind: Path<String>, _: PathOnly) -> Reply {
    let removed = async { remove_kind(&gateway.client, &kind).await.map_err(problem) };
    in_time(removed, queue_errors::of_change).await?;
    tracing::info!(%kind, "the kind was removed from the catalogue");
    Ok(HttpResponse::NoContent().finish())
}

async fn decide(gateway: &Gateway, kind: &str, decision: HeldDecision) -> Reply {
    let decided = async { decide_kind(&gateway.client, kind, decision).await.map_err(problem) };
    let decided = in_time(decided, queue_errors::of_change).await?;
    tracing::info!(
        kind,
        decision = decided.decision,
        difference = decided.difference,
        before = decided.before.as_ref().map(|it| &*it.build),
        after = decided.after.as_ref().map(|it| &*it.build),
        "a definition that was held was decided about"
    );
    Ok(HttpResponse::Ok().json(decided))
}

fn problem(error: KindChangeError) -> Problem {
    match error {
        KindChangeError::Unknown(_) => Problem::not_found(error.to_string()),
        KindChangeError::Queue(error) => queue_errors::of_change(error),
        error => Problem::new(Slug::WrongState, error.to_string()),
    }
}

async fn workers(gateway: &Gateway) -> Option<Vec<Registration>> {
    in_time(async { Ok(gateway.client.workers().await?) }, Problem::from).await.ok()
}
