//! The number of the format in which jobs are stored: their keys, records and states. It is in Redis, so that a process
//! that is too old for the jobs there leaves them alone.

use fred::clients::{Client as FredClient, WithOptions};
use fred::interfaces::KeysInterface;
use fred::types::SetOptions;

use crate::error::Error;
use crate::keys::Keys;

/// The format that this build writes, and the newest that it reads. When it changes, an earlier release must already
/// read the new one (docs/upgrading.md).
const FORMAT: u32 = 1;

/// Why this build must not touch the jobs in this Redis, if their format is newer.
pub(crate) async fn obstacle(client: &WithOptions<FredClient>, keys: &Keys) -> Result<Option<String>, Error> {
    let found: Option<String> = client.get(keys.format()).await?;
    let is_newer = |found: &String| found.parse::<u32>().map_or(true, |found| found > FORMAT);
    Ok(found.filter(is_newer).map(|found| {
        format!(
            "the jobs in this Redis have the format {found}, and this build knows formats up to {FORMAT}: start the \
             release that wrote them, or a later one"
        )
    }))
}

/// Writes the format of this build to a Redis that has an older one or none. Returns true if another process has written
/// a newer one.
pub(crate) async fn note(client: &WithOptions<FredClient>, keys: &Keys) -> Result<bool, Error> {
    let key = keys.format();
    let found: Option<String> = client.get(&key).await?;
    let condition = match found.map(|found| found.parse::<u32>()) {
        None => Some(SetOptions::NX),
        Some(Ok(found)) if found < FORMAT => None,
        Some(Ok(FORMAT)) => return Ok(false),
        Some(_) => return Ok(true),
    };
    let _: Option<String> = client.set(&key, FORMAT.to_string(), None, condition, false).await?;
    Ok(false)
}
