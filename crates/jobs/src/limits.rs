//! Bounds of everything that a request may ask for.

use std::time::Duration;

pub const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
pub const MAX_RETRIES: u32 = 1_000;

/// How far in the past a due time may be. A late request runs now; a typo is refused.
pub(crate) const MAX_PAST: Duration = Duration::from_secs(24 * 60 * 60);

const MAX_KEY: usize = 255;
const MAX_QUEUE_NAME: usize = 64;

/// An idempotency key has 1 to 255 printable ASCII characters.
pub fn check_key(key: &str) -> Result<(), String> {
    check_characters(key, MAX_KEY, "printable ASCII characters", |byte| matches!(byte, b' '..=b'~'))
}

pub(crate) fn check_retries(retries: u64) -> Result<u32, String> {
    let retries = u32::try_from(retries).ok().filter(|retries| *retries <= MAX_RETRIES);
    retries.ok_or_else(|| format!("expected a whole number from 0 to {MAX_RETRIES}"))
}

pub(crate) fn check_queue_name(name: &str) -> Result<(), String> {
    let is_allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    check_characters(name, MAX_QUEUE_NAME, "characters from a-z, 0-9, _ and -", is_allowed)
}

fn check_characters(
    text: &str,
    longest: usize,
    expected: &str,
    is_allowed: fn(u8) -> bool,
) -> Result<(), String> {
    let fits = (1..=longest).contains(&text.len()) && text.bytes().all(is_allowed);
    if fits { Ok(()) } else { Err(format!("expected 1 to {longest} {expected}")) }
}
