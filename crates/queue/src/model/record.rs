//! The record: the job as it was enqueued. It is made and read here; scripts move it as bytes.
//!
//! `<tag of the kind>[,<option>]… <payload>`, for example `QHGI,d2000,r3 {"message":"Hello"}`. An option is a letter
//! with its value: `d` delay in ms, `t` due time in Unix ms, `r` maximum retries, `f` (no value) durability `fsync`,
//! `x` the trace that the job comes from. Earlier versions stored JSON with the fields `kind` and `payload` instead.
//! Both are read. A record in a form that this version does not know will begin with `#`.

use std::io::Write as _;

use atode_config::traces::Trace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::model::id::LONG;
use crate::model::record_kind::{RecordKind, TAG, tag};

/// The job as it was enqueued. Defaults of the kind are left out: they would cost memory for each waiting
/// job. The kind itself is that of the set that holds the job's id; see also [`RecordKind`].
#[derive(Debug, Clone, Deserialize)]
pub struct Record<'a> {
    /// The client's bytes, unchanged.
    #[serde(borrow)]
    pub payload: &'a RawValue,
    /// The delay of the request in ms, if it set one.
    pub delay: Option<u64>,
    /// The due time of the request in Unix ms, if it set one.
    pub run_at: Option<i64>,
    /// The limit of the request, if it set one.
    pub max_retries: Option<u32>,
    /// The durability of the request, if it asked for more than the server's settings provide. A value of a later
    /// version reads as unset: the job can still run.
    #[serde(default, deserialize_with = "known")]
    pub durability: Option<Durability>,
    /// The trace that the job comes from, if any.
    #[serde(skip)]
    pub trace: Option<Trace>,
    /// Options of a later version as they were stored, so that an edit does not remove them.
    #[serde(skip)]
    pub later: Vec<&'a str>,
}

/// The point from which an enqueue may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once this Redis has the job on its disk.
    Fsync,
}

impl<'a> Record<'a> {
    /// A record with a payload and no options.
    pub fn new(payload: &'a RawValue) -> Self {
        Record {
            payload,
            delay: None,
            run_at: None,
            max_retries: None,
            durability: None,
            trace: None,
            later: Vec::new(),
        }
    }

    /// True for a record that only a later version can read. Such a job is left to a worker of that version.
    pub fn is_of_a_later_form(record: &[u8]) -> bool {
        record.starts_with(b"#")
    }

    pub fn decode(record: &'a [u8]) -> Result<Self, Error> {
        if record.starts_with(b"{") {
            RecordKind::decode(record)?;
            return serde_json::from_slice(record).map_err(unreadable);
        }
        let end = record.iter().position(|byte| *byte == b' ').unwrap_or(record.len());
        let (header, payload) = record.split_at(end);
        RecordKind::decode(header)?;
        let options = match header.get(TAG..).unwrap_or_default() {
            [] => &[][..],
            [b',', options @ ..] => options,
            _ => return Err(Error::corrupt("a job's record: the tag of its kind has a wrong length")),
        };
        let mut decoded = Record::new(serde_json::from_slice(payload).map_err(unreadable)?);
        if !options.is_empty() {
            let options = std::str::from_utf8(options).map_err(unreadable)?;
            options.split(',').try_for_each(|option| decoded.set(option))?;
        }
        Ok(decoded)
    }

    /// The bytes that are stored.
    pub fn encode(&self, kind: &str) -> Vec<u8> {
        let payload = self.payload.get();
        let mut record = Vec::with_capacity(TAG + 1 + payload.len());
        record.extend_from_slice(&tag(kind));
        let options = [
            self.delay.map(|delay| (b'd', i128::from(delay))),
            self.run_at.map(|run_at| (b't', i128::from(run_at))),
            self.max_retries.map(|max_retries| (b'r', i128::from(max_retries))),
        ];
        for (letter, value) in options.into_iter().flatten() {
            record.extend_from_slice(&[b',', letter]);
            write!(record, "{value}").expect("a vector takes everything");
        }
        if let Some(Durability::Fsync) = self.durability {
            record.extend_from_slice(b",f");
        }
        if let Some(trace) = &self.trace {
            record.extend_from_slice(trace_option(trace).as_bytes());
        }
        for option in &self.later {
            record.push(b',');
            record.extend_from_slice(option.as_bytes());
        }
        record.push(b' ');
        record.extend_from_slice(payload.as_bytes());
        record
    }

    /// An option of a later version is skipped: the job can still run.
    fn set(&mut self, option: &'a str) -> Result<(), Error> {
        let Some((letter, value)) = option.split_at_checked(1) else { return Ok(()) };
        match letter {
            "d" => self.delay = Some(value.parse().map_err(unreadable)?),
            "t" => self.run_at = Some(value.parse().map_err(unreadable)?),
            "r" => self.max_retries = Some(value.parse().map_err(unreadable)?),
            "f" if value.is_empty() => self.durability = Some(Durability::Fsync),
            "x" => match LONG.decode(value.as_bytes()).ok().and_then(|bytes| Trace::from_bytes(&bytes)) {
                Some(trace) => self.trace = Some(trace),
                None => self.later.push(option),
            },
            _ => self.later.push(option),
        }
        Ok(())
    }
}

