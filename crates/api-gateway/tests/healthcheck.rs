//! `--healthcheck`, with which a container asks its own process.

mod support;

use std::process::{Command, Output};

use atode_testkit::{Worker, binary, eventually, workspace_root};
use support::{DEADLINE, start};

/// Runs the health check of this program for a process at this port.
fn healthcheck(program: &str, port: u16) -> Output {
    let mut command = Command::new(binary(program));
    command.args(["--healthcheck", "--env", "test", "--port", &port.to_string(), "--config-dir"]);
    command.arg(workspace_root().join("config")).output().expect("it runs")
}

#[test]
fn it_tells_whether_the_process_is_ready() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    for (program, port) in [("api-gateway", gateway.port()), ("worker", worker.port())] {
        eventually("it is ready", DEADLINE, || {
            let output = healthcheck(program, port);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && text.contains("\"status\":")).then_some(())
        });
    }
    redis.kill();
    for (program, port) in [("api-gateway", gateway.port()), ("worker", worker.port())] {
        let why = eventually("it is not ready", DEADLINE, || {
            let output = healthcheck(program, port);
            (output.status.code() == Some(1)).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
        });
        assert!(why.starts_with(&format!("{program}: not ready: ")), "{why}");
    }
}

#[test]
fn it_fails_in_one_line_if_nothing_listens_or_the_port_is_any() {
    let port = {
        let (_redis, gateway) = start();
        gateway.port()
    };
    for (port, expected) in [(port, "does not answer"), (0, "needs a fixed port")] {
        let output = healthcheck("api-gateway", port);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), why.lines().count()), (Some(1), 1), "{why}");
        assert!(why.contains(expected), "{why}");
    }
}
