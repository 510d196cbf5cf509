//! `GET /v1/stats`: what happened in the last hours, by queue and kind.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use atode_queue::{Stats, Window};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::filter::queues;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::replies::{self, Reply};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsQuery {
    /// The length of the history, up to 72 h: `30m`, `24h` or ISO 8601; 1 h if absent.
    window: Option<String>,
    /// Only this queue.
    queue: Option<String>,
    /// Only this kind.
    kind: Option<String>,
}

pub(crate) async fn show(gateway: Data<Gateway>, query: Query<StatsQuery>) -> Reply {
    let window = query.window.as_deref().map_or(Ok(Window::HOUR), parse_window)?;
    let stats = in_time(read(&gateway, &query, window), Problem::from).await?;
    replies::json(StatusCode::OK, &stats)
}

async fn read(gateway: &Gateway, query: &StatsQuery, window: Window) -> Result<Stats, Problem> {
    let _permit = gateway.histories.acquire().await;
    let queues = queues(gateway, query.queue.as_deref(), query.kind.as_deref()).await?;
    Ok(gateway.client.stats(&queues, query.kind.as_deref(), window).await?)
}

fn parse_window(text: &str) -> Result<Window, Problem> {
    let length = atode_jobs::parse_delay(text).ok();
    length.and_then(Window::new).ok_or_else(|| {
        Problem::invalid_field("/window", "expected a duration of at most 72 hours, such as 30m or 24h")
    })
}
