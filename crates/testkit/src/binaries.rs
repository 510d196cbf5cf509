//! Paths of the workspace's executables and files, for a running test.

use std::path::{Path, PathBuf};

/// The executable of this name that cargo built beside the running test: `target/<profile>/<name>`. An environment
/// variable can replace it, for example with a gateway that knows more kinds: `ATODE_TEST_API_GATEWAY=soak-gateway`.
///
/// Cargo builds binaries only for tests of the same package, so the executable may be missing or older than its source:
/// run `cargo build --workspace` first.
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    let variable = format!("ATODE_TEST_{}", name.replace('-', "_").to_uppercase());
    let name = &std::env::var(variable).unwrap_or_else(|_| name.to_owned());
    let test = std::env::current_exe().expect("a running test knows its own path");
    // Tests are in `target/<profile>/deps`, examples in `…/examples`, and binaries that use this crate in the same folder.
    let path = test.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| panic!("{name} is missing: run `cargo build --workspace` first"))
}

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies in <workspace>/crates/testkit").to_path_buf()
}