/// A stored record, made to carry a trace. It had none.
pub(crate) fn with_trace(record: &[u8], trace: &Trace) -> Vec<u8> {
    let end = record.iter().position(|byte| *byte == b' ').unwrap_or(record.len());
    let (header, payload) = record.split_at(end);
    [header, trace_option(trace).as_bytes(), payload].concat()
}

fn trace_option(trace: &Trace) -> String {
    format!(",x{}", LONG.encode(&trace.to_bytes()))
}

fn known<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Durability>, D::Error> {
    let value = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    Ok(value.filter(|value| value == "fsync").map(|_| Durability::Fsync))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("a job's record: {error}"))
}

#[cfg(test)]
mod tests {
    use atode_config::traces::TraceContext;

    use super::*;

    const PAYLOAD: &str =
        r#"{"n": 9007199254740993, "d": 0.1000000000000000055511151231257827, "é": "é , "}"#;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    fn options(record: &Record) -> (Option<u64>, Option<i64>, Option<u32>, Option<Durability>) {
        (record.delay, record.run_at, record.max_retries, record.durability)
    }

    #[test]
    fn a_record_comes_back_with_its_options_and_its_payload_byte_for_byte() {
        for delay in [None, Some(0), Some(u64::MAX)] {
            for run_at in [None, Some(-1), Some(i64::MAX)] {
                for max_retries in [None, Some(0), Some(u32::MAX)] {
                    for durability in [None, Some(Durability::Fsync)] {
                        let record =
                            Record { delay, run_at, max_retries, durability, ..Record::new(raw(PAYLOAD)) };
                        let stored = record.encode("demo:delay_print");
                        let decoded = Record::decode(&stored).unwrap();
                        assert_eq!(decoded.payload.get(), PAYLOAD);
                        assert_eq!(options(&decoded), (delay, run_at, max_retries, durability));
                        assert!(RecordKind::decode(&stored).unwrap().is("demo:delay_print"));
                    }
                }
            }
        }
    }

    #[test]
    fn a_record_carries_a_trace_and_without_one_not_a_byte_more() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = |state| Trace::Span(TraceContext::parse(parent, state).unwrap());
        let plain = Record { max_retries: Some(3), ..Record::new(raw(PAYLOAD)) };
        let without = plain.encode("a:b");
        for (trace, bytes) in [(traced(None), 36), (traced(Some("a=1,b=2")), 45), (Trace::Unsampled, 2)] {
            let stored = with_trace(&without, &trace);
            assert_eq!(stored.len(), without.len() + bytes);
            let decoded = Record::decode(&stored).unwrap();
            assert_eq!(decoded.trace.as_ref(), Some(&trace));
            assert_eq!((decoded.max_retries, decoded.payload.get()), (Some(3), PAYLOAD));
            assert_eq!(decoded.encode("a:b"), stored, "an edit keeps it");
        }
        assert_eq!(Record::decode(&without).unwrap().trace, None);
        let later = Record::decode(b"0aZ~,x~~~,xA {}").unwrap();
        assert_eq!((later.trace, later.later), (None, vec!["x~~~", "xA"]));
    }

    #[test]
    fn a_payload_of_any_json_comes_back() {
        for payload in ["{}", "[1, 2]", "\" a,b {\"", "null", "7"] {
            let stored = Record::new(raw(payload)).encode("a:b");
            assert_eq!(stored.len(), 5 + payload.len(), "a record without options has a short header");
            assert_eq!(Record::decode(&stored).unwrap().payload.get(), payload);
        }
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let old =
            br#"{"kind":"a:b","payload":{"x": 1},"delay":5,"run_at":6,"max_retries":7,"durability":"fsync"}"#;
        let record = Record::decode(old).unwrap();
        assert_eq!(record.payload.get(), r#"{"x": 1}"#);
        assert_eq!(options(&record), (Some(5), Some(6), Some(7), Some(Durability::Fsync)));
        let plain = Record::decode(br#"{"kind":"a:b","payload":{},"durability":"all","new":1}"#).unwrap();
        assert_eq!(options(&plain), (None, None, None, None));
    }

    #[test]
    fn an_option_of_a_later_version_is_skipped_and_kept() {
        let mut record = Record::decode(br#"0aZ~,kcustomer:7,r3,f2,z {"x":1}"#).unwrap();
        assert_eq!(options(&record), (None, None, Some(3), None));
        record.max_retries = None;
        let edited = record.encode("a:b");
        assert!(edited.ends_with(br#",kcustomer:7,f2,z {"x":1}"#), "an edit keeps it");
        assert_eq!(record.payload.get(), r#"{"x":1}"#);
    }

    #[test]
    fn garbage_is_reported_as_corrupt() {
        for record in [
            &b""[..],
            b"abcd",
            b"abcd ",
            b"abcd {",
            b"abcd {} {}",
            b"abcde {}",
            b"abcd,dx {}",
            b"abcd,r-1 {}",
            b"abcd,r\xff {}",
            b"abcd \"\xff\"",
            b"a-cd {}",
            b"{",
            br#"{"payload":{}}"#,
            br#"{"kind":"a:b"}"#,
        ] {
            assert!(matches!(Record::decode(record), Err(Error::Corrupt(_))), "{record:?}");
        }
    }
}
