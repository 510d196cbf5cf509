//! Calls to a gateway over HTTP. Only what is safe to repeat is repeated: reads, and a stored job with an idempotency
//! key.

use std::io::{BufRead, BufReader};
use std::time::Duration;
use std::{fmt, io, thread};

use atode_config::client_tls;
use atode_config::traces::TraceContext;
use tokio::sync::mpsc;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode};
use ureq::{Agent, Body, Timeout};

use crate::address::{Address, Endpoint};
use crate::answer::Answer;
use crate::call_error::CallError;
use crate::key::Key;
use crate::print;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::version::Version;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From the request to the first byte of the reply. A gateway gives up on Redis after about a second.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Larger than the largest list: 1,000 jobs with payloads.
const MAX_REPLY_BYTES: u64 = 512 << 20;

const ATTEMPTS: u32 = 3;
/// The pause before the second attempt, unless the reply names one. It doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A call is not repeated if it would have to wait longer than this.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Long work waits this long for a rate limit, which is per minute.
const MAX_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// A gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway {
    agent: Agent,
    address: Address,
    key: Option<Key>,
}

/// One request.
#[derive(Clone)]
struct Call {
    method: Method,
    endpoint: Endpoint,
    json: Option<String>,
    idempotency_key: Option<String>,
    trace: Option<TraceContext>,
    /// The value of `If-Match`.
    version: Option<String>,
}

/// A reply that is no error.
struct Reply {
    body: String,
    /// The version of the job in it, if it is one that waits.
    version: Option<Version>,
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Gateway {
    pub(crate) fn new(address: Address, key: Option<Key>) -> anyhow::Result<Self> {
        if key.is_some() && !address.is_private {
            print::warning(&format!("the key is sent to {address} without encryption; use https://"));
        }
        let mut config = Agent::config_builder()
            .user_agent(concat!("atode/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // A redirect may lead to a host that must not see the key.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(REPLY_TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT));
        if address.is_loopback {
            config = config.proxy(None);
        }
        if address.is_tls() {
            config = config.tls_config(client_tls()?);
        }
        Ok(Gateway { agent: config.build().into(), address, key })
    }

    pub(crate) async fn get<T>(&self, endpoint: Endpoint) -> Result<Answer<T>, CallError> {
        self.call(Call::new(Method::GET, endpoint)).await
    }

    /// A job, and its version if it waits.
    pub(crate) async fn get_job<T>(
        &self,
        endpoint: Endpoint,
    ) -> Result<(Answer<T>, Option<Version>), CallError> {
        let reply = self.ask(Call::new(Method::GET, endpoint)).await?;
        Ok((Answer::from_json(reply.body), reply.version))
    }

    /// A change of what still has this version, or of any version.
    pub(crate) async fn patch<T>(
        &self,
        endpoint: Endpoint,
        json: String,
        version: Option<&Version>,
    ) -> Result<Answer<T>, CallError> {
        let call = Call::new(Method::PATCH, endpoint);
        self.call(Call { json: Some(json), version: version.map(Version::if_match), ..call }).await
    }

    pub(crate) async fn post<T>(&self, endpoint: Endpoint) -> Result<Answer<T>, CallError> {
        self.call(Call::new(Method::POST, endpoint)).await
    }

    pub(crate) async fn post_json<T>(
        &self,
        endpoint: Endpoint,
        json: String,
    ) -> Result<Answer<T>, CallError> {
        self.call(Call { json: Some(json), ..Call::new(Method::POST, endpoint) }).await
    }

    /// A POST that may be repeated, because the gateway stores one job per key. The job belongs to `trace`.
    pub(crate) async fn post_once<T>(
        &self,
        endpoint: Endpoint,
        json: String,
        key: String,
        trace: Option<TraceContext>,
    ) -> Result<Answer<T>, CallError> {
        let call = Call::new(Method::POST, endpoint);
        self.call(Call { json: Some(json), idempotency_key: Some(key), trace, ..call }).await
    }

    /// A step of long work: waits for the rate limit instead of failing.
    pub(crate) async fn post_step<T>(
        &self,
        endpoint: Endpoint,
        progress: &Progress,
    ) -> Result<Answer<T>, CallError> {
        loop {
            match self.post(endpoint.clone()).await {
                Err(CallError::Limited { wait: Some(wait), .. }) if wait <= MAX_LIMIT_WAIT => {
                    progress.wait(format!("(waiting {} s for the rate limit)", wait.as_secs()));
                    tokio::time::sleep(wait).await;
                }
                other => return other,
            }
        }
    }

    pub(crate) async fn delete(&self, endpoint: Endpoint) -> Result<(), CallError> {
        self.call::<()>(Call::new(Method::DELETE, endpoint)).await.map(drop)
    }

    /// Sends the lines of a stream until it ends, the receiver is gone, or [`BODY_TIMEOUT`] is over. Blocks.
    pub(crate) fn stream(
        &self,
        endpoint: Endpoint,
        lines: &mpsc::UnboundedSender<String>,
    ) -> Result<(), CallError> {
        let call = Call::new(Method::GET, endpoint);
        let reply = BufReader::new(self.reply(&call)?.into_body().into_reader());
        for line in reply.lines() {
            match line.map_err(ureq::Error::from) {
                Ok(line) if !lines.is_closed() => drop(lines.send(line)),
                Ok(_) | Err(ureq::Error::Timeout(Timeout::RecvBody)) => break,
                Err(error) => return Err(self.failed(&call, &error)),
            }
        }
        Ok(())
    }

    async fn call<T>(&self, call: Call) -> Result<Answer<T>, CallError> {
        self.ask(call).await.map(|reply| Answer::from_json(reply.body))
    }

    async fn ask(&self, call: Call) -> Result<Reply, CallError> {
        let gateway = self.clone();
        // ureq blocks. A thread of its own leaves this one free for progress and the next draw of `--watch`.
        let sent = tokio::task::spawn_blocking(move || gateway.send(&call)).await;
        sent.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
    }

    fn send(&self, call: &Call) -> Result<Reply, CallError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.send_once(call) {
                Err(error) if call.is_repeatable() && error.may_pass() => {
                    let wait = error.retry_after().unwrap_or(pause);
                    if wait > MAX_PAUSE {
                        return Err(error);
                    }
                    thread::sleep(wait);
                    pause *= 2;
                }
                other => return other,
            }
        }
        self.send_once(call)
    }

    fn send_once(&self, call: &Call) -> Result<Reply, CallError> {
        let reply = self.reply(call)?;
        let version = reply.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let version = version.and_then(|tag| tag.parse().ok());
        Ok(Reply { body: self.text(call, reply)?, version })
    }

    /// A reply that is not an error.
    fn reply(&self, call: &Call) -> Result<Response<Body>, CallError> {
        let mut request = Request::builder().method(call.method.clone()).uri(call.endpoint.at(&self.address));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.header());
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(trace) = &call.trace {
            request = request.header("traceparent", trace.traceparent());
            if let Some(state) = trace.tracestate() {
                request = request.header("tracestate", state);
            }
        }
        if let Some(version) = &call.version {
            request = request.header(IF_MATCH, version);
        }
        if call.json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = call.json.clone().unwrap_or_default();
        let request = request.body(body).map_err(|error| self.failed(call, &error.into()))?;
        let reply = self.agent.run(request).map_err(|error| self.failed(call, &error))?;
        if reply.status().is_success() {
            return Ok(reply);
        }
        let (status, headers) = (reply.status(), reply.headers().clone());
        let body = self.text(call, reply)?;
        Err(self.refused(status, &headers, &body))
    }

