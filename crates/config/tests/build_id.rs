//! Tests of the build script, which is included by its path because it is not part of the library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, process::Command};

#[path = "../build_id.rs"]
#[allow(dead_code, reason = "nothing here calls its main")]
mod build_id;

/// A workspace with one commit, and the folder of a crate in it.
fn workspace() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("a writable folder");
    let package = root.path().join("crates/a");
    fs::create_dir_all(package.join("src")).expect("a writable folder");
    fs::create_dir_all(package.join("tests")).expect("a writable folder");
    for file in ["Cargo.toml", "Cargo.lock", "README.md", "crates/a/src/lib.rs", "crates/a/tests/t.rs"] {
        fs::write(root.path().join(file), "one").expect("a writable folder");
    }
    git(root.path(), &["init", "--quiet"]);
    git(root.path(), &["add", "."]);
    commit(root.path());
    (root, package)
}

#[test]
fn outside_of_git_a_build_is_its_version() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(build_id::build_id("1.2.3", dir.path()), "1.2.3");
}

#[test]
fn before_the_first_commit_a_build_is_its_version() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet"]);
    assert_eq!(build_id::build_id("1.2.3", dir.path()), "1.2.3");
}

#[test]
fn in_a_repository_that_ignores_it_a_build_is_its_version() {
    let (root, package) = workspace();
    fs::write(package.join("Cargo.toml"), "one").unwrap();
    fs::write(root.path().join(".gitignore"), "vendor/\n").unwrap();
    let vendored = root.path().join("vendor/crates/a");
    fs::create_dir_all(&vendored).unwrap();
    fs::write(vendored.join("Cargo.toml"), "one").unwrap();
    assert_eq!(build_id::build_id("1.2.3", &vendored), "1.2.3");
    assert!(build_id::build_id("1.2.3", &package).starts_with("1.2.3+"));
}

#[test]
fn a_clean_build_names_its_commit() {
    let (root, package) = workspace();
    let clean = build_id::build_id("1.2.3", &package);
    let commit = clean.strip_prefix("1.2.3+").unwrap();
    assert!(commit.len() == 12 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{clean}");
    assert_eq!(build_id::watched(&package).len(), 3);

    for no_source in ["README.md", "crates/a/tests/t.rs", "crates/a/tests/new.rs"] {
        fs::write(root.path().join(no_source), "two").unwrap();
    }
    assert_eq!(build_id::build_id("1.2.3", &package), clean, "these files are in no binary");
}

#[test]
fn two_builds_of_different_sources_never_share_a_name() {
    let (root, package) = workspace();
    let clean = build_id::build_id("1.2.3", &package);
    let mut names = BTreeSet::from([clean.clone()]);
    let mut check = |what: &str| {
        let name = build_id::build_id("1.2.3", &package);
        let dirty = name.strip_prefix(&format!("{clean}-dirty-")).unwrap_or_else(|| panic!("{name}"));
        assert!(dirty.len() == 8 && dirty.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
        assert_eq!(build_id::build_id("1.2.3", &package), name, "the same sources, the same name");
        assert!(names.insert(name), "{what}");
    };
    let write = |file: &str, text: &str| fs::write(root.path().join(file), text).unwrap();
    let source = "crates/a/src/lib.rs";

    write(source, "two");
    check("a change");
    write(source, "three");
    check("another change of the same file");
    git(root.path(), &["add", source]);
    write(source, "four");
    check("a change behind a staged one");
    write("Cargo.lock", "two");
    check("another version of a library");
    write("crates/a/src/new.rs", "one");
    check("a file that git does not know");
    write("crates/a/src/new.rs", "two");
    check("a change of it");
    fs::rename(root.path().join("crates/a/src/new.rs"), root.path().join("crates/a/src/old.rs")).unwrap();
    check("another name of it");
    write(source, "\0\u{1}binary");
    check("a binary change");
    write(source, "\0\u{2}binary");
    check("another binary change");
}

#[test]
fn a_commit_makes_it_clean_again() {
    let (root, package) = workspace();
    let before = build_id::build_id("1.2.3", &package);
    fs::write(package.join("src/lib.rs"), "two").unwrap();
    git(root.path(), &["add", "."]);
    assert!(build_id::build_id("1.2.3", &package).contains("-dirty-"));
    commit(root.path());
    let after = build_id::build_id("1.2.3", &package);
    assert!(after != before && !after.contains("dirty"), "{after}");
}

fn commit(dir: &Path) {
    git(dir, &["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "one"]);
}

fn git(dir: &Path, arguments: &[&str]) {
    let status = Command::new("git").current_dir(dir).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "git {arguments:?}");
}
