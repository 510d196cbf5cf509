//! The record: the job as it was enqueued. Its JSON is made and read here; scripts move it as bytes.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;

/// The job as it was enqueued. Defaults of the kind are left out: they would cost memory for each waiting
/// job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The client's bytes, unchanged.
    #[serde(borrow)]
    pub payload: &'a RawValue,
    /// The delay of the request in ms, if it set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<u64>,
    /// The due time of the request in Unix ms, if it set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<i64>,
    /// The limit of the request, if it set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// The durability of the request, if it asked for more than the server's settings provide.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
}

/// The point from which an enqueue may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once this Redis has the job on its disk.
    Fsync,
}

/// A value of a later version reads as unset: the job can still run.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Durability>, D::Error> {
    let value = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    Ok(value.filter(|value| value == "fsync").map(|_| Durability::Fsync))
}

impl<'a> Record<'a> {
    pub fn decode(json: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(|error| Error::corrupt(format!("a job's record: {error}")))
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and raw JSON always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        let payload = r#"{"n": 9007199254740993, "d": 0.1000000000000000055511151231257827, "é": "é"}"#;
        let record = Record {
            kind: "demo:delay_print".into(),
            payload: serde_json::from_str(payload).unwrap(),
            delay: None,
            run_at: None,
            max_retries: Some(3),
            durability: None,
        };
        let stored = record.encode();
        assert_eq!(Record::decode(&stored).unwrap().payload.get(), payload);
    }
}
