//! The configuration of every process: two YAML files per environment, and environment variables that override them.
//! The result is a [`Config`] whose values need no second check.
//!
//! Any mistake ends the start with one line, a [`ConfigError`]. A key that this version does not support is a mistake
//! too: no setting is silently ignored.

mod address;
mod api;
mod args;
mod build;
mod cache_server;
mod collector_url;
mod config;
mod environment;
mod error;
mod listen;
mod load;
pub mod logging;
pub mod metrics;
mod one_line;
mod overrides;
mod password;
pub mod process;
pub mod redis;
mod sections;
mod source;
mod tls;
pub mod traces;
mod validate;
mod values;

pub use crate::{
    address::{Address, InvalidAddress},
    api::{Api, ApiKey, Auth, Cors, KeyRateLimit, OnError, RateLimit, Scope, StorageType},
    args::ConfigArgs,
    build::Build,
    cache_server::{CacheServer, Redis},
    collector_url::{CollectorUrl, InvalidCollectorUrl},
    config::Config,
    environment::{Environment, UnknownEnvironment},
    error::ConfigError,
    listen::{bare_host, listen_problem},
    load::load,
    one_line::one_line,
    sections::{Follow, LogFormat, Logging, Queue, Server, Traces, Worker},
    tls::{NoCertificates, client_tls},
};
