//! The kind of a job as its record tells it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::Error;
use crate::model::id::LONG;

/// Bytes of a tag.
pub(crate) const TAG: usize = 4;

/// The kind of a job: a hash of its name, or in records of earlier versions the name itself.
///
/// The sets that hold the id of a job are those of its kind, so a hash is enough to find them among the kinds of a
/// queue. Two kinds of one queue may share a hash; then only the sets tell which of them it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind<'a> {
    Tag([u8; TAG]),
    Name(Cow<'a, str>),
}

/// The part of an earlier version's record that is read here.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl<'a> RecordKind<'a> {
    /// Reads the kind from a stored record.
    pub fn decode(record: &'a [u8]) -> Result<Self, Error> {
        if record.starts_with(b"{") {
            let named: Named = serde_json::from_slice(record)
                .map_err(|error| Error::corrupt(format!("the kind in a job's record: {error}")))?;
            return Ok(RecordKind::Name(named.kind));
        }
        match record.first_chunk::<TAG>() {
            Some(tag) if LONG.decode(tag).is_ok() => Ok(RecordKind::Tag(*tag)),
            _ => Err(Error::corrupt("a job's record does not begin with the tag of a kind")),
        }
    }

    /// True if the job can be of this kind.
    pub fn is(&self, kind: &str) -> bool {
        match self {
            RecordKind::Tag(own) => *own == tag(kind),
            RecordKind::Name(name) => name == kind,
        }
    }
}

/// The tag of a kind: the 32-bit FNV-1a hash of its name, folded to 24 bits as its authors recommend
/// (<http://www.isthe.com/chongo/tech/comp/fnv/#xor-fold>). It is stored, so it must never change.
pub(crate) fn tag(kind: &str) -> [u8; TAG] {
    let hash =
        kind.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [_, folded @ ..] = ((hash >> 24) ^ (hash & 0x00ff_ffff)).to_be_bytes();
    let mut tag = [0; TAG];
    LONG.encode_mut(&folded, &mut tag);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_kind_never_changes() {
        // FNV-1a of "foobar" is 0xbf9cf968 (the authors' test vectors): 0xbf ^ 0x9cf968 = 0x9cf9d7.
        assert_eq!(LONG.decode(&tag("foobar")).unwrap(), [0x9c, 0xf9, 0xd7]);
        assert_eq!(LONG.decode(&tag("")).unwrap(), [0x1c, 0x9d, 0xc5 ^ 0x81]);
    }

    #[test]
    fn the_kind_is_read_from_records_of_both_forms() {
        let tagged = [&tag("a:b")[..], b" {}"].concat();
        for record in [&tagged[..], br#"{"kind":"a:b","payload":{}}"#, br#"{"payload":{},"kind":"a:b"}"#] {
            let kind = RecordKind::decode(record).unwrap();
            assert!(kind.is("a:b") && !kind.is("a:c"), "{kind:?}");
        }
    }

    #[test]
    fn garbage_has_no_kind() {
        for record in [&b""[..], b"abc", b"a,b {}", b"[1,2]", b"{", b"{}", b"\xff\xff\xff\xff"] {
            assert!(RecordKind::decode(record).is_err(), "{record:?}");
        }
    }
}
