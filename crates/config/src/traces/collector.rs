//! The HTTP client of the export. It blocks: it runs on the thread of the export and nowhere else.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::Agent;

use crate::tls::{NoCertificates, client_tls};

/// Bytes read of a reply. It says at most which spans were refused.
const MAX_REPLY: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Collector {
    agent: Agent,
    last_error: LastError,
}

/// Why the last request failed. The exporter itself tells less.
#[derive(Debug, Clone, Default)]
pub(super) struct LastError(Arc<Mutex<Option<String>>>);

impl Collector {
    /// A client of `endpoint`, whose requests take `timeout` at most.
    pub(super) fn new(
        endpoint: &str,
        timeout: Duration,
        last_error: LastError,
    ) -> Result<Self, NoCertificates> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(timeout));
        if endpoint.starts_with("https:") {
            config = config.tls_config(client_tls()?);
        } else {
            // A collector without TLS is near, and no proxy leads to it.
            config = config.proxy(None);
        }
        Ok(Collector { agent: config.build().into(), last_error })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let sent = self.agent.run(Request::from_parts(head, &body[..]));
        let read = sent.and_then(|reply| {
            let (head, mut body) = reply.into_parts();
            Ok(Response::from_parts(head, body.with_config().limit(MAX_REPLY).read_to_vec()?.into()))
        });
        self.last_error.set(match &read {
            Ok(reply) if !reply.status().is_success() => Some(format!("it answered {}", reply.status())),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        });
        read.map_err(Into::into)
    }
}

impl LastError {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}
