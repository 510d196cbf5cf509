//! The build script is no part of the library, so it is taken in by its path.

use std::{fs, path::Path, process::Command};

#[path = "../build_id.rs"]
#[allow(dead_code, reason = "nothing here calls its main")]
mod build_id;

#[test]
fn outside_of_git_a_build_is_its_version() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(build_id::build_id("1.2.3", dir.path()), "1.2.3");
}

#[test]
fn a_build_names_its_commit_and_whether_there_are_changes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    git(dir.path(), &["init", "--quiet"]);
    assert_eq!(build_id::build_id("1.2.3", dir.path()), "1.2.3", "no commit yet");

    fs::write(&file, "one").unwrap();
    git(dir.path(), &["add", "file"]);
    git(dir.path(), &["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "one"]);
    let clean = build_id::build_id("1.2.3", dir.path());
    let commit = clean.strip_prefix("1.2.3+").unwrap();
    assert!(commit.len() == 12 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{clean}");
    assert_eq!(build_id::watched(dir.path()).len(), 3);

    fs::write(&file, "two").unwrap();
    assert_eq!(build_id::build_id("1.2.3", dir.path()), format!("{clean}-dirty"));
}

fn git(dir: &Path, arguments: &[&str]) {
    let status = Command::new("git").current_dir(dir).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "git {arguments:?}");
}
