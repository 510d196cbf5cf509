//! The soak's own gateway and worker are what a team's programs with kinds of their own are: one line around `main`.

use std::process::Command;

#[test]
fn a_program_of_its_own_reports_its_own_name_and_version() {
    for (program, path) in [
        ("soak-gateway", env!("CARGO_BIN_EXE_soak-gateway")),
        ("soak-worker", env!("CARGO_BIN_EXE_soak-worker")),
    ] {
        let output = Command::new(path).arg("--version").output().expect("it runs");
        let version = String::from_utf8_lossy(&output.stdout);
        assert_eq!(version.trim(), format!("{program} {}", env!("CARGO_PKG_VERSION")));
    }
}
