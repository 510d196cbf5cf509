//! The number of the format in which jobs are stored: their keys, records and states. It is in Redis, so that a process
//! that is too old for the jobs there leaves them alone.

use fred::clients::{Client as FredClient, WithOptions};
use fred::interfaces::KeysInterface;
use fred::types::SetOptions;

use crate::error::Error;
use crate::keys::Keys;

/// The format that this build writes.
const WRITTEN: u32 = 1;
/// The newest format that this build reads. A change takes two releases: the first reads the new format, the second
/// writes it. So two neighboring releases always work side by side (docs/upgrading.md).
const NEWEST_READ: u32 = 1;

/// Why this build must not touch the jobs in this Redis, if their format is newer.
pub(crate) async fn obstacle(client: &WithOptions<FredClient>, keys: &Keys) -> Result<Option<String>, Error> {
    let key = keys.format();
    let found: Option<String> = match client.get(&key).await.map_err(Error::from) {
        Err(error) if error.is_silence() => return Err(error),
        Err(error) => {
            return Ok(Some(format!("the number of the jobs' format ({key}) cannot be read: {error}")));
        }
        Ok(found) => found,
    };
    let is_newer = |found: &String| found.parse::<u32>().map_or(true, |found| found > NEWEST_READ);
    Ok(found.filter(is_newer).map(|found| {
        format!(
            "the jobs in this Redis have the format {found}, and this build knows formats up to {NEWEST_READ}: start the \
             release that wrote them, or a later one"
        )
    }))
}

/// Writes the format of this build to a Redis that has an older one or none. Returns true if another process has written
/// one that this build does not read.
pub(crate) async fn note(client: &WithOptions<FredClient>, keys: &Keys) -> Result<bool, Error> {
    let key = keys.format();
    let found: Option<String> = client.get(&key).await?;
    let condition = match found.map(|found| found.parse::<u32>()) {
        None => Some(SetOptions::NX),
        Some(Ok(found)) if found < WRITTEN => None,
        Some(Ok(found)) => return Ok(found > NEWEST_READ),
        Some(Err(_)) => return Ok(true),
    };
    let _: Option<String> = client.set(&key, WRITTEN.to_string(), None, condition, false).await?;
    Ok(false)
}
