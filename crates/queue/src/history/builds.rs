//! The builds that ran, with the time of their first start.

use fred::interfaces::SortedSetsInterface;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::model::instant;
use crate::scripts::NOTE_BUILD;
use crate::wire;

/// Builds that are remembered: the latest.
const KEPT: usize = 64;

/// A build of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// `worker` or `api-gateway`.
    pub program: String,
    pub build: String,
    /// Its first start.
    #[serde(serialize_with = "instant::serialize")]
    pub started_at: Timestamp,
}

/// Remembers that this build has started, unless it started before.
pub(crate) async fn note(core: &Core, program: &str, build: &str) -> Result<(), Error> {
    let args = vec![format!("{program} {build}").into(), wire::count(KEPT)];
    core.call(&NOTE_BUILD, vec![core.keys.builds().into()], args).await.map(drop)
}

/// All builds that are remembered, in the order of their first starts.
pub(crate) async fn builds(core: &Core) -> Result<Vec<Build>, Error> {
    let redis = core.connection.client()?;
    let found: Vec<(String, f64)> = redis.zrange(core.keys.builds(), 0, -1, None, false, None, true).await?;
    let builds = found.into_iter().filter_map(|(name, at)| {
        let (program, build) = name.split_once(' ')?;
        let started_at = Timestamp::from_millisecond(at as i64).ok()?;
        Some(Build { program: program.to_owned(), build: build.to_owned(), started_at })
    });
    Ok(builds.collect())
}
