//! Sets of a wrong type, which lists leave out: one line per minute for each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines about the same key.
const WINDOW: Duration = Duration::from_secs(60);

/// When the last line about each key was written.
#[derive(Default)]
pub(crate) struct WrongTypes(Mutex<HashMap<String, Instant>>);

impl WrongTypes {
    pub(crate) fn report(&self, key: &str) {
        if self.is_news(key) {
            tracing::error!(key, "this key has a wrong type, so lists leave it out; see `atode audit`");
        }
    }

    fn is_news(&self, key: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| at.elapsed() < WINDOW);
        let is_news = !told.contains_key(key);
        if is_news {
            told.insert(key.to_owned(), Instant::now());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_news_once_per_minute() {
        let keys = WrongTypes::default();
        assert_eq!(["a", "a", "b", "a"].map(|key| keys.is_news(key)), [true, false, true, false]);
    }
}
