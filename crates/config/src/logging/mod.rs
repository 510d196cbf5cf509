//! The log of the binaries, on stderr. Stdout belongs to jobs.
//!
//! The path of an event: it is formatted → [`repeats`] holds it back if it repeats → it is escaped to one line →
//! [`queue`] → stderr. Only the queue's own thread waits for stderr.

mod queue;
mod repeats;
mod trace_ids;

use std::{
    borrow::Cow,
    env, fmt,
    io::{self, IsTerminal},
    sync::{LazyLock, OnceLock},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::{Event, Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry,
    registry::LookupSpan,
};

use self::{
    queue::{Notices, Queue},
    repeats::{Key, Repeats},
    trace_ids::{TraceIds, Traced},
};
use crate::{
    one_line::{one_colored_line, one_line, one_line_of_json},
    sections::{LogFormat, Logging},
};

/// How long a process waits at its end for the last lines, if nobody reads them.
pub(crate) const LAST_LINES: Duration = Duration::from_millis(500);

static QUEUE: Queue = Queue::new();
static REPEATS: LazyLock<Repeats> = LazyLock::new(Repeats::default);
static FORM: OnceLock<Form> = OnceLock::new();

/// The form of the lines. It is text before [`init`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// Text for a terminal.
    Colored,
    Json,
}

/// Starts the log of the process. Call [`flush`] before the process ends.
pub fn init(settings: &Logging) -> Result<(), SetGlobalDefaultError> {
    let form = match settings.format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if is_colorful() => Form::Colored,
        LogFormat::Text => Form::Text,
    };
    tracing::subscriber::set_global_default(subscriber(&settings.level, form))?;
    let _ = FORM.set(form); // never set before: a second subscriber is an error
    start();
    Ok(())
}

/// Number of lines that were dropped since the start, because nobody read stderr or because writing failed.
#[must_use]
pub fn dropped() -> u64 {
    QUEUE.dropped()
}

/// Waits until all lines are written, or until the timeout.
pub fn flush(timeout: Duration) {
    push_due(Instant::now() + repeats::WINDOW);
    QUEUE.flush(timeout);
}

/// Writes the reason why the process ends, whether or not the log has been started. If the log is in JSON, the line is
/// an event of it.
pub(crate) fn last_words(line: &str) {
    if form() == Form::Json {
        tracing::error!("{line}");
    } else {
        QUEUE.push(&one_line(line));
    }
}

/// Starts the thread that writes to stderr, so that logging never waits for stderr.
pub(crate) fn start() {
    QUEUE.start(io::stderr(), Notices { push_due, dropped: lines_are_missing });
}

fn is_colorful() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn subscriber(level: &Targets, form: Form) -> impl Subscriber + Send + Sync + use<> {
    // Otherwise a failed write is reported by `eprintln!`, which fails too and panics.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Line(form))
        .with_ansi(form == Form::Colored)
        .log_internal_errors(false);
    let lines = if form == Form::Json {
        let lines = lines.json().flatten_event(true).map_event_format(|format| Once(Traced(format)));
        TraceIds.and_then(lines).boxed()
    } else {
        lines.map_event_format(Once).boxed()
    };
    registry().with(level.clone()).with(lines)
}

/// Writes an event unless the same event was written within the last seconds.
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
        if REPEATS.is_first(&key, now) {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        REPEATS.hold(&key, line, now);
        Ok(())
    }
}

/// The writer of one formatted event.
struct Line(Form);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // All formats write UTF-8.
        QUEUE.push(&self.0.one_line(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Form {
    /// The event as one line, without its line break.
    fn one_line(self, event: &str) -> Cow<'_, str> {
        let event = event.strip_suffix('\n').unwrap_or(event);
        match self {
            Form::Text => one_line(event),
            Form::Colored => one_colored_line(event),
            Form::Json => one_line_of_json(event),
        }
    }
}

/// Pushes the last of the lines that were held back until now, with the number of its repeats. Returns the time when
/// the next ones are due.
fn push_due(now: Instant) -> Option<Instant> {
    let form = form();
    let (due, next) = REPEATS.due(now);
    for (repeats, line) in due {
        let line = form.one_line(&line);
        QUEUE.push_anyway(&match line.strip_suffix('}').filter(|_| form == Form::Json) {
            Some(fields) => format!(r#"{fields},"repeats":{repeats}}}"#),
            None => format!("{line} repeats={repeats}"),
        });
    }
    next
}

/// The line that reports dropped lines.
fn lines_are_missing(lines: u64) -> String {
    const MESSAGE: &str = "log lines are missing here: stderr was not read fast enough, or not at all";
    let now = Timestamp::now();
    if form() == Form::Json {
        format!(
            r#"{{"timestamp":"{now:.6}","level":"WARN","message":"{MESSAGE}","lines":{lines},"target":"log"}}"#
        )
    } else {
        format!("{now:.6}  WARN log: {MESSAGE} lines={lines}")
    }
}

fn form() -> Form {
    FORM.get().copied().unwrap_or(Form::Text)
}
