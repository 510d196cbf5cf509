//! The reply to a command, in the API's JSON, whichever way it came.

use std::marker::PhantomData;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// JSON of the shape `T`. A newer gateway may have added fields that `T` does not know; they stay in the JSON.
pub(crate) struct Answer<T> {
    json: String,
    shape: PhantomData<fn() -> T>,
}

impl<T: Serialize> Answer<T> {
    pub(crate) fn of(value: &T) -> anyhow::Result<Self> {
        Ok(Answer::from_json(serde_json::to_string(value)?))
    }
}

impl<T> Answer<T> {
    pub(crate) fn from_json(json: String) -> Self {
        Answer { json, shape: PhantomData }
    }

    pub(crate) fn json(&self) -> &str {
        &self.json
    }
}

impl<T: DeserializeOwned> Answer<T> {
    pub(crate) fn read(&self) -> anyhow::Result<T> {
        serde_json::from_str(&self.json).context(
            "the reply cannot be read; the gateway may be of another version, --json shows the reply",
        )
    }
}
