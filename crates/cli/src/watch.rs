//! `--watch`: draws the output of a command again and again.

use std::io;
use std::time::Duration;

use atode_jobs::parse_delay;
use clap::Args;

use crate::print;

const FASTEST: Duration = Duration::from_millis(100);

#[derive(Args, Clone, Copy)]
pub(crate) struct WatchArgs {
    /// Draw again every 2s, or as often as given (--watch=500ms), until Ctrl-C. For one job or bulk operation, also until
    /// it has finished.
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = interval,
    )]
    watch: Option<Duration>,
}

/// The output of a command.
pub(crate) struct Drawn {
    pub(crate) text: String,
    /// True if it will not change anymore.
    pub(crate) is_final: bool,
}

impl From<String> for Drawn {
    fn from(text: String) -> Self {
        Drawn { text, is_final: false }
    }
}

/// Draws once, or until the output is final. A failure after the first draw is shown, and the next draw may succeed: a
/// gateway may be restarting.
pub(crate) async fn run(
    args: WatchArgs,
    draw: impl AsyncFn() -> anyhow::Result<Drawn>,
) -> anyhow::Result<()> {
    let mut drawn = draw().await?;
    let Some(interval) = args.watch else { return print::line(&drawn.text) };
    loop {
        match print::frame(&drawn.text) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if drawn.is_final {
            return Ok(());
        }
        drawn = loop {
            tokio::time::sleep(interval).await;
            match draw().await {
                Ok(next) => break next,
                // Below the last frame, which the next one replaces together with this line.
                Err(error) => print::error(&error),
            }
        };
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_delay(text)?;
    if interval < FASTEST { Err("expected 100ms or longer".to_owned()) } else { Ok(interval) }
}
