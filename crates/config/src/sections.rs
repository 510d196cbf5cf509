//! The sections of `config.yaml` except `api`: their keys, and the value of each key that is absent.

use std::{collections::BTreeMap, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::{
    collector_url::CollectorUrl,
    values::{by_queue, checked, duration, keys, partitions, ratio, text, whole, word},
};

const GIBIBYTE: u32 = 1 << 30;
/// In milliseconds.
const THIRTY_DAYS: u32 = 30 * 24 * 60 * 60 * 1_000;

/// Targets of actix that a log at `info` leaves out, and their levels.
const SERVER_NOISE: [(&str, LevelFilter); 2] =
    [("actix_server", LevelFilter::WARN), ("actix_http::h1::dispatcher", LevelFilter::OFF)];

keys! {
    /// One entry of `queues`: a queue that jobs may be enqueued to.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Queue {
        /// Slots over which the queue's keys are spread; always 1 in this version.
        pub partitions: u16 = 1, "partitions";
        /// How long an idempotency key is remembered; 1 min to 30 days.
        pub idempotency_ttl: Duration = Duration::from_secs(24 * 60 * 60), "duration::<_, 60_000, THIRTY_DAYS>";
    }

    /// `server`: the HTTP server of the gateway.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Server {
        /// Name or address to listen on.
        pub host: String = "127.0.0.1".to_owned(), "text";
        /// 0 means any free port.
        pub port: u16 = 8080, "whole::<_, _, 0, 65_535>";
        /// How long an idle connection stays open, at most 1 h. 0 closes the connection after each reply.
        pub keep_alive: Duration = Duration::from_secs(75), "duration::<_, 0, 3_600_000>";
        /// How long the server continues, as not ready, after a request to stop, so that load balancers notice. At most
        /// 1 h.
        pub shutdown_delay: Duration = Duration::ZERO, "duration::<_, 0, 3_600_000>";
        /// How long running requests may take to end after that; at most 1 h.
        pub shutdown_timeout: Duration = Duration::from_secs(25), "duration::<_, 0, 3_600_000>";
        /// Bytes of a request's body, except a batch.
        pub max_body_bytes: usize = 256 * 1024, "whole::<_, _, 1, GIBIBYTE>";
        /// Bytes of a batch's body.
        pub max_batch_bytes: usize = 8 * 1024 * 1024, "whole::<_, _, 1, GIBIBYTE>";
    }

    /// `worker`: a process that runs jobs.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Worker {
        /// Name or address of the health checks and metrics.
        pub host: String = "127.0.0.1".to_owned(), "text";
        /// 0 means any free port.
        pub port: u16 = 8082, "whole::<_, _, 0, 65_535>";
        /// Jobs that run at the same time.
        pub concurrency: usize = 64, "whole::<_, _, 1, 10_000>";
        /// Queues to work on, each with its weight. All of them are named in `queues`. `None` means every queue that a
        /// registered kind names.
        pub queues: Option<BTreeMap<String, u32>> = None, "weights";
        /// How long a claimed job is held without a sign of life; 5 s to 1 h.
        pub lease: Duration = Duration::from_secs(30), "duration::<_, 5_000, 3_600_000>";
        /// How long running jobs may take to end after a request to stop; at most 1 h.
        pub shutdown_timeout: Duration = Duration::from_secs(25), "duration::<_, 0, 3_600_000>";
    }

    /// `logging`: the lines that are written to stderr, and their format.
    #[derive(Debug, Clone)]
    pub struct Logging {
        /// A level such as `info`, or levels of single targets such as `info,atode_queue=debug`.
        pub level: Targets = Targets::new().with_default(LevelFilter::INFO).with_targets(SERVER_NOISE), "level";
        pub format: LogFormat = LogFormat::Text, "word";
    }

    /// `traces`: spans for OpenTelemetry. Nothing is exported without an endpoint.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Traces {
        /// The collector, which takes OTLP over HTTP.
        pub endpoint: Option<CollectorUrl> = None;
        /// The share of traces that are recorded if nobody has decided yet.
        pub sample_ratio: f64 = 1.0, "ratio";
        pub follow: Follow = Follow::Link, "word";
        /// With [`Follow::Parent`]: how long after its job was stored a run still belongs to its trace.
        pub follow_within: Duration = Duration::from_secs(60), "duration::<_, 0, 86_400_000>";
    }
}

/// The relation of a run to the span that stored its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Follow {
    /// The run is a trace of its own, with a link.
    Link,
    /// The run is a child.
    Parent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// An object on one line, for programs.
    Json,
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

/// Reads a filter. tracing takes a word that is no level for a target, so `level: inof` would hide all other targets.
/// It also takes the brackets of span filters, which are not supported here, for a part of a target.
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
