//! The gateway and worker of the soak are examples of programs with additional kinds: one line around `main`.

use std::process::Command;

#[test]
fn a_program_with_additional_kinds_reports_its_name_and_version() {
    for (program, path) in [
        ("soak-gateway", env!("CARGO_BIN_EXE_soak-gateway")),
        ("soak-worker", env!("CARGO_BIN_EXE_soak-worker")),
    ] {
        let output = Command::new(path).arg("--version").output().expect("it runs");
        let version = String::from_utf8_lossy(&output.stdout);
        assert_eq!(version.trim(), format!("{program} {}", env!("CARGO_PKG_VERSION")));
    }
}
