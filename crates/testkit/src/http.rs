//! HTTP for end-to-end tests: no redirects, no proxy, every status an answer and not an error.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::{Body, Client, RequestBuilder};
use reqwest::redirect::Policy;
use serde_json::Value;

/// More than the longest wait that the API offers (55 s).
const TIMEOUT: Duration = Duration::from_secs(70);

/// A client of one server. It blocks: requests inside a tokio runtime panic.
pub struct Http {
    base_url: String,
    /// Made by the first request, so that whoever sends none may live in a tokio runtime.
    client: OnceLock<Client>,
}

impl Http {
    /// `base_url`: `http://127.0.0.1:8080`
    pub fn new(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), client: OnceLock::new() }
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

    /// `path` begins with a slash and may have a query.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> Request {
        let Ok(method) = method.parse() else { panic!("not an HTTP method: {method:?}") };
        let url = format!("{}{path}", self.base_url);
        Request(self.client.get_or_init(client).request(method, url))
    }
}

fn client() -> Client {
    Client::builder()
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        // A connection each: none can be closed by the server at the moment of its next use.
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client without TLS has nothing that could fail")
}

/// A request that is not sent yet.
#[must_use]
pub struct Request(RequestBuilder);

impl Request {
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With `Content-Type: application/json`.
    pub fn json(self, json: &Value) -> Self {
        Self(self.0.json(json))
    }

    /// These very bytes; a `Content-Type` only by [`header`](Self::header).
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(Body::from(body.into())))
    }

    /// # Panics
    ///
    /// When no reply comes: none is listening, the connection was cut, or 70 s passed.
    #[track_caller]
    pub fn send(self) -> Response {
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("no HTTP reply: {error:?}"),
        }
    }

    /// [`send`](Self::send) where no reply is an answer too, as while a gateway is killed.
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
    /// In the order of the reply, names in lower case, repeated ones repeated.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// # Panics
    ///
    /// When the body is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("not JSON ({error}): {} {}", self.status, self.text()),
        }
    }

    /// What is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
