//! Messages at the start of a gateway.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use atode_testkit::{Gateway, Process, RedisServer, binary};
use serde_json::json;

const DEADLINE: Duration = Duration::from_secs(20);

/// A temporary `config/test` with this `config.yaml`.
fn configuration(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let test = dir.path().join("test");
    fs::create_dir(&test).expect("a folder in it");
    fs::write(test.join("config.yaml"), config).expect("its first file");
    fs::write(test.join("cacheserver.yaml"), "").expect("its second file");
    dir
}

/// Exit code, stdout and stderr of `api-gateway --check-config`.
fn check(dir: &Path, variable: Option<(&str, &str)>) -> (i32, String, String) {
    let process = Process::builder(binary("api-gateway")).arg("--check-config").arg("--config-dir").arg(dir);
    let process = process.env("APP_ENV", "test");
    let process = match variable {
        Some((name, value)) => process.env(name, value),
        None => process,
    };
    let process = process.start();
    let status = process.wait(DEADLINE);
    (status.code().expect("an exit code"), process.stdout(), process.stderr())
}

#[test]
fn the_configuration_can_be_checked_without_a_start() {
    let dir = configuration("server: { port: 1 }");
    let (code, out, err) = check(dir.path(), None);
    assert_eq!((code, out.as_str()), (0, "api-gateway: the configuration is valid\n"), "{err}");
    assert!(!err.contains("demo:delay_print"), "its queue is configured: {err}");

    let (code, out, err) = check(dir.path(), Some(("APP__SERVER__PORT", "70000")));
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
    assert!(err.contains("APP__SERVER__PORT") && err.contains("found 70000"), "{err}");

    let typo = configuration("server: { prot: 8080 }");
    let (code, _, err) = check(typo.path(), None);
    assert!(code == 1 && err.contains("config.yaml: server.prot: unknown key"), "{code}: {err}");
}

#[test]
fn a_kind_without_a_configured_queue_is_named_at_the_start_and_in_the_refusal() {
    let dir = configuration("queues: { mail: {} }\napi: { rate_limit: { enabled: false } }");
    let redis = RedisServer::start();
    let gateway = Gateway::builder(&redis.addr()).env("APP_CONFIG_DIR", dir.path()).start();
    let log = gateway.stderr();
    let file = dir.path().join("test/config.yaml");
    let line = log.lines().find(|line| line.contains("kind=demo:delay_print")).expect(&log);
    for word in [
        "WARN",
        "the queue of this kind is not configured",
        "queue=default",
        &format!("file={}", file.display()),
    ] {
        assert!(line.contains(word), "{word} is missing in {line}");
    }

    let refused = gateway.post("/v1/jobs", &json!({"kind": "demo:delay_print"}));
    assert_eq!(refused.status, 422);
    let error = &refused.json()["errors"][0];
    assert_eq!(
        error["detail"],
        r#"the queue "default" of this kind is not configured; configured queues: mail"#
    );
    let elsewhere = json!({"kind": "demo:delay_print", "queue": "mail"});
    assert_eq!(gateway.post("/v1/jobs", &elsewhere).status, 201);

    let (code, _, err) = check(dir.path(), None);
    assert!(code == 0 && err.contains("queue=default"), "{code}: {err}");
}

#[test]
fn a_port_in_use_is_reported() {
    let redis = RedisServer::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("its address").port();
    let process = Gateway::builder(&redis.addr()).port(port).spawn();
    assert_eq!(process.wait(DEADLINE).code(), Some(1));
    let err = process.stderr();
    let line = format!("api-gateway: cannot listen on 127.0.0.1:{port}: Address already in use");
    assert!(err.contains(&line) && err.contains("`--port` takes another one"), "{err}");
}

#[test]
fn the_error_for_an_address_of_another_machine_names_no_other_gateway() {
    let redis = RedisServer::start();
    let process = Gateway::builder(&redis.addr()).args(["--host", "192.0.2.1"]).spawn();
    assert_eq!(process.wait(DEADLINE).code(), Some(1));
    let err = process.stderr();
    assert!(err.contains("cannot listen on 192.0.2.1:0: ") && err.contains("no such address"), "{err}");
    assert!(!err.contains("another gateway"), "{err}");
}

#[test]
fn a_host_may_be_an_ipv6_address_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // this machine has no IPv6
    }
    let redis = RedisServer::start();
    let process = Gateway::builder(&redis.addr()).args(["--host", "[::1]"]).spawn();
    process.wait_for_stderr(|log| log.contains("listening on http://[::1]:"), DEADLINE);
}
