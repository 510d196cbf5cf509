//! Values that are valid by themselves and refused together, or in this version.

use super::{
    errors::{in_config, in_jobqueue, in_variable},
    *,
};

#[test]
fn a_worker_can_only_work_on_queues_that_exist() {
    let problem = "worker.queues.mail: this queue is not named in `queues`, which has default";
    assert_eq!(in_config("worker: { queues: { mail: 1 } }"), problem);
    assert_eq!(in_variable("APP__WORKER__QUEUES__MAIL=3"), problem);
    let weight = "worker.queues.default: expected a whole number from 1 to 1000000, found 0";
    assert_eq!(in_config("worker: { queues: { default: 0 } }"), weight);
    assert_eq!(in_config("worker: { queues: {} }"), "worker.queues: expected at least one queue, found none");
}

#[test]
fn settings_that_this_version_does_not_support_are_refused() {
    let auth = "api.auth.enabled: not available in this version: API keys are not checked yet";
    assert_eq!(in_config("api: { auth: { enabled: true } }"), auth);
    assert_eq!(in_variable("APP__API__AUTH__ENABLED=true"), auth);
    let key = format!("[{{ name: ci, sha256: \"{}\", scopes: [read] }}]", "0".repeat(64));
    let keys = "api.auth.keys: not available in this version: API keys are not checked yet, so the list has to be empty";
    assert_eq!(in_config(&format!("api: {{ auth: {{ keys: {key} }} }}")), keys);
    assert_eq!(in_variable(&format!("APP__API__AUTH__KEYS={key}")), keys);
    assert_eq!(
        in_config("api: { cors: { allowed_origins: [\"https://a\"] } }"),
        "api.cors.allowed_origins: not available in this version: no other origin can be allowed yet"
    );
    assert_eq!(
        in_jobqueue("cluster: { addrs: [\"c:1\"] }"),
        "cluster: not available in this version: jobs live on one Redis"
    );
}

#[test]
fn rate_limits_in_redis_need_a_redis() {
    let problem = "api.rate_limit.storage_type: redis needs an address in \
                   cache_server.redis.default.cluster.addrs, which is empty";
    assert_eq!(in_config("api: { rate_limit: { storage_type: redis } }"), problem);
    assert_eq!(in_variable("APP__API__RATE_LIMIT__STORAGE_TYPE=redis"), problem);
    let addrs = "APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS=[\"h:1\"]";
    with_variables(&["APP__API__RATE_LIMIT__STORAGE_TYPE=redis", addrs]).unwrap();
}

#[test]
fn jobs_live_at_one_address_or_behind_sentinels_but_not_both() {
    let sentinel = "sentinel: { master: m, addrs: [\"s:1\"] }";
    assert_eq!(
        in_jobqueue(&format!("addr: \"a:1\", {sentinel}")),
        "sentinel: give exactly one of addr, sentinel and cluster"
    );
    let no_addrs = "sentinel.addrs: expected at least one address, found none";
    assert_eq!(in_jobqueue("sentinel: { master: m, addrs: [] }"), no_addrs);
    assert_eq!(in_jobqueue("sentinel: { addrs: [\"s:1\"] }"), "sentinel.master: this key is missing");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let delays = "reconnect_min_delay is above reconnect_max_delay";
    assert_eq!(in_jobqueue("reconnect_min_delay: 2s"), format!("reconnect_min_delay: {delays}"));
    assert_eq!(in_jobqueue("reconnect_max_delay: 1ms"), format!("reconnect_max_delay: {delays}"));
    let both = "password_file: give password or password_file, not both";
    assert_eq!(in_jobqueue("password: hunter2, password_file: secret"), both);
}

#[test]
fn the_error_for_a_password_file_without_a_password_names_the_file() {
    let absent = "cannot read /nowhere/secret: No such file or directory (os error 2)";
    assert_eq!(in_jobqueue("password_file: /nowhere/secret"), format!("password_file: {absent}"));
    assert_eq!(in_jobqueue("password_file: /dev/null"), "password_file: /dev/null is empty");
    assert_eq!(
        in_variable("APP__CACHE_SERVER__REDIS__DEFAULT__PASSWORD_FILE=/nowhere/secret"),
        format!("cache_server.redis.default.password_file: {absent}")
    );
}
