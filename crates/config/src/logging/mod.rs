//! The log of the binaries, on stderr. Stdout belongs to jobs.
//!
//! A line's way: the event's format → [`repeats`] (is it one of many?) → one line, whatever is in it →
//! [`queue`] → stderr. Nobody waits for stderr but the queue's own thread.

mod queue;
mod repeats;

use std::{
    borrow::Cow,
    env, fmt,
    io::{self, IsTerminal},
    sync::OnceLock,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::{Event, Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry,
    registry::LookupSpan,
};

use crate::{
    LogFormat, Logging,
    logging::{
        queue::{Notices, Queue},
        repeats::{Key, Repeats, Verdict},
    },
    one_line::{one_coloured_line, one_line, one_line_of_json},
};

static QUEUE: Queue = Queue::new();
static REPEATS: Repeats = Repeats::new();
static FORM: OnceLock<Form> = OnceLock::new();

/// How lines look: text, unless [`init`] was told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// Text for a terminal.
    Coloured,
    Json,
}

/// Starts to log, for the whole process. Call [`flush`] before it ends.
pub fn init(settings: &Logging) -> Result<(), SetGlobalDefaultError> {
    let form = match settings.format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if is_colourful() => Form::Coloured,
        LogFormat::Text => Form::Text,
    };
    tracing::subscriber::set_global_default(subscriber(&settings.level, form))?;
    let _ = FORM.set(form); // the first, as the subscriber is
    start();
    Ok(())
}

/// Lines that were dropped since the start, because nobody read stderr or it could not be written to.
#[must_use]
pub fn dropped() -> u64 {
    QUEUE.dropped()
}

/// Waits until every line is written, but no longer than this.
pub fn flush(patience: Duration) {
    let (held, _) = REPEATS.due(Instant::now() + repeats::WINDOW);
    for (repeats, line) in held {
        QUEUE.push(&with_repeats(&line, repeats));
    }
    QUEUE.flush(patience);
}

/// A line for whoever started the process, log or not: why it ends. In JSON it is an event of the log.
pub(crate) fn last_words(line: &str) {
    if FORM.get() == Some(&Form::Json) {
        tracing::error!("{line}");
    } else {
        QUEUE.push(&one_line(line));
    }
}

/// Nobody who writes to the log from here on waits for stderr.
pub(crate) fn start() {
    QUEUE.start(io::stderr(), Thread);
}

fn is_colourful() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn subscriber(level: &EnvFilter, form: Form) -> impl Subscriber + Send + Sync + use<> {
    // Otherwise a failed write is reported by `eprintln!`, which panics as it fails in turn.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Line(form))
        .with_ansi(form == Form::Coloured)
        .log_internal_errors(false);
    let lines = if form == Form::Json {
        lines.json().flatten_event(true).map_event_format(Once).boxed()
    } else {
        lines.map_event_format(Once).boxed()
    };
    registry().with(level.clone()).with(lines)
}

/// Writes an event unless the same was written just now.
struct Once<F>(F);

impl<S, N, F> FormatEvent<S, N> for Once<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(key) = Key::of(event) else { return self.0.format_event(context, writer, event) };
        let now = Instant::now();
        match REPEATS.verdict(&key, now) {
            Verdict::Write => self.0.format_event(context, writer, event),
            Verdict::Hold => {
                let mut line = String::new();
                self.0.format_event(context, Writer::new(&mut line), event)?;
                REPEATS.hold(&key, line, now);
                Ok(())
            }
        }
    }
}

/// Takes a formatted event.
struct Line(Form);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The formats write text only.
        QUEUE.push(&self.0.one_line(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Form {
    /// Without the line break that ends it.
    fn one_line(self, event: &str) -> Cow<'_, str> {
        let event = event.strip_suffix('\n').unwrap_or(event);
        match self {
            Form::Text => one_line(event),
            Form::Coloured => one_coloured_line(event),
            Form::Json => one_line_of_json(event),
        }
    }
}

/// The line with the number of its repeats, of which it is the last. As a line of text, or an object of JSON.
fn with_repeats(line: &str, repeats: u64) -> String {
    let form = FORM.get().copied().unwrap_or(Form::Text);
    let line = form.one_line(line);
    match line.strip_suffix('}').filter(|_| form == Form::Json) {
        Some(fields) => format!(r#"{fields},"repeats":{repeats}}}"#),
        None => format!("{line} repeats={repeats}"),
    }
}

/// Lines that the log's own thread adds.
struct Thread;

impl Notices for Thread {
    fn due(&mut self, now: Instant) -> (Vec<u8>, Option<Instant>) {
        let (due, next) = REPEATS.due(now);
        let lines = due.iter().map(|(repeats, line)| with_repeats(line, *repeats) + "\n");
        (lines.collect::<String>().into_bytes(), next)
    }

    fn dropped(&mut self, lines: u64) -> String {
        const MESSAGE: &str = "log lines are missing here: stderr was not read fast enough, or not at all";
        let now = Timestamp::now();
        if FORM.get() == Some(&Form::Json) {
            format!(
                r#"{{"timestamp":"{now:.6}","level":"WARN","message":"{MESSAGE}","lines":{lines},"target":"log"}}"#
            )
        } else {
            format!("{now:.6}  WARN log: {MESSAGE} lines={lines}")
        }
    }
}
