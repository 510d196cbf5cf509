//! Lists as the API and the command line show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list in the API's JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
}
