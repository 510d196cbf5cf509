//! The build script of every binary (`build = "../config/build_id.rs"`). It sets `env!("ATODE_BUILD")` to the version and
//! the commit of the build, as in `0.1.0+1a2b3c4d5e6f`. If the sources differ from that commit, a hash of the difference
//! follows, as in `0.1.0+1a2b3c4d5e6f-dirty-0a1b2c3d`, so that two builds have the same name only if they run the same
//! code. Outside git, the name is the version alone. An image is built without git's folder: whoever builds it passes
//! the name in the environment variable `ATODE_BUILD`.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The sources of the binaries, relative to the folder of a crate. Other files do not change a program.
const SOURCES: [&str; 3] = ["..", "../../Cargo.toml", "../../Cargo.lock"];

/// Parts of [`SOURCES`] that are in no binary. Otherwise each change of a test would rebuild all binaries.
const NO_SOURCES: [&str; 2] = [":(exclude,glob)../*/tests/**", ":(exclude,glob)../*/benches/**"];

#[allow(clippy::print_stdout, reason = "a build script answers cargo on stdout")]
fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let named = env::var("ATODE_BUILD").ok().filter(|name| !name.is_empty());
    println!("cargo:rustc-env=ATODE_BUILD={}", named.unwrap_or_else(|| build_id(&version, Path::new("."))));
    println!("cargo:rerun-if-env-changed=ATODE_BUILD");

    // Cargo compares the times of all files and folders in these folders, so it also notices new and deleted files.
    for source in SOURCES.iter().filter(|source| Path::new(source).exists()) {
        println!("cargo:rerun-if-changed={source}");
    }
    for file in watched(Path::new(".")) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
}

/// The name of the build of the crate in `dir`.
pub(crate) fn build_id(version: &str, dir: &Path) -> String {
    let Some(commit) = git_line(dir, &["rev-parse", "--short=12", "HEAD"]) else { return version.to_owned() };
    // This code was unpacked into a repository that ignores it, so the commit of that repository says nothing about it.
    if git(dir, &["check-ignore", "--quiet", "Cargo.toml"], &[]).is_some() {
        return version.to_owned();
    }
    let dirty = match difference(dir) {
        Some(difference) if difference.is_empty() => String::new(),
        Some(difference) => format!("-dirty-{}", hash(dir, &difference).unwrap_or_default()),
        None => "-dirty".to_owned(), // unknown: the folder around the crate is not part of the repository
    };
    format!("{version}+{commit}{dirty}")
}

/// The files that change with a commit or a checkout. Cargo would always rerun the script if one of them did not exist.
pub(crate) fn watched(dir: &Path) -> Vec<PathBuf> {
    let paths =
        ["HEAD", "logs/HEAD", "refs/heads"].map(|name| git_line(dir, &["rev-parse", "--git-path", name]));
    paths.into_iter().flatten().map(|path| dir.join(path)).filter(|path| path.exists()).collect()
}

/// The difference between the sources and the last commit: a patch, then the names and contents of files that git does
/// not track. Empty if there is no difference.
fn difference(dir: &Path) -> Option<Vec<u8>> {
    let of_sources = |command: &[&str]| -> Option<Vec<u8>> {
        git(dir, &[command, &["--"], &SOURCES, &NO_SOURCES].concat(), &[])
    };
    // The options make the output independent of a user's git settings. `--full-index` names binary contents by hash.
    let mut difference =
        of_sources(&["diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index"])?;
    for name in of_sources(&["ls-files", "--others", "--exclude-standard", "-z"])?.split(|byte| *byte == 0) {
        if let Ok(path) = std::str::from_utf8(name)
            && !path.is_empty()
        {
            difference.extend([name, b"\0"].concat());
            difference.extend(git(dir, &["hash-object", "--no-filters", "--", path], &[])?);
        }
    }
    Some(difference)
}

/// Eight hex digits that identify a difference.
fn hash(dir: &Path, difference: &[u8]) -> Option<String> {
    let hash = git(dir, &["hash-object", "--stdin"], difference)?;
    Some(String::from_utf8_lossy(&hash).chars().take(8).collect())
}

fn git_line(dir: &Path, arguments: &[&str]) -> Option<String> {
    let line = String::from_utf8(git(dir, arguments, &[])?).ok()?;
    Some(line.trim().to_owned())
}

/// The output of git, or `None` if there is no git, no repository or no commit.
fn git(dir: &Path, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut git = Command::new("git");
    git.current_dir(dir).arg("--no-optional-locks").args(arguments);
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(input).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}
