//! The files under `config/` as they are shipped.

use std::{fs, path::Path};

use atode_config::{Config, Environment, LogFormat, load, redis::Endpoint};

#[test]
fn every_environment_loads() {
    for environment in Environment::ALL {
        let config = shipped(environment);
        assert_eq!(config.environment, environment);
    }
}

/// `develop` is the reference: its values are the defaults, and it names every key.
#[test]
fn develop_says_what_holds_without_it() {
    let empty = tempfile::tempdir().unwrap();
    let dir = empty.path().join("develop");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("config.yaml"), "").unwrap();
    fs::write(dir.join("cacheserver.yaml"), "# nothing but a comment\n").unwrap();
    let defaults = load(Environment::Develop, empty.path()).unwrap();

    assert_eq!(format!("{:#?}", shipped(Environment::Develop)), format!("{defaults:#?}"));
    assert_eq!(format!("{:#?}", Config::default()), format!("{defaults:#?}"));
}

#[test]
fn services_in_containers_are_reachable_and_find_redis_by_name() {
    for environment in [Environment::Staging, Environment::Production] {
        let config = shipped(environment);
        assert_eq!((config.server.host.as_str(), config.worker.host.as_str()), ("0.0.0.0", "0.0.0.0"));
        assert_eq!(config.logging.format, LogFormat::Json);
        assert_eq!(config.api.rate_limit.trusted_proxies, 1);
        let redis = Endpoint::Server { host: "redis".to_owned(), port: 6379 };
        assert_eq!(config.cache_server.redis.jobqueue.endpoint, redis);
    }
}

#[test]
fn tests_are_not_limited_and_share_no_port() {
    let config = shipped(Environment::Test);
    assert!(!config.api.rate_limit.enabled);
    assert_eq!(config.worker.port, 0);
}

fn shipped(environment: Environment) -> Config {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    load(environment, &dir).unwrap_or_else(|error| panic!("{error}"))
}
