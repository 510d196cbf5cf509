//! The context of a span, as W3C Trace Context passes it on (<https://www.w3.org/TR/trace-context/>): in the headers
//! `traceparent` and `tracestate`, and beside a job.

use std::fmt::{self, Display, Write as _};

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use serde::{Serialize, Serializer};

/// Bytes kept of a `tracestate`, the least that W3C asks for. Members beyond it are left out.
const MAX_STATE: usize = 512;

/// A member of `tracestate` above this is the first to go.
const LONG_MEMBER: usize = 128;

/// Members of a `tracestate`, at most.
const MAX_MEMBERS: usize = 32;

/// The flags that W3C has named: sampled, and a random trace id.
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// The trace that a job, a request or a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// It was caused by this span.
    Span(TraceContext),
    /// It begins a trace that was not chosen to be recorded. What it causes is not recorded either.
    Unsampled,
}

/// A span by its ids, which are not zero. As small as a pointer, because jobs without a trace carry its place along.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext(Box<Fields>);

#[derive(Clone, PartialEq, Eq)]
struct Fields {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    /// `tracestate`, which may be empty.
    state: Box<str>,
}

impl Trace {
    /// The span, unless there is none.
    pub fn context(&self) -> Option<&TraceContext> {
        if let Trace::Span(context) = self { Some(context) } else { None }
    }

    pub fn is_sampled(&self) -> bool {
        self.context().is_some_and(TraceContext::is_sampled)
    }

    /// The bytes that a job carries, read by [`Trace::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let Trace::Span(TraceContext(context)) = self else { return Vec::new() };
        let ids = [&context.trace_id.to_be_bytes()[..], &context.span_id.to_be_bytes(), &[context.flags]];
        [&ids.concat()[..], context.state.as_bytes()].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Trace::Unsampled);
        }
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (span_id, rest) = rest.split_first_chunk()?;
        let (flags, state) = rest.split_first()?;
        let (trace_id, span_id) = (u128::from_be_bytes(*trace_id), u64::from_be_bytes(*span_id));
        let state = std::str::from_utf8(state).ok()?.into();
        Fields { trace_id, span_id, flags: *flags, state }.valid().map(Trace::Span)
    }
}

impl TraceContext {
    /// Reads the values of the headers. `None` if there is no valid `traceparent`; a `tracestate` that is not valid is
    /// left out.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let bytes = traceparent.trim().as_bytes();
        let field = |from: usize, to: usize| {
            let digits = bytes.get(from..to)?;
            let is_hex = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            std::str::from_utf8(digits).ok().filter(|_| is_hex)
        };
        let version = field(0, 2).filter(|version| *version != "ff")?;
        // A later version may add fields.
        let ends = bytes.len() == 55 || version != "00" && bytes.get(55) == Some(&b'-');
        if !ends || [2, 35, 52].iter().any(|place| bytes[*place] != b'-') {
            return None;
        }
        let fields = Fields {
            trace_id: u128::from_str_radix(field(3, 35)?, 16).ok()?,
            span_id: u64::from_str_radix(field(36, 52)?, 16).ok()?,
            flags: u8::from_str_radix(field(53, 55)?, 16).ok()? & KNOWN_FLAGS,
            state: tracestate.and_then(bounded_state).unwrap_or_default().into(),
        };
        fields.valid()
    }

    /// `00-<trace id>-<span id>-<flags>`
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.0.trace_id, self.0.span_id, self.0.flags)
    }

    /// The `tracestate` of the span, unless it is empty.
    pub fn tracestate(&self) -> Option<&str> {
        Some(&*self.0.state).filter(|state| !state.is_empty())
    }

    /// The id of the trace, in 32 hexadecimal digits.
    pub fn trace_id(&self) -> impl Display + use<> {
        Hex::<32>(self.0.trace_id)
    }

    /// The id of the span, in 16 hexadecimal digits.
    pub fn span_id(&self) -> impl Display + use<> {
        Hex::<16>(self.0.span_id.into())
    }

    /// True if the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.0.flags & SAMPLED != 0
    }

    pub(super) fn to_remote(&self) -> SpanContext {
        let state = self.0.state.parse().unwrap_or(TraceState::NONE);
        let (trace_id, span_id) = (TraceId::from(self.0.trace_id), SpanId::from(self.0.span_id));
        SpanContext::new(trace_id, span_id, TraceFlags::new(self.0.flags), true, state)
    }
}

