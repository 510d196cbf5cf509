//! HTTP for end-to-end tests. Redirects are not followed, no proxy is used, and every status is a response, not an
//! error.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::{Body, Client, RequestBuilder};
use reqwest::redirect::Policy;
use serde_json::Value;

/// Longer than the longest wait that the API offers (55 s).
const TIMEOUT: Duration = Duration::from_secs(70);

/// A blocking client of one server. Requests inside a tokio runtime panic.
pub struct Http {
    base_url: String,
    /// Created by the first request, so that tests that send no request can use a tokio runtime.
    client: OnceLock<Client>,
}

impl Http {
    /// `base_url` has the form `http://127.0.0.1:8080`.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), client: OnceLock::new() }
    }

    /// A client that keeps its connections, as those of a service do.
    pub fn keeping_alive(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), client: OnceLock::from(client(usize::MAX)) }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path).send()
    }

    #[track_caller]
    pub fn post(&self, path: &str, json: &Value) -> Response {
        self.request("POST", path).json(json).send()
    }

    /// Builds a request. `path` begins with a slash and may have a query.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> Request {
        let Ok(method) = method.parse() else { panic!("not an HTTP method: {method:?}") };
        let url = format!("{}{path}", self.base_url);
        // Each request has its own connection. The server could close a pooled one at the moment of its next use.
        Request(self.client.get_or_init(|| client(0)).request(method, url))
    }
}

fn client(kept_connections: usize) -> Client {
    Client::builder()
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(kept_connections)
        .build()
        .expect("building a client without TLS cannot fail")
}

/// A request that has not been sent yet.
#[must_use]
pub struct Request(RequestBuilder);

impl Request {
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sets the body, and `Content-Type: application/json`.
    pub fn json(self, json: &Value) -> Self {
        Self(self.0.json(json))
    }

    /// Sets the body to these bytes. [`header`](Self::header) can add a `Content-Type`.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(Body::from(body.into())))
    }

    /// # Panics
    ///
    /// If there is no reply: nothing listens at the address, the connection was closed, or 70 s have passed.
    #[track_caller]
    pub fn send(self) -> Response {
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("no HTTP reply: {error:?}"),
        }
    }

    /// [`send`](Self::send) for tests in which a reply may be missing, for example while a gateway is killed.
    pub fn try_send(self) -> Result<Response, reqwest::Error> {
        let reply = self.0.send()?;
        let headers = reply.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let (status, headers) = (reply.status().as_u16(), headers.collect());
        Ok(Response { status, headers, body: reply.bytes()?.to_vec() })
    }
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Headers in the order of the reply. Names are in lower case and may occur several times.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header with this name. The case of the name does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// # Panics
    ///
    /// If the body is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("not JSON ({error}): {} {}", self.status, self.text()),
        }
    }

    /// The body as text. Invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
