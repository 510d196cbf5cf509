//! `atode stats`

use atode_queue::{Series, Stats, Window};
use clap::Args;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::session::Session;
use crate::table::{Column, whole};

#[derive(Args)]
pub(crate) struct StatsArgs {
    /// How far to look back, such as 30m or 24h, up to 72h.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = checked_window)]
    window: String,
    /// Only this queue.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only this kind.
    #[arg(long)]
    kind: Option<String>,
}

impl StatsArgs {
    /// All queues and kinds.
    pub(crate) fn of_window(window: &str) -> Self {
        StatsArgs { window: window.to_owned(), queue: None, kind: None }
    }
}

const COLUMNS: [Column<Series>; 12] = [
    whole("kind", |series| series.kind.clone()),
    whole("queue", |series| series.queue.clone()),
    whole("enqueued", |series| series.numbers.total.enqueued.to_string()),
    whole("completed", |series| series.numbers.total.completed.to_string()),
    whole("failed", |series| series.numbers.total.failed.to_string()),
    whole("dead", |series| series.numbers.total.dead.to_string()),
    whole("cancelled", |series| series.numbers.total.cancelled.to_string()),
    whole("reaped", |series| series.numbers.total.reaped.to_string()),
    whole("late p50", |series| time(series.numbers.total.lateness_seconds.p50)),
    whole("late p99", |series| time(series.numbers.total.lateness_seconds.p99)),
    whole("run p50", |series| time(series.numbers.total.run_seconds.p50)),
    whole("run p99", |series| time(series.numbers.total.run_seconds.p99)),
];

pub(crate) async fn show(backend: &Backend, form: Form, args: StatsArgs) -> anyhow::Result<()> {
    let stats = read(backend, &args).await?;
    print::answer(form, &stats, |stats: &Stats| {
        if stats.series.is_empty() {
            return print::line("nothing happened in this time");
        }
        print::table(&COLUMNS, &stats.series)?;
        match stats.series_left_out {
            0 => Ok(()),
            n => print::line(&format!("and {n} more; --queue and --kind select")),
        }
    })
}

pub(crate) async fn read(backend: &Backend, args: &StatsArgs) -> anyhow::Result<Answer<Stats>> {
    match backend {
        Backend::Http(gateway) => {
            let endpoint = Endpoint::v1(["stats"]).with("window", Some(&args.window));
            let endpoint = endpoint.with("queue", args.queue.as_ref()).with("kind", args.kind.as_ref());
            Ok(gateway.get(endpoint).await?)
        }
        Backend::Direct(session) => Answer::of(&read_directly(session, args).await?),
    }
}

async fn read_directly(session: &Session, args: &StatsArgs) -> anyhow::Result<Stats> {
    let queues = session.filter_queues(args.queue.as_deref(), args.kind.as_deref()).await?;
    let window = parse_window(&args.window).map_err(anyhow::Error::msg)?;
    Ok(session.client.stats(&queues, args.kind.as_deref(), window).await?)
}

/// Seconds, with a unit that suits them.
pub(crate) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(0.0) => "<0.1ms".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{}ms", rounded(1_000.0 * seconds)),
        Some(seconds) => format!("{}s", rounded(seconds)),
    }
}

/// Three digits are more than the history knows.
fn rounded(n: f64) -> f64 {
    let digits = if n < 10.0 { 10.0 } else { 1.0 };
    (n * digits).round() / digits
}

/// The window as text, because a request has it as text.
fn checked_window(text: &str) -> Result<String, String> {
    parse_window(text).map(|_| text.to_owned())
}

fn parse_window(text: &str) -> Result<Window, String> {
    let expected = || "expected a duration of at most 72 hours, such as 30m or 24h".to_owned();
    Window::new(atode_jobs::parse_delay(text)?).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_that_suits_it() {
        let times = [0.0, 0.000_104, 0.001_04, 0.083, 1.24, 83.0].map(|seconds| time(Some(seconds)));
        assert_eq!(times, ["<0.1ms", "0.1ms", "1ms", "83ms", "1.2s", "83s"]);
        assert_eq!(time(None), "–");
    }

    #[test]
    fn a_window_is_at_most_72_hours() {
        assert!(parse_window("72h").is_ok() && parse_window("3d").is_ok());
        for wrong in ["73h", "0s", "an hour", "-1h"] {
            assert!(parse_window(wrong).is_err(), "{wrong}");
        }
    }
}
