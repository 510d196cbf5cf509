//! The programs that are compared, and what has to be there for each.

use std::path::{Path, PathBuf};

use anyhow::Context;
use atode_testkit::{Process, ProcessBuilder};

#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    first_args: Vec<String>,
    /// More jobs than it can drain.
    pub(crate) at_most: Option<usize>,
    /// What a reader of its figures has to know.
    pub(crate) note: Option<&'static str>,
}

impl Contender {
    pub(crate) fn command(&self) -> ProcessBuilder {
        Process::builder(&self.program).args(&self.first_args)
    }
}

pub(crate) fn ours() -> anyhow::Result<Contender> {
    let program = std::env::current_exe().context("where this program is")?;
    let first_args = vec!["peer".to_owned()];
    Ok(Contender { name: "atode", program, first_args, at_most: None, note: None })
}

/// The peers, each with what it lacks instead where it can't run.
pub(crate) fn peers() -> Vec<(&'static str, Result<Contender, String>)> {
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
                    "apalis-redis: at most 7,000 jobs a drain or lateness run, as its script fails with \
                     \"too many results to unpack\" where some 8,000 are due; it never removes finished jobs",
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
        return Ok(Contender { name, program, first_args: vec![], at_most: None, note: None });
    }
    Err(lacks(toolchain, &program))
}

fn bullmq(folder: &Path) -> Result<Contender, String> {
    let (script, modules) = (folder.join("bullmq/peer.js"), folder.join("bullmq/node_modules/bullmq"));
    if modules.is_dir() && on_path("node") {
        let first_args = vec![script.display().to_string()];
        return Ok(Contender {
            name: "bullmq",
            program: "node".into(),
            first_args,
            at_most: None,
            note: None,
        });
    }
    Err(lacks("node", &modules))
}

fn lacks(toolchain: &str, built: &Path) -> String {
    if on_path(toolchain) {
        // Relative: it goes into documents.
        let root = atode_testkit::workspace_root();
        format!("{} is not built; ./dev bench does it", built.strip_prefix(root).unwrap_or(built).display())
    } else {
        format!("{toolchain} is not installed")
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
