//! The files of a crate use each other in one direction only: no file depends on itself through others. Only
//! names and paths are followed, not methods, and code under `#[cfg(test)]` is left out.

mod cycles;
mod modules;
mod uses;

use std::fs;
use std::path::{Path, PathBuf};

use cycles::cycles;
use uses::uses;

#[test]
fn the_files_of_a_crate_use_each_other_in_one_direction() {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace");
    let mut reports = Vec::new();
    for folder in crates(&workspace) {
        let name = folder.strip_prefix(&workspace).expect("below the workspace").display().to_string();
        let cycles = roots(&folder).into_iter().flat_map(|root| cycles(uses(&root)));
        reports.extend(cycles.map(|cycle| format!("{name}: {}", cycle.show(&folder))));
    }
    assert!(reports.is_empty(), "\n{}", reports.join("\n"));
}

#[test]
fn a_cycle_is_found_through_a_reexport_and_named_with_its_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("the file");
    };
    write("src/lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\n");
    write("src/a.rs", "use std::fmt;\n\nuse crate::b::inner::{self, B};\n\npub struct A(B);\n");
    write("src/b.rs", "pub mod inner;\n");
    write("src/b/inner.rs", "pub struct B;\n\nfn f() {\n    println!(\"{}\", crate::A::SIZE);\n}\n");
    write("src/c.rs", "use crate::a::A;\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n");
    let found = cycles(uses(&folder.path().join("src/lib.rs")));
    assert_eq!(found.len(), 1);
    let expected = "\
cycle: src/a.rs, src/b/inner.rs
  src/a.rs:3 uses src/b/inner.rs: crate::b::inner
  src/b/inner.rs:4 uses src/a.rs: crate::A::SIZE
";
    assert_eq!(found[0].show(folder.path()), expected);
}

/// Folders of the workspace's crates.
fn crates(workspace: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(workspace.join("crates"))
        .expect("the folder of the crates")
        .map(|entry| entry.expect("an entry").path())
        .chain([workspace.join("bench"), workspace.join("bench/protocol")])
        .filter(|folder| folder.join("Cargo.toml").exists())
        .collect();
    folders.sort();
    assert!(folders.len() >= 10, "found only {folders:?}");
    folders
}

/// Files that a target of the crate starts from.
fn roots(folder: &Path) -> Vec<PathBuf> {
    let source = folder.join("src");
    let binaries = fs::read_dir(source.join("bin")).into_iter().flatten();
    let mut roots: Vec<PathBuf> = binaries.map(|entry| entry.expect("an entry").path()).collect();
    roots.extend([source.join("lib.rs"), source.join("main.rs")]);
    roots.retain(|root| root.is_file());
    assert!(!roots.is_empty(), "no source in {}", folder.display());
    roots
}