impl Fields {
    fn valid(self) -> Option<TraceContext> {
        (self.trace_id != 0 && self.span_id != 0).then(|| TraceContext(Box::new(self)))
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(context: &SpanContext) -> Self {
        TraceContext(Box::new(Fields {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8() & KNOWN_FLAGS,
            state: context.trace_state().header().into(),
        }))
    }
}

/// Written as its `traceparent`.
impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.traceparent())
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent())
    }
}

/// A number in this many hexadecimal digits.
struct Hex<const DIGITS: usize>(u128);

impl<const DIGITS: usize> Display for Hex<DIGITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

/// The members that are kept, or `None` if one is not valid.
fn bounded_state(header: &str) -> Option<String> {
    let members: Vec<&str> = header.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    let is_valid =
        |member: &&str| member.contains('=') && member.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if members.len() > MAX_MEMBERS || !members.iter().all(is_valid) {
        return None;
    }
    let is_too_long = members.iter().map(|member| member.len() + 1).sum::<usize>() > MAX_STATE;
    let mut state = String::new();
    for member in members.iter().filter(|member| !is_too_long || member.len() <= LONG_MEMBER) {
        if state.len() + 1 + member.len() > MAX_STATE {
            break;
        }
        let separator = if state.is_empty() { "" } else { "," };
        let _ = write!(state, "{separator}{member}"); // a string takes everything
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a context without its state.
    const COMPACT: usize = 16 + 8 + 1;
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(traceparent: &str) -> Option<String> {
        TraceContext::parse(traceparent, None).map(|context| context.traceparent())
    }

    #[test]
    fn a_traceparent_comes_back_and_a_later_version_is_read_as_version_0() {
        assert_eq!(parse(PARENT).as_deref(), Some(PARENT));
        let later = PARENT.replacen("00", "cc", 1).replace("-01", "-ff-what-it-adds");
        assert_eq!(parse(&later).unwrap(), PARENT.replace("-01", "-03"));
        let context = TraceContext::parse(PARENT, None).unwrap();
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        assert!(!TraceContext::parse(&PARENT.replace("-01", "-00"), None).unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        for wrong in [
            "",
            "00",
            "nonsense",
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.to_uppercase(),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
            &format!("{}é", &PARENT[..53]),
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_job_carries_a_trace_in_a_few_bytes() {
        let context = TraceContext::parse(PARENT, Some("a=1, b=2")).unwrap();
        assert_eq!(context.tracestate(), Some("a=1,b=2"));
        let trace = Trace::Span(context);
        let bytes = trace.to_bytes();
        assert_eq!(bytes.len(), COMPACT + "a=1,b=2".len());
        assert_eq!(Trace::from_bytes(&bytes), Some(trace));
        assert!(Trace::Unsampled.to_bytes().is_empty());
        assert_eq!(Trace::from_bytes(b""), Some(Trace::Unsampled));
        for wrong in [&[0; COMPACT][..], &bytes[..COMPACT - 1], &[&bytes[..COMPACT], b"\xff"].concat()] {
            assert_eq!(Trace::from_bytes(wrong), None);
        }
    }

    #[test]
    fn a_tracestate_is_bounded_and_an_invalid_one_is_left_out() {
        let state = |header: &str| {
            let context = TraceContext::parse(PARENT, Some(header)).unwrap();
            context.tracestate().map(str::to_owned)
        };
        assert_eq!(state("no members"), None);
        assert_eq!(state("a=1,b=\u{7f}"), None);
        let long = format!("long={}", "x".repeat(200));
        assert_eq!(state(&format!("a=1,{long},b=2")).unwrap(), format!("a=1,{long},b=2"));
        let short: Vec<String> = (0..30).map(|n| format!("key{n}={}", "y".repeat(20))).collect();
        let kept = state(&format!("{long},{}", short.join(","))).unwrap();
        assert!(kept.len() <= MAX_STATE && kept.starts_with("key0=") && !kept.contains("long"), "{kept}");
        assert!(kept.split(',').all(|member| member.len() >= 25), "whole members only: {kept}");
    }
}
