//! The short form of a SHA-256 for keys and channel messages.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// The first 128 bits, 22 characters.
pub(crate) fn short(hash: Sha256) -> String {
    BASE64URL_NOPAD.encode(&hash.finalize()[..16])
}
