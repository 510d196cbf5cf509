//! The sections of `config.yaml` except `api`: their keys, and the value of each key that is absent.

use std::{collections::BTreeMap, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::values::{by_queue, checked, duration, partitions, text, whole, word};

const GIBIBYTE: u32 = 1 << 30;
/// In milliseconds.
const THIRTY_DAYS: u32 = 30 * 24 * 60 * 60 * 1_000;

/// Targets of actix that a log at `info` leaves out, and their levels.
const SERVER_NOISE: [(&str, LevelFilter); 2] =
    [("actix_server", LevelFilter::WARN), ("actix_http::h1::dispatcher", LevelFilter::OFF)];

/// One entry of `queues`: a queue that jobs may be enqueued to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Slots over which the queue's keys are spread; always 1 in this version.
    #[serde(deserialize_with = "partitions")]
    pub partitions: u16,
    /// How long an idempotency key is remembered; 1 min to 30 days.
    #[serde(deserialize_with = "duration::<_, 60_000, THIRTY_DAYS>")]
    pub idempotency_ttl: Duration,
}

/// `server`: the HTTP server of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Name or address to listen on.
    #[serde(deserialize_with = "text")]
    pub host: String,
    /// 0 means any free port.
    #[serde(deserialize_with = "whole::<_, _, 0, 65_535>")]
    pub port: u16,
    /// How long an idle connection stays open, at most 1 h. 0 closes the connection after each reply.
    #[serde(deserialize_with = "duration::<_, 0, 3_600_000>")]
    pub keep_alive: Duration,
    /// How long the server continues, as not ready, after a request to stop, so that load balancers notice. At most
    /// 1 h.
    #[serde(deserialize_with = "duration::<_, 0, 3_600_000>")]
    pub shutdown_delay: Duration,
    /// How long running requests may take to end after that; at most 1 h.
    #[serde(deserialize_with = "duration::<_, 0, 3_600_000>")]
    pub shutdown_timeout: Duration,
    /// Bytes of a request's body, except a batch.
    #[serde(deserialize_with = "whole::<_, _, 1, GIBIBYTE>")]
    pub max_body_bytes: usize,
    /// Bytes of a batch's body.
    #[serde(deserialize_with = "whole::<_, _, 1, GIBIBYTE>")]
    pub max_batch_bytes: usize,
}

/// `worker`: a process that runs jobs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Name or address of the health checks and metrics.
    #[serde(deserialize_with = "text")]
    pub host: String,
    /// 0 means any free port.
    #[serde(deserialize_with = "whole::<_, _, 0, 65_535>")]
    pub port: u16,
    /// Jobs that run at the same time.
    #[serde(deserialize_with = "whole::<_, _, 1, 10_000>")]
    pub concurrency: usize,
    /// Queues to work on, each with its weight. All of them are named in `queues`. `None` means every queue that a
    /// registered kind names.
    #[serde(deserialize_with = "weights")]
    pub queues: Option<BTreeMap<String, u32>>,
    /// How long a claimed job is held without a sign of life; 5 s to 1 h.
    #[serde(deserialize_with = "duration::<_, 5_000, 3_600_000>")]
    pub lease: Duration,
    /// How long running jobs may take to end after a request to stop; at most 1 h.
    #[serde(deserialize_with = "duration::<_, 0, 3_600_000>")]
    pub shutdown_timeout: Duration,
}

/// `logging`: the lines that are written to stderr, and their format.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// A level such as `info`, or levels of single targets such as `info,atode_queue=debug`.
    #[serde(deserialize_with = "level")]
    pub level: Targets,
    #[serde(deserialize_with = "word")]
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// An object on one line, for programs.
    Json,
}

impl Default for Queue {
    fn default() -> Self {
        Self { partitions: 1, idempotency_ttl: Duration::from_secs(24 * 60 * 60) }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            keep_alive: Duration::from_secs(75),
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(25),
            max_body_bytes: 256 * 1024,
            max_batch_bytes: 8 * 1024 * 1024,
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8082,
            concurrency: 64,
            queues: None,
            lease: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(25),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        let level = Targets::new().with_default(LevelFilter::INFO).with_targets(SERVER_NOISE);
        Self { level, format: LogFormat::Text }
    }
}

fn weights<'de, D>(deserializer: D) -> Result<Option<BTreeMap<String, u32>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    struct Weight(#[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")] u32);

    let by_queue = by_queue::<D, Weight>(deserializer)?;
    Ok(by_queue.map(|weights| weights.into_iter().map(|(queue, weight)| (queue, weight.0)).collect()))
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Targets, D::Error> {
    let expected = "off, error, warn, info, debug, trace, or a filter such as \"info,atode_queue=debug\"";
    checked(deserializer, |raw| raw.text(expected, filter))
}

/// Reads a filter. tracing takes a word that is no level for a target, so `level: inof` would hide all other targets. It
/// also takes the brackets of span filters, which are not supported here, for a part of a target.
///
/// At `info`, actix reports its threads, and reports each malformed request as an error. An operator needs neither. A
/// filter that names actix, or any level above `info`, shows both.
fn filter(text: &str) -> Option<Targets> {
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    if text.contains('[') || !directives.iter().all(|it| it.contains('=') || is_level(it)) {
        return None;
    }
    let filter: Targets = directives.join(",").parse().ok()?;
    let is_info = directives.iter().any(|it| it.eq_ignore_ascii_case("info"));
    Some(if is_info && !text.contains("actix") { filter.with_targets(SERVER_NOISE) } else { filter })
}
