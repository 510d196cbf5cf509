use std::{fs, time::Duration};

use secrecy::ExposeSecret;

use super::*;
use crate::{Address, ApiKey, LogFormat, OnError, redis::Endpoint};

/// Loads two files and variables given as `NAME=value`. The error is one line, without the name of the folder.
fn load_files(config: &str, cache_server: &str, variables: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let develop = dir.path().join("develop");
    fs::create_dir(&develop).unwrap();
    fs::write(develop.join("config.yaml"), config).unwrap();
    fs::write(develop.join("cacheserver.yaml"), cache_server).unwrap();
    let variables = variables.iter().map(|variable| variable.split_once('=').unwrap());
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    load_with(Environment::Develop, dir.path(), variables)
        .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn with_variables(variables: &[&str]) -> Result<Config, String> {
    load_files("", "", variables)
}

fn jobqueue(keys: &str, variables: &[&str]) -> Result<Config, String> {
    load_files("", &format!("cache_server: {{ redis: {{ jobqueue: {{ {keys} }} }} }}"), variables)
}

mod contradictions;
mod errors;
mod reference;
mod shipped;

#[test]
fn variables_override_every_kind_of_value() {
    let config = with_variables(&[
        "APP__SERVER__PORT=9090",
        "APP__SERVER__SHUTDOWN_TIMEOUT=PT3M",
        "APP__QUEUES__DEFAULT__PARTITIONS=1",
        "APP__QUEUES__MAIL__IDEMPOTENCY_TTL=1h",
        "APP__WORKER__QUEUES__MAIL=3",
        "APP__LOGGING__LEVEL=info,atode_queue=debug",
        "APP__LOGGING__FORMAT=json",
        "APP__API__RATE_LIMIT__ENABLED=false",
        "APP__API__RATE_LIMIT__ON_ERROR=deny",
        "APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=redis:6380",
        r#"APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=["h:1","h:2"]"#,
        "APP_ENV=production",
        "APP_CONFIG_DIR=/nowhere",
    ])
    .unwrap();
    assert_eq!(config.server.port, 9090);
    assert_eq!(config.server.shutdown_timeout, Duration::from_secs(180));
    assert_eq!(config.queues.keys().collect::<Vec<_>>(), ["default", "mail"]);
    assert_eq!(config.queues["mail"].idempotency_ttl, Duration::from_secs(60 * 60));
    assert_eq!(config.queues["default"].idempotency_ttl, Duration::from_secs(24 * 60 * 60));
    assert_eq!(config.worker.queues, Some(BTreeMap::from([("mail".to_owned(), 3)])));
    assert_eq!(
        config.logging.level.to_string(),
        "actix_http::h1::dispatcher=off,actix_server=warn,atode_queue=debug,info"
    );
    assert_eq!(config.logging.format, LogFormat::Json);
    assert!(!config.api.rate_limit.enabled);
    assert_eq!(config.api.rate_limit.on_error, OnError::Deny);
    let redis = config.cache_server.redis;
    assert_eq!(redis.jobqueue.endpoint, Endpoint::Server { host: "redis".to_owned(), port: 6380 });
    let h = |port| Address { host: "h".to_owned(), port };
    assert_eq!(redis.default.addrs, [h(1), h(2)]);
}

#[test]
fn a_variable_changes_only_its_own_key() {
    let config = load_files("server: { host: 0.0.0.0, port: 1 }", "", &["APP__SERVER__PORT=2"]).unwrap();
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 2));
}

#[test]
fn an_empty_variable_removes_an_optional_key() {
    let sentinel = "APP__CACHE_SERVER__REDIS__JOBQUEUE__SENTINEL";
    let config = jobqueue(
        "addr: \"redis:6379\"",
        &[
            "APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=",
            "APP__CACHE_SERVER__REDIS__JOBQUEUE__PASSWORD=",
            &format!("{sentinel}__MASTER=main"),
            &format!("{sentinel}__ADDRS=[\"s:26379\"]"),
        ],
    );
    let jobqueue = config.unwrap().cache_server.redis.jobqueue;
    let addrs = vec![Address { host: "s".to_owned(), port: 26379 }];
    assert_eq!(jobqueue.endpoint, Endpoint::Sentinel { master: "main".to_owned(), addrs });
    assert!(jobqueue.connection.password.is_none());
}

#[test]
fn a_password_in_a_variable_is_used_unchanged() {
    for secret in ["12345", "007", "1.50", "true", "[a]", "{a: b}", " padded ", "\"quoted\"", "a#b: c"] {
        let variable = format!("APP__CACHE_SERVER__REDIS__JOBQUEUE__PASSWORD={secret}");
        let redis = with_variables(&[&variable]).unwrap().cache_server.redis;
        assert_eq!(redis.jobqueue.connection.password.unwrap().expose_secret(), secret);
    }
}

#[test]
fn only_the_final_line_break_and_the_byte_order_mark_of_a_password_file_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    for text in [" s3cret \r\n", "\u{feff} s3cret "] {
        fs::write(&path, text).unwrap();
        let keys = format!("password_file: {}", path.display());
        let redis = jobqueue(&keys, &[]).unwrap().cache_server.redis;
        assert_eq!(redis.jobqueue.connection.password.unwrap().expose_secret(), " s3cret ");
    }
}

#[test]
fn no_debug_output_shows_a_secret() {
    let config = with_variables(&["APP__CACHE_SERVER__REDIS__JOBQUEUE__PASSWORD=hunter2"]).unwrap();
    let hash = "0123456789abcdef".repeat(4);
    let key: ApiKey =
        yaml_serde::from_str(&format!("{{ name: ci, sha256: \"{hash}\", scopes: [read] }}")).unwrap();
    let debug = format!("{config:?} {key:?}");
    assert!(debug.contains("REDACTED"), "{debug}");
    assert!(!debug.contains("hunter2") && !debug.contains("35, 69"), "{debug}");
    assert_eq!(key.sha256[..3], [0x01, 0x23, 0x45]);
}

#[test]
fn a_queue_that_only_a_variable_names_does_not_remove_the_default_one() {
    let variable = "APP__QUEUES__MAIL__PARTITIONS=1";
    for (file, queues) in [
        ("", vec!["default", "mail"]),
        ("queues:\n", vec!["default", "mail"]),
        ("queues: { other: {} }", vec!["mail", "other"]),
    ] {
        let config = load_files(file, "", &[variable]).unwrap();
        assert_eq!(config.queues.keys().collect::<Vec<_>>(), queues, "{file}");
    }
    for environment in Environment::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let config = load_with(environment, &dir, [(variable[..29].into(), "1".into())]).unwrap();
        assert!(
            config.queues.contains_key("default") && config.queues.contains_key("mail"),
            "{environment:?}"
        );
    }
}

#[test]
fn sections_and_queues_without_keys_have_their_defaults() {
    let config =
        load_files("server:\nworker:\n  # port: 1\nqueues:\n  mail:\n  \"1\": {}\n", "cache_server:\n", &[]);
    let config = config.unwrap();
    assert_eq!(config.server, Server::default());
    assert_eq!(config.queues.keys().collect::<Vec<_>>(), ["1", "mail"]);
    assert_eq!(config.queues["mail"], Queue::default());
}
