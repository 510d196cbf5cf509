//! The configuration of the shop's worker can be checked without its bank.

use std::process::Command;

#[test]
fn a_check_knows_the_state_that_the_worker_will_have() {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_shop-worker"));
    let checked =
        worker.args(["--check-config", "--config-dir", "../../../config"]).output().expect("it runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(checked.stdout, b"shop-worker: the configuration is valid\n");
}
