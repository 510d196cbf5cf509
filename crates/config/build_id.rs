//! The build script of every binary (`build = "../config/build_id.rs"`): `env!("ATODE_BUILD")` is the version
//! and the commit that a process was built from, as in `0.1.0+1a2b3c4d5e6f` or, with changes that no commit has,
//! `0.1.0+1a2b3c4d5e6f-dirty`. Outside of git it is the version alone.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

#[allow(clippy::print_stdout, reason = "it is how a build script answers cargo")]
fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo:rustc-env=ATODE_BUILD={}", build_id(&version, Path::new(".")));

    // All crates, because a change to any of them makes the build a dirty one.
    println!("cargo:rerun-if-changed=..");
    for file in watched(Path::new(".")) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
}

/// What the build at `dir` is called.
pub(crate) fn build_id(version: &str, dir: &Path) -> String {
    let Some(commit) = git(dir, &["rev-parse", "--short=12", "HEAD"]) else { return version.to_owned() };
    let changes = git(dir, &["status", "--porcelain", "--untracked-files=no"]);
    let dirty = if changes.is_some_and(|changes| changes.is_empty()) { "" } else { "-dirty" };
    format!("{version}+{commit}{dirty}")
}

/// The files that change with a commit or a checkout. Cargo would run the script each time if one did not exist.
pub(crate) fn watched(dir: &Path) -> Vec<PathBuf> {
    let paths = ["HEAD", "logs/HEAD", "refs/heads"].map(|name| git(dir, &["rev-parse", "--git-path", name]));
    paths.into_iter().flatten().map(|path| dir.join(path)).filter(|path| path.exists()).collect()
}

/// What git prints, or `None` where there is no git, no repository or no commit.
fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").current_dir(dir).arg("--no-optional-locks").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
