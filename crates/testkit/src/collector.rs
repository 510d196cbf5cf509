//! A collector of traces: it takes OTLP over HTTP and keeps the spans. It may also accept connections and never answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

use crate::eventually::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

pub struct Collector {
    addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<Span>>,
    connections: AtomicUsize,
    is_silent: AtomicBool,
    has_ended: AtomicBool,
}

/// A span as the collector received it. Ids are hexadecimal.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of the process that made it.
    pub service: String,
    pub name: String,
    pub kind: otlp::span::SpanKind,
    pub trace_id: String,
    pub span_id: String,
    /// Empty for the first span of a trace.
    pub parent_span_id: String,
    pub links: Vec<Link>,
    /// Attributes with their values as text.
    pub attributes: BTreeMap<String, String>,
    /// The message of a failed span.
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    #[track_caller]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let state = Arc::<State>::default();
        let shared = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.has_ended.load(Ordering::Acquire) {
                    return;
                }
                shared.connections.fetch_add(1, Ordering::AcqRel);
                let state = shared.clone();
                thread::spawn(move || state.serve(connection));
            }
        });
        Collector { addr, state }
    }

    /// A collector that accepts connections, reads requests and never answers.
    #[track_caller]
    pub fn silent() -> Self {
        let collector = Self::start();
        collector.state.is_silent.store(true, Ordering::Release);
        collector
    }

    /// The value of `traces.endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Connections since the start.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }

    pub fn spans(&self) -> Vec<Span> {
        self.state.spans().clone()
    }

    /// Waits until `found` finds something among the spans.
    #[track_caller]
    pub fn until<T>(&self, what: &str, found: impl Fn(&[Span]) -> Option<T>) -> T {
        eventually(what, DEADLINE, || found(&self.spans()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr); // wakes the thread that accepts
    }
}

impl Span {
    /// The value of an attribute; empty if there is none.
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// True if a link leads to this span.
    pub fn is_linked_to(&self, span: &Span) -> bool {
        self.links.iter().any(|link| link.trace_id == span.trace_id && link.span_id == span.span_id)
    }
}

impl State {
    /// Reads requests until the other end closes the connection.
    fn serve(&self, connection: TcpStream) {
        let mut reader = BufReader::new(connection);
        while let Some(body) = request(&mut reader) {
            if self.is_silent.load(Ordering::Acquire) {
                continue;
            }
            let request = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP in protobuf");
            self.spans().extend(request.resource_spans.into_iter().flat_map(spans_of));
            let reply =
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
            if reader.get_mut().write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn spans(&self) -> MutexGuard<'_, Vec<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the next request; `None` at the end of the connection.
fn request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number of bytes");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn spans_of(resource: otlp::ResourceSpans) -> Vec<Span> {
    let process = attributes(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
    let service = process.get("service.name").cloned().unwrap_or_default();
    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| span_of(&service, span)).collect()
}

fn span_of(service: &str, span: otlp::Span) -> Span {
    let status = span.status.unwrap_or_default();
    let links = span.links.into_iter().map(|link| Link {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        attributes: attributes(link.attributes),
    });
    Span {
        service: service.to_owned(),
        kind: otlp::span::SpanKind::try_from(span.kind).expect("a kind"),
        name: span.name,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        links: links.collect(),
        attributes: attributes(span.attributes),
        error: (status.code == otlp::status::StatusCode::Error as i32).then_some(status.message),
    }
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let value = |attribute: KeyValue| Some((attribute.key, text(attribute.value?.value?)));
    list.into_iter().filter_map(value).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
