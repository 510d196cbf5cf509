//! Each way to get the configuration wrong, with the line that it prints.

use super::*;

#[allow(dead_code)]
#[track_caller]
fn line(result: Result<Config, String>) -> String {
    let line = result.expect_err("this configuration was accepted");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

fn say(r: Result<Config,String>) -> String { match r { Ok(_) => "OK!!!".to_string(), Err(e) => e } }
#[test]
fn explore() {
    let c = |text: &str| say(load_files(text, "", &[]));
    let j = |text: &str| say(jobqueue(text, &[]));
    let v = |text: &str| say(with_variables(&[text]));
    let d = |text: &str| load_files("", &format!("cache_server: {{ redis: {{ default: {{ {text} }} }} }}"), &[]).map_or_else(|e| e, |_| "OK!!!".to_string());
    let J = |text: &str| with_variables(&[&format!("APP__CACHE_SERVER__REDIS__JOBQUEUE__{text}")]).map_or_else(|e| e, |_| "OK!!!".to_string());
    for result in [
        c("server: { prot: 1 }"), c("sevrer: {}"), c("cache_server: {}"), v("APP__SERVER__PROT=1"), v("APP__SEVRER__PORT=1"), v("APP__SERVER__PROT="),
        c("server:\n  host: [\n"), c("server:\n\tport: 1\n"), c("server: { port: 1, port: 2 }"), c("just text"), c("- a"), c("a: 1\n---\nb: 2"), c("1: 2"), c("? [a]: 2"),
        c("server: { port: 70000 }"), c("server: { port: -1 }"), c("server: { port: eighty }"), c("server: { port: 80.5 }"), c("server: { port: }"), c("server: { port: [1] }"), c("server: { port: {} }"),
        c("server: 8080"), c("server: [127.0.0.1]"), c("server: { host: 1 }"), c("server: { host: \"\" }"), c("server: { max_body_bytes: 0 }"),
        c("server: { max_body_bytes: 99999999999999999999999999 }"),
        v("APP__SERVER__PORT=70000"), v("APP__SERVER__PORT=x"), v("APP__SERVER__PORT="), v("APP__SERVER=x"), v("APP__SERVER__PORT__X=1"), v("APP__SERVER__=1"), v("APP__=1"), v("APP__SERVER____PORT=1"),
        c("server: { shutdown_timeout: 25 }"), c("server: { shutdown_timeout: -25s }"), c("server: { shutdown_timeout: 2h }"), v("APP__SERVER__SHUTDOWN_TIMEOUT=25"), c("worker: { lease: 4s }"), c("worker: { lease: 61m }"), c("worker: { lease: soon }"),
        c("worker: { concurrency: 0 }"), c("worker: { concurrency: 10001 }"), c("worker: { queues: { mail: 1 } }"), c("worker: { queues: { default: 0 } }"), c("worker: { queues: {} }"), c("worker: { queues: [default] }"), v("APP__WORKER__QUEUES__MAIL=3"),
        c("queues: { Mail: {} }"), c("queues: {}"), c("queues: { a: { partitions: 2 } }"), c("queues: { a: { partitions: 0 } }"), c("queues: [a]"), c("queues: { a: 1 }"), c("queues: { a: { size: 1 } }"), v("APP__QUEUES__A__PARTITIONS=4"),
        c("logging: { level: loud }"), c("logging: { level: \"info,fred=loud\" }"), c("logging: { format: xml }"), c("logging: { format: 1 }"), c("logging: { level: 3 }"),
        c("api: { auth: { enabled: true } }"), v("APP__API__AUTH__ENABLED=true"), c("api: { auth: { enabled: yes } }"), c("api: { cors: { allowed_origins: [\"https://a\"] } }"),
        c("api: { auth: { keys: [{ name: a, sha256: abc, scopes: [read] }] } }"), c("api: { auth: { keys: [{ name: a }] } }"), c("api: { auth: { keys: [{ nam: a }] } }"), c("api: { auth: { keys: [a] } }"),
        c(&format!("api: {{ auth: {{ keys: [{{ name: a, sha256: \"{}\", scopes: [read, write] }}] }} }}", "0".repeat(64))),
        c("api: { rate_limit: { storage_type: redis } }"), c("api: { rate_limit: { storage_type: disk } }"), c("api: { rate_limit: { on_error: panic } }"), c("api: { rate_limit: { deadline: 50 } }"), c("api: { rate_limit: { requests_per_minute: -1 } }"),
        v("APP__API__RATE_LIMIT__STORAGE_TYPE=redis"),
        j("addr: localhost"), j("addr: \"localhost:70000\""), j("addr: \"redis://:hunter2@localhost:6379\""), j("addr: 6379"), j("addr: \"::1:6379\""),
        j("addr: \"a:1\", sentinel: { master: m, addrs: [\"s:1\"] }"), j("sentinel: { master: m, addrs: [] }"), j("sentinel: { addrs: [\"s:1\"] }"), j("sentinel: { master: m }"), j("sentinel: { master: m, addrs: \"s:1\" }"), j("sentinel: { master: m, addrs: [\"s:1\", \"s\"] }"),
        j("cluster: { addrs: [\"c:1\"] }"), j("password: 12345"), j("password: [hunter2]"), j("password: { hunter2: 1 }"), j("password: \"\""), j("password: true"), j("password: a, password_file: b"), j("password_file: /nowhere/secret"), j("password_file: /dev/null"), j("password_file: 1"), j("pasword: hunter2"),
        j("db: 256"), j("tls: 1"), j("key_prefix: \"a b\""), j("key_prefix: \"{a}\""), j("key_prefix: 5"), j("pool_size: 0"), j("connect_timeout: 0s"), j("command_timeout: 2m"), j("reconnect_min_delay: 2s"), j("reconnect_max_delay: 1ms"),
        J("ADDR=redis"), J("RECONNECT_MAX_DELAY=1ms"), J("PASSWORD_FILE=/nowhere/secret"), J("SENTINEL__MASTER=m"), J("TLS=maybe"), J("CLUSTER__ADDRS=[\"c:1\"]"), J("PASWORD=hunter2"), J("PASSWORD__X=hunter2"),
        d("addr: \"a:1\""), d("cluster: { addrs: [\"h:1\", \"h:70000\"] }"), d("cluster: { addrs: \"h:1\" }"), d("cluster: [\"h:1\"]"), d("sentinel: {}"), d("password_file: /nowhere"),
        v("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=h:1,h:2"), v("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=[\"h:1\",\"h\"]"), v("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=[\"h:1\""), v("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=[h:1]"), v("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS="),
        v("APP__CACHE_SERVER__REDIS__DEFALT__X=1"), v("APP__CACHE_SERVER=1"),
        say(load_files("", "queues: {}", &[])),
    ] {
        println!("{result}")
    }
}
