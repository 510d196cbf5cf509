//! Loading a [`Config`] from the two files of an environment and the variables of the process.

use std::{collections::BTreeMap, env, ffi::OsString, path::Path};

use crate::{
    api::Api,
    cache_server,
    config::Config,
    environment::Environment,
    error::ConfigError,
    overrides::Override,
    sections::{Logging, Queue, Server, Traces, Worker},
    source::Source,
    validate::validate,
    values::{Section, by_queue, keys, section},
};

const CACHE_SERVER: &str = "cache_server";

/// Sections that apply if `config.yaml` does not have them. Variables add to them, just as they add to those of the
/// file.
const ABSENT_SECTIONS: &str = "queues: { default: {} }";

/// Reads `{dir}/{env}/config.yaml` and `{dir}/{env}/cacheserver.yaml`, which must both exist. The variables
/// `APP__SECTION__KEY` of this process override their keys.
///
/// The value of a variable has the form that its key needs: `APP__SERVER__PORT=9090`. A value that starts with `[` is a
/// list in YAML: `["h:1","h:2"]`. An empty value removes the value of the file.
pub fn load(env: Environment, dir: &Path) -> Result<Config, ConfigError> {
    load_with(env, dir, env::vars_os())
}

pub(crate) fn load_with(
    environment: Environment,
    dir: &Path,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let dir = dir.join(environment.as_str());
    let overrides = Override::among(variables)?;
    let of_config = overrides.iter().filter(|over| !over.is_in(CACHE_SERVER));
    let of_cache_server = overrides.iter().filter(|over| over.is_in(CACHE_SERVER));
    let source = Source::read(dir.join("config.yaml"), ABSENT_SECTIONS, of_config)?;
    let cache_server = cache_server::read(&Source::read(dir.join("cacheserver.yaml"), "", of_cache_server)?)?;

    let FileKeys { queues, server, worker, logging, traces, api } = source.extract()?;
    let named = queues.into_iter().flatten();
    let queues = named.map(|(name, queue)| (name, queue.map_or_else(Queue::default, |section| section.0)));
    let queues = queues.collect();
    let config = Config { environment, queues, server, worker, logging, traces, api, cache_server };
    validate(&config, &source)?;
    Ok(config)
}

keys! {
    struct FileKeys {
        queues: Option<BTreeMap<String, Option<Section<Queue>>>> = None, "by_queue";
        server: Server = Server::default(), "section";
        worker: Worker = Worker::default(), "section";
        logging: Logging = Logging::default(), "section";
        traces: Traces = Traces::default(), "section";
        api: Api = Api::default(), "section";
    }
}

#[cfg(test)]
mod tests;
