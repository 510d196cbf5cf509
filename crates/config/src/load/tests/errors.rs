//! Every mistake in a single value or name, with the line that it prints.

use std::os::unix::ffi::OsStringExt;

use super::*;

const NUMBER: &str = "expected a whole number from 0 to 65535, found";
const ADDRESS: &str =
    r#"expected an address such as "redis:6379" or "[::1]:6379", with a port from 1 to 65535, found"#;
const TEXT: &str = "expected a text that is not empty, in quotes if it is a number, found";
const UNIT: &str = r#"with its unit as in "25s" or "250ms", found"#;
const SERVER: &str =
    "server has host, port, keep_alive, shutdown_delay, shutdown_timeout, max_body_bytes, max_batch_bytes";

/// Checks that the line starts with this place, and returns the rest.
#[track_caller]
fn line(place: &str, result: Result<Config, String>) -> String {
    let line = result.map(|_| ()).expect_err("this configuration was accepted");
    assert_eq!(line.lines().count(), 1, "{line}");
    let rest = line.strip_prefix(place).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or_else(|| panic!("{place:?} does not begin {line:?}")).to_owned()
}

#[track_caller]
pub(super) fn in_config(text: &str) -> String {
    line("develop/config.yaml", load_files(text, "", &[]))
}

#[track_caller]
pub(super) fn in_jobqueue(keys: &str) -> String {
    let line = line("develop/cacheserver.yaml", jobqueue(keys, &[]));
    line.strip_prefix("cache_server.redis.jobqueue.").unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[track_caller]
fn in_default(keys: &str) -> String {
    let file = format!("cache_server: {{ redis: {{ default: {{ {keys} }} }} }}");
    let line = line("develop/cacheserver.yaml", load_files("", &file, &[]));
    line.strip_prefix("cache_server.redis.default.").unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[track_caller]
pub(super) fn in_variable(variable: &str) -> String {
    let name = variable.split_once('=').unwrap().0;
    line(&format!("environment variable {name}"), with_variables(&[variable]))
}

#[test]
fn the_error_for_an_absent_or_unreadable_file_names_the_file_and_the_settings_that_lead_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let load = || {
        let error = load_with(Environment::Staging, dir.path(), []).map(|_| ()).unwrap_err().to_string();
        error.replace(&format!("{}/", dir.path().display()), "")
    };
    let hint = "APP_CONFIG_DIR or --config-dir names the folder that holds the environments, \
                APP_ENV or --env the environment";
    let absent = "No such file or directory (os error 2)";
    assert_eq!(load(), format!("staging/config.yaml: {absent}; {hint}"));
    fs::create_dir(dir.path().join("staging")).unwrap();
    fs::write(dir.path().join("staging/config.yaml"), "").unwrap();
    assert_eq!(load(), format!("staging/cacheserver.yaml: {absent}; {hint}"));
    fs::write(dir.path().join("staging/cacheserver.yaml"), b"\xff").unwrap();
    assert_eq!(load(), format!("staging/cacheserver.yaml: stream did not contain valid UTF-8; {hint}"));
}

#[test]
fn the_error_for_a_file_that_is_not_yaml_names_the_file_and_the_line() {
    for (text, problem) in [
        (
            "server:\n  host: [\n",
            "not valid YAML: did not find expected node content at line 3 column 1, while parsing a flow node",
        ),
        (
            "server:\n\tport: 1\n",
            "not valid YAML: found character that cannot start any token at line 2 column 1, \
             while scanning for the next token",
        ),
        (
            "server: { port: 1, port: 2 }",
            "not valid YAML: server: duplicate entry with key \"port\" at line 1 column 9",
        ),
        (
            "a: 1\n---\nb: 2",
            "not valid YAML: deserializing from YAML containing more than one document is not supported",
        ),
        ("hunter2", "expected keys with their values, as in `server: { port: 8080 }`"),
    ] {
        assert_eq!(in_config(text), problem);
    }
}

#[test]
fn the_error_for_an_unknown_key_lists_the_known_keys() {
    let top = "config.yaml has queues, server, worker, logging, traces, api";
    assert_eq!(in_config("server: { prot: 1 }"), format!("server.prot: unknown key, {SERVER}"));
    assert_eq!(in_config("sevrer: {}"), format!("sevrer: unknown key, {top}"));
    assert_eq!(in_config("sevrer:"), format!("sevrer: unknown key, {top}"));
    assert_eq!(in_config("1: 2"), format!("1: unknown key, {top}"));
    assert_eq!(in_config("cache_server: {}"), format!("cache_server: unknown key, {top}"));
    assert_eq!(
        in_config("queues: { a: { size: 1 } }"),
        "queues.a.size: unknown key, queues.a has partitions, idempotency_ttl"
    );
    assert_eq!(
        in_jobqueue("pasword: hunter2"),
        "pasword: unknown key, cache_server.redis.jobqueue has addr, sentinel, cluster, db, pool_size, username, \
         password, password_file, tls, key_prefix, connect_timeout, command_timeout, reconnect_min_delay, \
         reconnect_max_delay"
    );
    for key in ["addr: \"a:1\"", "sentinel: {}", "db: 1", "pool_size: 2"] {
        let name = key.split_once(':').unwrap().0;
        assert_eq!(in_default(key), format!("{name}: only jobqueue has this key; default has cluster.addrs"));
    }
}

#[test]
fn the_error_for_an_unknown_variable_lists_the_known_keys() {
    let top = "config.yaml has queues, server, worker, logging, traces, api";
    assert_eq!(in_variable("APP__SERVER__PROT=1"), format!("server.prot: unknown key, {SERVER}"));
    assert_eq!(in_variable("APP__SERVER__PROT="), format!("server.prot: unknown key, {SERVER}"));
    assert_eq!(in_variable("APP__SERVER____PORT=1"), format!("server.\"\": unknown key, {SERVER}"));
    assert_eq!(in_variable("APP__SEVRER__PORT=1"), format!("sevrer: unknown key, {top}"));
    assert_eq!(
        in_variable("APP__CACHE_SERVER__REDIS__DEFALT__TLS=true"),
        "cache_server.redis.defalt: unknown key, cache_server.redis has jobqueue, default"
    );
}

#[test]
fn the_error_for_a_wrong_type_names_the_right_one() {
    for (text, problem) in [
        ("server: { port: eighty }", format!("server.port: {NUMBER} \"eighty\"")),
        ("server: { port: 80.5 }", format!("server.port: {NUMBER} 80.5")),
        ("server: { port: }", format!("server.port: {NUMBER} nothing")),
        ("server: { port: [1] }", format!("server.port: {NUMBER} a list")),
        ("server: { host: 1 }", format!("server.host: {TEXT} 1")),
        ("server: 8080", "server: expected a section of keys, found 8080".to_owned()),
        ("server: [127.0.0.1]", "server: expected a section of keys, found a list".to_owned()),
        (
            "api: { auth: { enabled: yes } }",
            "api.auth.enabled: expected true or false, found \"yes\"".to_owned(),
        ),
        ("logging: { format: xml }", "logging.format: expected one of text, json, found \"xml\"".to_owned()),
        ("logging: { format: 1 }", "logging.format: expected one of text, json, found 1".to_owned()),
    ] {
        assert_eq!(in_config(text), problem);
    }
    assert_eq!(in_variable("APP__SERVER__PORT=x"), format!("server.port: {NUMBER} \"x\""));
    assert_eq!(in_variable("APP__SERVER__PORT="), format!("server.port: {NUMBER} nothing"));
    assert_eq!(in_variable("APP__SERVER__PORT__X=1"), format!("server.port: {NUMBER} a section of keys"));
    assert_eq!(in_variable("APP__SERVER=x"), "server: expected a section of keys, found a text");
    assert_eq!(
        in_variable("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=h:1,h:2"),
        "cache_server.redis.default.cluster.addrs: expected a list such as [\"a\", \"b\"], found a text"
    );
}

#[test]
fn the_error_for_a_value_out_of_range_names_the_range() {
    for (text, problem) in [
        ("server: { port: 70000 }", format!("server.port: {NUMBER} 70000")),
        ("server: { port: -1 }", format!("server.port: {NUMBER} -1")),
        (
            "worker: { concurrency: 10001 }",
            "worker.concurrency: expected a whole number from 1 to 10000, found 10001".to_owned(),
        ),
        ("worker: { lease: 4s }", format!("worker.lease: expected a duration from 5s to 1h, {UNIT} \"4s\"")),
        (
            "worker: { lease: 61m }",
            format!("worker.lease: expected a duration from 5s to 1h, {UNIT} \"61m\""),
        ),
        (
            "queues: { a: { partitions: 2 } }",
            "queues.a.partitions: expected 1 (partitions above 1 are not available in this version), found 2"
                .to_owned(),
        ),
        (
            "queues: { a: { idempotency_ttl: 59s } }",
            format!("queues.a.idempotency_ttl: expected a duration from 1m to 720h, {UNIT} \"59s\""),
        ),
        (
            "queues: { Mail: {} }",
            "queues.Mail: expected a queue name of 1 to 64 characters from a-z, 0-9, _ and -, found \"Mail\""
                .to_owned(),
        ),
        ("queues: {}", "queues: expected at least one queue, found none".to_owned()),
        (
            "logging: { level: loud }",
            "logging.level: expected off, error, warn, info, debug, trace, or a filter such as \
             \"info,atode_queue=debug\", found \"loud\""
                .to_owned(),
        ),
    ] {
        assert_eq!(in_config(text), problem);
    }
    assert_eq!(in_variable("APP__SERVER__PORT=70000"), format!("server.port: {NUMBER} 70000"));
}

#[test]
fn the_error_for_a_duration_without_a_unit_shows_a_duration_with_one() {
    let problem = format!("server.shutdown_timeout: expected a duration from 0s to 1h, {UNIT}");
    assert_eq!(in_config("server: { shutdown_timeout: 25 }"), format!("{problem} 25"));
    assert_eq!(in_config("server: { shutdown_timeout: -25s }"), format!("{problem} \"-25s\""));
    assert_eq!(in_variable("APP__SERVER__SHUTDOWN_TIMEOUT=25"), format!("{problem} \"25\""));
}

#[test]
fn the_error_for_an_api_key_names_the_wrong_field() {
    let key = |fields: &str| in_config(&format!("api: {{ auth: {{ keys: [{{ {fields} }}] }} }}"));
    let hash = "0".repeat(64);
    assert_eq!(key("name: a"), "api.auth.keys[0].sha256: this key is missing");
    assert_eq!(
        key("name: a, sha256: hunter2, scopes: []"),
        "api.auth.keys[0].sha256: expected 64 hexadecimal digits in quotes, found another text"
    );
    assert_eq!(
        key(&format!("name: a, sha256: \"{hash}\", scopes: [read, write]")),
        "api.auth.keys[0].scopes[1]: expected one of enqueue, read, admin, found \"write\""
    );
    for wrong in ["hunter2", "[hunter2]"] {
        let problem = in_variable(&format!("APP__API__AUTH__KEYS={wrong}"));
        assert!(problem.starts_with("api.auth.keys") && problem.ends_with(", found a text"), "{problem}");
    }
}

#[test]
fn a_host_is_a_name_without_scheme_and_port() {
    let expected = r#"expected a host name without scheme and port, such as "jobs.example.com", found"#;
    for wrong in ["https://a", "a:80", "a/b", "*.a", "", "[::1]:80"] {
        let problem = format!("api.hosts[0]: {expected} {wrong:?}");
        assert_eq!(in_config(&format!("api: {{ hosts: [{wrong:?}] }}")), problem);
    }
    let config = with_variables(&[r#"APP__API__HOSTS=["Jobs.Example.com","[::1]","10.0.0.7"]"#]).unwrap();
    assert_eq!(config.api.hosts, ["jobs.example.com", "::1", "10.0.0.7"]);
}

#[test]
fn the_error_for_a_wrong_address_shows_valid_ones() {
    assert_eq!(in_jobqueue("addr: localhost"), format!("addr: {ADDRESS} \"localhost\""));
    assert_eq!(in_jobqueue("addr: \"localhost:70000\""), format!("addr: {ADDRESS} \"localhost:70000\""));
    assert_eq!(in_jobqueue("addr: 6379"), format!("addr: {ADDRESS} 6379"));
    assert_eq!(
        in_default("cluster: { addrs: [\"h:1\", \"h\"] }"),
        format!("cluster.addrs[1]: {ADDRESS} \"h\"")
    );
    assert_eq!(
        in_variable("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=[\"h:1\",\"h\"]"),
        format!("cache_server.redis.default.cluster.addrs[1]: {ADDRESS} \"h\"")
    );
}

#[test]
fn no_error_shows_a_secret() {
    assert_eq!(in_jobqueue("password: 12345"), format!("password: {TEXT} a number"));
    assert_eq!(in_jobqueue("password: true"), format!("password: {TEXT} true or false"));
    assert_eq!(in_jobqueue("password: [hunter2]"), format!("password: {TEXT} a list"));
    assert_eq!(in_jobqueue("password: { hunter2: 1 }"), format!("password: {TEXT} a section of keys"));
    assert_eq!(in_jobqueue("password: \"\""), format!("password: {TEXT} an empty text"));
    assert_eq!(
        in_jobqueue("addr: \"redis://:hunter2@localhost:6379\""),
        format!("addr: {ADDRESS} a text with \"@\" in it")
    );
}

#[test]
fn the_error_for_a_variable_that_is_not_utf_8_names_the_variable() {
    let dir = tempfile::tempdir().unwrap();
    let variable = ("APP__SERVER__HOST".into(), OsString::from_vec(vec![0xff]));
    let error = load_with(Environment::Test, dir.path(), [variable]).map(|_| ()).unwrap_err();
    let line = "environment variable APP__SERVER__HOST: server.host: expected UTF-8, found other bytes";
    assert_eq!(error.to_string(), line);
}
