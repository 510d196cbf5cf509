//! The programs that are compared, and what each needs in order to run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use atode_testkit::{Process, ProcessBuilder};

use crate::kinds::Retention;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Atode,
    Peer,
}

#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    program: PathBuf,
    first_args: Vec<String>,
    /// The most jobs that it can drain.
    pub(crate) at_most: Option<usize>,
    /// A remark for readers of its figures.
    pub(crate) note: Option<&'static str>,
}

impl Contender {
    pub(crate) fn command(&self) -> ProcessBuilder {
        Process::builder(&self.program).args(&self.first_args)
    }
}

/// atode with this retention of finished jobs.
pub(crate) fn atode(retention: Retention) -> anyhow::Result<Contender> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let (name, role) = match retention {
        Retention::None => ("atode", "peer"),
        Retention::Default => ("atode, default retention", "peer-kept"),
    };
    let whose = Whose::Atode;
    Ok(Contender { name, whose, program, first_args: vec![role.to_owned()], at_most: None, note: None })
}

/// The wanted peers that can run, and one line for each wanted peer that can't.
pub(crate) fn ready(wanted: &Wanted) -> (Vec<Contender>, Vec<String>) {
    let (mut ready, mut skipped) = (Vec::new(), Vec::new());
    for (name, peer) in peers() {
        match peer {
            _ if !wanted.has(name) => {}
            Ok(peer) => ready.push(peer),
            Err(reason) => skipped.push(format!("{name} is skipped: {reason}.")),
        }
    }
    (ready, skipped)
}

/// The peers to measure.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    All,
    Only(Vec<String>),
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Only(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

/// All peers. A peer that can't run is an error that says what is missing.
fn peers() -> Vec<(&'static str, Result<Contender, String>)> {
    let folder = atode_testkit::workspace_root().join("bench/peers");
    vec![
        ("asynq", built("asynq", "go", folder.join("asynq/peer-asynq"))),
        ("bullmq", bullmq(&folder)),
        ("bullmq-official", rust(&folder, "bullmq-official")),
        (
            "apalis-redis",
            rust(&folder, "apalis-redis").map(|contender| Contender {
                at_most: Some(7_000),
                note: Some(
                    "apalis-redis: at most 7,000 jobs per drain or lateness run, because its script fails with \
                     \"too many results to unpack\" when about 8,000 jobs are due. It never removes finished jobs.",
                ),
                ..contender
            }),
        ),
    ]
}

fn rust(folder: &Path, name: &'static str) -> Result<Contender, String> {
    built(name, "cargo", folder.join("rust/target/release").join(format!("peer-{name}")))
}

fn built(name: &'static str, toolchain: &str, program: PathBuf) -> Result<Contender, String> {
    if program.is_file() {
        return Ok(peer(name, program, vec![]));
    }
    Err(lacks(toolchain, &program))
}

fn bullmq(folder: &Path) -> Result<Contender, String> {
    let (script, modules) = (folder.join("bullmq/peer.js"), folder.join("bullmq/node_modules/bullmq"));
    if modules.is_dir() && on_path("node") {
        let first_args = vec![script.display().to_string()];
        return Ok(peer("bullmq", "node".into(), first_args));
    }
    Err(lacks("node", &modules))
}

fn peer(name: &'static str, program: PathBuf, first_args: Vec<String>) -> Contender {
    Contender { name, whose: Whose::Peer, program, first_args, at_most: None, note: None }
}

fn lacks(toolchain: &str, built: &Path) -> String {
    if on_path(toolchain) {
        // A relative path, because the text goes into documents.
        let root = atode_testkit::workspace_root();
        format!(
            "{} is not built (./dev bench builds it)",
            built.strip_prefix(root).unwrap_or(built).display()
        )
    } else {
        format!("{toolchain} is not installed")
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