    fn text(&self, call: &Call, mut reply: Response<Body>) -> Result<String, CallError> {
        let text = reply.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_string();
        text.map_err(|error| self.failed(call, &error))
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &str) -> CallError {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let wait = text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        match Problem::parse(text(CONTENT_TYPE), body).map(Box::new) {
            Some(problem) if status == StatusCode::TOO_MANY_REQUESTS => CallError::Limited { problem, wait },
            Some(problem) => CallError::Refused { problem, status, wait },
            None => CallError::NoGateway {
                address: self.address.to_string(),
                status,
                location: text(LOCATION).map(str::to_owned),
                wait,
            },
        }
    }

    fn failed(&self, call: &Call, error: &ureq::Error) -> CallError {
        let address = self.address.to_string();
        let (why, is_unsent) = match error {
            ureq::Error::Io(error) => (io_trouble(error), !may_be_sent(error.kind())),
            ureq::Error::Timeout(timeout) => {
                (error.to_string(), matches!(timeout, Timeout::Resolve | Timeout::Connect))
            }
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_)
            | ureq::Error::InvalidProxyUrl
            | ureq::Error::Rustls(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Http(_)
            | ureq::Error::BadUri(_) => (error.to_string(), true),
            _ => (error.to_string(), false),
        };
        if is_unsent {
            CallError::Unreachable { address, why }
        } else {
            let advice = match call {
                Call { method: Method::GET, .. } => CallError::READ_AGAIN,
                // The caller tells the key.
                Call { idempotency_key: Some(_), .. } => "",
                _ => CallError::LOOK_FIRST,
            };
            CallError::Interrupted { address, why, advice }
        }
    }
}

impl Call {
    fn new(method: Method, endpoint: Endpoint) -> Self {
        Call { method, endpoint, json: None, idempotency_key: None, version: None, trace: None }
    }

    fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.idempotency_key.is_some()
    }
}

/// False for errors of names, of new connections, and of TLS, which come before a request.
fn may_be_sent(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, UnexpectedEof, WouldBlock,
    };
    matches!(
        kind,
        BrokenPipe
            | ConnectionAborted
            | ConnectionReset
            | Interrupted
            | TimedOut
            | UnexpectedEof
            | WouldBlock
    )
}

fn io_trouble(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => {
            format!("{error} (SSL_CERT_FILE names the certificates to trust instead of those of the system)")
        }
        _ => error.to_string(),
    }
}
