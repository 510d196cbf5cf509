//! `atode completions` and `atode man`: what a shell and `man` need to know about the commands.

use std::path::Path;
use std::{env, fs, io};

use anyhow::Context;
use clap::Command;
use clap::builder::{Resettable, StyledStr};
use clap_complete::Shell;
use clap_mangen::Man;
use jiff::Timestamp;

use crate::print;

pub(crate) fn completions(mut command: Command, shell: Shell) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print::line(String::from_utf8_lossy(&script).trim_end())
}

/// Writes one page per command. The folder is made if it is missing. `build` builds the command as its help shows it.
pub(crate) fn man(
    command: Command,
    build: impl FnOnce(Command) -> Command,
    folder: &Path,
) -> anyhow::Result<()> {
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    let footer = Footer { date: date(), source };
    let command = build(with_plain_quotes(command).disable_help_subcommand(true));
    let written = fs::create_dir_all(folder).and_then(|()| pages(&command, &footer, folder));
    written.with_context(|| format!("cannot write man pages to {}", folder.display()))
}

/// The texts below each page.
struct Footer {
    date: String,
    source: String,
}

/// Today, or the day of `SOURCE_DATE_EPOCH`, so that a release can be built again with the same pages.
fn date() -> String {
    let epoch = env::var("SOURCE_DATE_EPOCH").ok().and_then(|epoch| epoch.parse().ok());
    let time = epoch.and_then(|epoch| Timestamp::from_second(epoch).ok()).unwrap_or_else(Timestamp::now);
    time.strftime("%Y-%m-%d").to_string()
}

fn pages(command: &Command, footer: &Footer, folder: &Path) -> io::Result<()> {
    for command in command.get_subcommands() {
        pages(command, footer, folder)?;
    }
    let mut command = command.clone();
    // The usage of `--help`. What `clap_mangen` makes lists each option, but no names of values.
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let page = Man::new(command.override_usage(usage));
    page.date(&footer.date).source(&footer.source).manual("User Commands").generate_to(folder)?;
    Ok(())
}

/// The command with quotes in place of Markdown's backquotes, which `man` shows as they are.
fn with_plain_quotes(command: Command) -> Command {
    let (about, long_about) = (quoted(command.get_about()), quoted(command.get_long_about()));
    let command = command.about(about).long_about(long_about);
    let command = command.mut_args(|arg| {
        let (help, long_help) = (quoted(arg.get_help()), quoted(arg.get_long_help()));
        arg.help(help).long_help(long_help)
    });
    command.mut_subcommands(with_plain_quotes)
}

fn quoted(text: Option<&StyledStr>) -> Resettable<StyledStr> {
    text.map(|text| StyledStr::from(text.to_string().replace('`', "'"))).into()
}
