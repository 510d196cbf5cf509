//! `atode completions` and `atode man`: what a shell and `man` need to know about the commands.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

use crate::print;

pub(crate) fn completions(mut command: Command, shell: Shell) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print::line(String::from_utf8_lossy(&script).trim_end())
}

/// Writes one page per command. The folder is made if it is missing.
pub(crate) fn man(command: Command, folder: &Path) -> anyhow::Result<()> {
    let pages = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    pages.with_context(|| format!("cannot write man pages to {}", folder.display()))
}
