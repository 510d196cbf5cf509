//! The fingerprint of a failure: a hash over the kind of a job and its error without the parts that vary.
//!
//! Equal causes get equal fingerprints, whichever job, worker, address, file or time an error names.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::model::history::start_of;
use crate::model::id::JobId;

/// Maximum number of bytes of a normalized error.
const MAX_NORMALIZED: usize = 300;

/// Bytes read of an error. The rest is only the tail of a long one, and a dead job should cost little.
const MAX_READ: usize = 1_000;

/// The name of a group of dead jobs: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[schemars(inline, extend("pattern" = "^[0-9a-f]{16}$"))]
pub struct Fingerprint(#[schemars(with = "String")] u64);

#[derive(Debug, thiserror::Error)]
#[error("a fingerprint has 16 hexadecimal digits, such as 0f3a99c2d41b7e60")]
pub struct InvalidFingerprint;

impl Fingerprint {
    pub fn of(kind: &str, error: &str) -> Self {
        Fingerprint::hash(kind, normalize(error).as_bytes())
    }

    /// The fingerprint at the end of the entry of `state` of a dead job, as the scripts find it.
    pub(crate) fn in_state(state: &str) -> Option<Self> {
        state.strip_suffix("\"}")?.rsplit_once("\"fp\":\"")?.1.parse().ok()
    }

    /// The fingerprint of the dead jobs of a kind that belong to no group. No normalized error has a NUL.
    pub(crate) fn of_ungrouped(kind: &str) -> Self {
        Fingerprint::hash(kind, b"\0")
    }

    fn hash(kind: &str, error: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(error);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        Fingerprint(u64::from_be_bytes(first))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(Fingerprint).ok_or(InvalidFingerprint)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The parts of an error that vary, in the order in which they are tried at each place. Names in backticks stay: they
/// are fields and types of the program.
const VARIABLE: &str = r#"(?x)
    (?<url>    \b [A-Za-z][A-Za-z0-9+.\-]*:// [^\s"'`<>(),;]+ )
  | (?<uuid>   \b [0-9A-Fa-f]{8} (?:-[0-9A-Fa-f]{4}){3} - [0-9A-Fa-f]{12} \b )
  | (?<quoted> " (?:[^"\\]|\\.)* " | \B ' [^']* ' \B | “ [^”]* ” | ‘ [^’]* ’ | « [^»]* » )
  | (?<email>  \b [A-Za-z0-9._%+\-]+ @ [A-Za-z0-9\-]+ (?:\.[A-Za-z0-9\-]+)+ )
  | (?<addr>   \[ [0-9A-Fa-f:.]* : [0-9A-Fa-f:.]* (?:%[A-Za-z0-9]+)? \] (?: :[0-9]+)?
             | \b [0-9]{1,3} (?:\.[0-9]{1,3}){3} (?: :[0-9]+ | /[0-9]+ )? \b
             | (?: \b [0-9A-Fa-f]{1,4} | : ) (?: :[0-9A-Fa-f]{0,4} ){2,7} )
  | (?<path>   \b [A-Za-z]:\\ [^\s"'`<>|:]+ | \B / [A-Za-z0-9_.@%+~=,\-]+ (?: / [A-Za-z0-9_.@%+~=,\-]+ )* /? )
  | (?<kept>   (?i-u: \b (?:status|code|errno|signal|http) (?:\ code)? (?: \ | :\ ? | =\ ? | / ) [0-9]{1,4} (?:\.[0-9])? \b
               (?: \ [0-9]{3} \b )? ) )
  | (?<hex>    \b 0[xX][0-9A-Fa-f]+ \b | \b [0-9A-Fa-f]{8,} \b )
  | (?<number> [0-9]+ (?:[.,_][0-9]+)* )
  | (?<space>  \s+ )
"#;

static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    // ASCII boundaries and blanks: the Unicode tables of the engine are large, and errors are mostly ASCII.
    let ascii =
        VARIABLE.replace(r"\b", r"(?-u:\b)").replace(r"\B", r"(?-u:\B)").replace(r"[^\s", r"[^\t\n\r\x20");
    Regex::new(&ascii.replace(r"\s+", r"[\x09-\x0d\x20\u{85}\u{a0}\u{2028}\u{2029}]+"))
        .expect("a valid pattern")
});

/// The error without its variable parts: each is replaced by a word for what it is. At most 300 bytes.
pub(crate) fn normalize(error: &str) -> String {
    let error = start_of(error.trim(), MAX_READ);
    let without_ids = without_ids(error);
    let normalized = PATTERN.replace_all(&without_ids, replacement);
    start_of(normalized.trim(), MAX_NORMALIZED).trim_end().replace('\0', " ")
}

/// Our own ids in their short forms have digits of all kinds, so only a whole word can be one. Such a word must have
/// a digit and be no plain word: 14 letters may be an id, too.
fn without_ids(error: &str) -> Cow<'_, str> {
    let is_word_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    let is_id = |word: &str| {
        matches!(word.len(), 14 | 22)
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
            && word.parse::<JobId>().is_ok_and(|id| id.made_at().is_some_and(is_plausible))
    };
    if !error.split(is_word_end).any(is_id) {
        return error.into();
    }
    let words = error.split_inclusive(is_word_end).map(|word| {
        let bare = word.trim_end_matches(is_word_end);
        if is_id(bare) { format!("<id>{}", &word[bare.len()..]) } else { word.to_owned() }
    });
    words.collect::<String>().into()
}

/// True for the years 2020 to 2049. Other words of that length would be ids of another time.
fn is_plausible(ms: i64) -> bool {
    (1_577_836_800_000..2_524_608_000_000).contains(&ms)
}

fn replacement(found: &Captures<'_>) -> String {
    let whole = &found[0];
    let is = |name| found.name(name).is_some();
    if is("url") {
        return url(whole);
    }
    if is("addr") {
        return address(whole);
    }
    if is("hex") && !whole.starts_with("0x") && !whole.starts_with("0X") {
        let has_digit = whole.bytes().any(|byte| byte.is_ascii_digit());
        let has_letter = whole.bytes().any(|byte| byte.is_ascii_alphabetic());
        return match (has_digit, has_letter) {
            (true, true) => "<hex>".to_owned(),
            (true, false) => "<n>".to_owned(),
            _ => whole.to_owned(), // a word such as "defaced"
        };
    }
    let known = [("uuid", "<id>"), ("quoted", "<str>"), ("email", "<email>"), ("path", "<path>")];
    let more = [("hex", "<hex>"), ("number", "<n>"), ("space", " ")];
    let word = known.iter().chain(&more).find(|(name, _)| is(name));
    word.map_or(whole, |(_, word)| word).to_owned()
}

/// Scheme and host tell which service an error is about. Path and query vary.
fn url(url: &str) -> String {
    // Punctuation behind a URL is not a part of it.
    let (url, behind) = url.split_at(url.trim_end_matches(['.', ':', '!', '?']).len());
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    let is_address = host.starts_with('[') || bare.parse::<IpAddr>().is_ok();
    let host = if is_address { "<addr>".to_owned() } else { numbers(host) };
    let path = if matches!(path, "" | "/") { path } else { "/<path>" };
    format!("{scheme}://{host}{path}{behind}")
}

/// `12:30:45` and `a::b` look like an address and are none.
fn address(text: &str) -> String {
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok() && text.bytes().any(|byte| byte.is_ascii_digit());
    let (bare, behind) = text.split_at(text.trim_end_matches(':').len());
    if text.starts_with('[') || text.contains('.') || is_ip(text) {
        "<addr>".to_owned()
    } else if is_ip(bare) {
        format!("<addr>{behind}")
    } else {
        numbers(text)
    }
}

fn numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_number = false;
    for c in text.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                out.push_str("<n>");
            }
            in_number = true;
        } else {
            out.push(c);
            in_number = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors of one row have one cause, and each row has another cause than all other rows.
    const CAUSES: &[(&str, &[&str])] = &[
        (
            "timed out after <n>ms",
            &["timed out after 250ms", "timed out after  1.5ms", " timed out\n\tafter 3ms "],
        ),
        ("timed out after <n>s", &["timed out after 5s", "timed out after 30s"]),
        ("<n> of <n> rows", &["3 of 17 rows", "1,000 of 12_345 rows"]),
        ("at <n>-<n>-<n>T<n>:<n>:<n>Z", &["at 2026-11-27T01:02:03Z", "at 2026-11-28T11:22:33.123456Z"]),
        (
            "job <id> is gone",
            &[
                "job 01a20ae0-e7a9-74d9-a81f-9cb53c56386d is gone",
                "job 01A20AE1-E7A9-74D9-A81F-9CB53C56386D is gone",
            ],
        ),
        (
            "worker <id> (pid <n> on node-<n>) is gone",
            &[
                "worker 01a20ae0-e7a9-74d9-a81f-9cb53c56386d (pid 17 on node-3) is gone",
                "worker 01a20ae0-e7a9-74d9-a81f-9cb53c56386e (pid 21042 on node-12) is gone",
            ],
        ),
        ("segfault at <hex>", &["segfault at 0xdeadbeef", "segfault at 0x7f00"]),
        (
            "commit <hex> is unknown",
            &["commit 866641b1 is unknown", "commit 1a2b3c4d5e6f7a8b9c0d is unknown"],
        ),
        ("the facade was defaced", &["the facade was defaced"]),
        (
            "connect to <addr>: refused",
            &[
                "connect to 10.0.0.1:6379: refused",
                "connect to 192.168.17.4: refused",
                "connect to [::1]:6379: refused",
                "connect to [fe80::1%eth0]:80: refused",
                "connect to 2001:db8::8a2e:370:7334: refused",
            ],
        ),
        (
            "connect to redis-<n>.cache:<n>: refused",
            &["connect to redis-1.cache:6379: refused", "connect to redis-22.cache:6380: refused"],
        ),
        ("connect to mail.cache:<n>: refused", &["connect to mail.cache:25: refused"]),
        (
            "GET https://api.example.com/<path>: timeout",
            &[
                "GET https://api.example.com/v1/users/42?full=true: timeout",
                "GET https://user:secret@api.example.com/v1/orders: timeout",
            ],
        ),
        (
            "GET https://other.example.com/<path>: timeout",
            &["GET https://other.example.com/v1/users: timeout"],
        ),
        (
            "GET http://<addr>/<path>: timeout",
            &["GET http://10.1.2.3:80/a: timeout", "GET http://10.1.2.4/b/c: timeout"],
        ),
        (
            "unknown user <str>",
            &[
                r#"unknown user "ann""#,
                r#"unknown user "bob \"the\" builder""#,
                "unknown user 'eve'",
                "unknown user “zoë”",
            ],
        ),
        ("can't reach it, won't try", &["can't reach it, won't try"]),
        ("missing field `name`", &["missing field `name`"]),
        ("missing field `address`", &["missing field `address`"]),
        ("no mailbox <email>", &["no mailbox ann@example.com", "no mailbox bob.b+x@mail.example.org"]),
        (
            "open <path>: not found",
            &["open /var/lib/x/1.txt: not found", r"open C:\temp\a.txt: not found", "open /tmp: not found"],
        ),
        ("read and/or write failed", &["read and/or write failed"]),
        ("status 404", &["status 404"]),
        ("status 500", &["status 500"]),
        ("HTTP status code: 503", &["HTTP status code: 503"]),
        ("HTTP/1.1 502", &["HTTP/1.1 502"]),
        ("exit code 137", &["exit code 137"]),
        (
            "panicked at src/kinds/mail.rs:<n>:<n>",
            &["panicked at src/kinds/mail.rs:12:5", "panicked at src/kinds/mail.rs:140:17"],
        ),
        ("panicked at src/kinds/sms.rs:<n>:<n>", &["panicked at src/kinds/sms.rs:12:5"]),
        ("std::io::Error: bad", &["std::io::Error: bad"]),
        ("", &["", "  \n"]),
    ];

    #[test]
    fn equal_causes_have_one_fingerprint_and_different_ones_do_not() {
        let mut seen = std::collections::BTreeMap::new();
        for (normalized, errors) in CAUSES {
            for error in *errors {
                assert_eq!(normalize(error), *normalized, "{error}");
                // Shown errors are normalized again.
                assert_eq!(normalize(normalized), *normalized);
                let first = seen.insert(Fingerprint::of("a:b", error), normalized);
                assert!(first.is_none_or(|first| first == normalized), "{error}: {first:?}");
            }
        }
        assert_eq!(seen.len(), CAUSES.len());
    }

    #[test]
    fn our_own_ids_are_a_variable_part_in_each_form() {
        let now = 1_800_000_000_000;
        for _ in 0..100 {
            let id = JobId::new(now);
            for form in [id.to_string(), id.short()] {
                let has_both =
                    form.bytes().any(|b| b.is_ascii_digit()) && form.bytes().any(|b| b.is_ascii_alphabetic());
                if has_both && !form.contains(['"', '\'']) {
                    assert_eq!(normalize(&format!("job {form} failed")), "job <id> failed", "{form}");
                }
            }
        }
    }

    #[test]
    fn a_long_error_is_cut_and_its_start_decides() {
        let long = format!("{} 1", "é".repeat(5_000));
        assert!(normalize(&long).len() <= MAX_NORMALIZED);
        assert_eq!(Fingerprint::of("a", &long), Fingerprint::of("a", &format!("{long}2 more")));
    }

    #[test]
    fn a_fingerprint_depends_on_the_kind_and_is_the_same_in_every_build() {
        assert_ne!(Fingerprint::of("a:b", "no"), Fingerprint::of("a:c", "no"));
        assert_ne!(Fingerprint::of("a:b", ""), Fingerprint::of_ungrouped("a:b"));
        let known = Fingerprint::of("mail:send", "connect to 10.0.0.1:25: refused");
        assert_eq!(known.to_string().parse::<Fingerprint>().ok(), Some(known));
        for wrong in ["", "123", "0123456789abcdeg", "+123456789abcdef", "0123456789abcdef0"] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
