//! The files under `config/` as they are shipped.

use super::*;

#[test]
fn every_environment_loads() {
    for environment in Environment::ALL {
        let config = shipped(environment);
        assert_eq!(config.environment, environment);
    }
}

/// The keys of a section come from the error for an unknown key.
#[test]
fn develop_names_every_key() {
    let develop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/develop");
    for (file, section) in [
        ("config.yaml", vec!["server"]),
        ("config.yaml", vec!["worker"]),
        ("config.yaml", vec!["logging"]),
        ("config.yaml", vec!["traces"]),
        ("config.yaml", vec!["queues", "default"]),
        ("config.yaml", vec!["api"]),
        ("config.yaml", vec!["api", "auth"]),
        ("config.yaml", vec!["api", "cors"]),
        ("config.yaml", vec!["api", "rate_limit"]),
        ("cacheserver.yaml", vec!["cache_server", "redis", "jobqueue"]),
    ] {
        let variable = format!("APP__{}__NO_SUCH_KEY=1", section.join("__").to_uppercase());
        let line = with_variables(&[&variable]).map(|_| ()).unwrap_err();
        let (_, keys) = line.split_once(" has ").unwrap();
        let text = fs::read_to_string(develop.join(file)).unwrap();
        for key in keys.split(", ") {
            assert!(text.contains(&format!("{key}:")), "{key} of {} is not in {file}", section.join("."));
        }
    }
}

/// `develop` is the reference, so its values are the defaults. Its rate limits are higher, so that a developer does not
/// reach them, and a team may add queues.
#[test]
fn develop_has_the_defaults() {
    let empty = tempfile::tempdir().unwrap();
    let dir = empty.path().join("develop");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("config.yaml"), "").unwrap();
    fs::write(dir.join("cacheserver.yaml"), "# nothing but a comment\n").unwrap();
    let defaults = load_with(Environment::Develop, empty.path(), []).unwrap();

    let mut develop = shipped(Environment::Develop);
    develop.queues.retain(|name, _| name == "default");
    let limits = &mut develop.api.rate_limit;
    assert_eq!((limits.requests_per_minute, limits.requests_per_hour), (6_000, 0));
    (limits.requests_per_minute, limits.requests_per_hour) = (60, 1_000);
    assert_eq!(format!("{develop:#?}"), format!("{defaults:#?}"));
    assert_eq!(format!("{:#?}", Config::default()), format!("{defaults:#?}"));
}

#[test]
fn services_in_containers_are_reachable_and_find_redis_by_name() {
    for environment in [Environment::Staging, Environment::Production] {
        let config = shipped(environment);
        assert_eq!((config.server.host.as_str(), config.worker.host.as_str()), ("0.0.0.0", "0.0.0.0"));
        assert_eq!(config.logging.format, LogFormat::Json);
        let limits = &config.api.rate_limit;
        assert_eq!(limits.trusted_proxies, 1);
        assert_eq!((limits.requests_per_minute, limits.requests_per_hour), (60, 1_000));
        let redis = Endpoint::Server { host: "redis".to_owned(), port: 6379 };
        assert_eq!(config.cache_server.redis.jobqueue.endpoint, redis);
    }
}

#[test]
fn production_gives_load_balancers_time_to_notice_that_a_gateway_stops() {
    let delay = |environment| shipped(environment).server.shutdown_delay;
    assert_eq!(delay(Environment::Production), Duration::from_secs(5));
    assert_eq!(delay(Environment::Develop), Duration::ZERO);
}

#[test]
fn tests_are_not_limited_and_share_no_port() {
    let config = shipped(Environment::Test);
    assert!(!config.api.rate_limit.enabled);
    assert_eq!(config.worker.port, 0);
}

fn shipped(environment: Environment) -> Config {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    load_with(environment, &dir, []).unwrap_or_else(|error| panic!("{error}"))
}
