//! The place in a list from which its next page goes on, as a text for clients.

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::list::query::ListQuery;

/// Bytes of the checksum in front of a cursor.
const CHECK: usize = 8;

/// Maximum characters of a text that is read as a cursor.
const LONGEST: usize = 4_096;

/// A place in the order of a list: a time and an id in the form that Redis stores. There need not be a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) time: f64,
    pub(crate) id: Bytes,
}

/// The kinds whose sets a page merges: those behind `from`, up to `to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) from: Option<String>,
    /// Unset if it is the last group.
    pub(crate) to: Option<String>,
}

/// The place from which the next page of a list goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cursor {
    /// Unset at the start of a group.
    pub(crate) place: Option<Place>,
    pub(crate) group: Group,
}

/// The content of a cursor. The time is text, because JSON would round it.
#[derive(Serialize, Deserialize)]
struct Content(Option<(String, String)>, Group);

#[derive(Debug, thiserror::Error)]
#[error(
    "this is not a cursor of this list: repeat the filters of the page that it comes from, or omit the cursor to start over"
)]
pub struct InvalidCursor;

impl Cursor {
    /// The text for a client.
    pub fn encode(&self, query: &ListQuery) -> String {
        let place = self.place.as_ref();
        let place = place.map(|place| (place.time.to_string(), BASE64URL_NOPAD.encode(&place.id)));
        let content = Content(place, self.group.clone());
        let content = serde_json::to_vec(&content).expect("texts always serialize");
        BASE64URL_NOPAD.encode(&[&checksum(query, &content)[..], &content].concat())
    }

    /// Accepts only a cursor of this list, unchanged.
    pub fn decode(text: &str, query: &ListQuery) -> Result<Self, InvalidCursor> {
        let bytes = Some(text).filter(|text| text.len() <= LONGEST);
        let bytes = bytes.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
        let bytes = bytes.ok_or(InvalidCursor)?;
        let (check, content) = bytes.split_at_checked(CHECK).ok_or(InvalidCursor)?;
        if check != checksum(query, content) {
            return Err(InvalidCursor);
        }
        let Content(place, group) = serde_json::from_slice(content).map_err(|_| InvalidCursor)?;
        let place = place.map(|(time, id)| {
            let time = time.parse().ok().filter(|time: &f64| !time.is_nan())?;
            Some(Place { time, id: BASE64URL_NOPAD.decode(id.as_bytes()).ok()?.into() })
        });
        let place = match place {
            Some(place) => Some(place.ok_or(InvalidCursor)?),
            None => None,
        };
        Ok(Cursor { place, group })
    }
}

/// Tells the cursor of one list from that of another. It is no secret: a forged cursor is only another place.
fn checksum(query: &ListQuery, content: &[u8]) -> [u8; CHECK] {
    let query = serde_json::to_vec(query).expect("texts and numbers always serialize");
    let digest = Sha256::new().chain_update((query.len() as u64).to_be_bytes()).chain_update(query);
    let digest = digest.chain_update(content).finalize();
    *digest.first_chunk().expect("it is longer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::query::Order;

    fn query() -> ListQuery {
        ListQuery { kinds: vec!["a:b".into()], before: Some(7), order: Order::Desc, ..ListQuery::default() }
    }

    #[test]
    fn a_cursor_comes_back_for_its_list_only() {
        let group = Group { from: Some("a".to_owned()), to: None };
        let place = Place { time: 1_795_478_771_840.5, id: Bytes::from_static(b"\xff!id") };
        for cursor in [Cursor { place: Some(place), group }, Cursor { place: None, group: Group::default() }]
        {
            let text = cursor.encode(&query());
            assert_eq!(Cursor::decode(&text, &query()).unwrap(), cursor);
            for other in [
                ListQuery { before: None, ..query() },
                ListQuery { order: Order::Asc, ..query() },
                ListQuery { kinds: vec![], queues: vec!["a:b".into()], ..query() },
                ListQuery { search: Some(String::new()), ..query() },
            ] {
                assert!(Cursor::decode(&text, &other).is_err(), "{other:?}");
            }
        }
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let place = Place { time: 5.0, id: Bytes::from_static(b"id") };
        let text = Cursor { place: Some(place), group: Group::default() }.encode(&query());
        for n in 0..text.len() {
            let other = if text.as_bytes()[n] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..n], &text[n + 1..]);
            assert!(Cursor::decode(&changed, &query()).is_err(), "{changed}");
        }
        for text in ["", "A", "====", "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b", &"A".repeat(5_000)] {
            assert!(Cursor::decode(text, &query()).is_err(), "{text}");
        }
    }
}
