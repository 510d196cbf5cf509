//! The header `Idempotency-Key`.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use atode_jobs::check_key;

use crate::http::problem::Problem;

/// Header of a reply to a repeated request.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of the request. `"k"`, a string as the header's draft defines it (RFC 9651, 3.3.3), and an unquoted `k` are
/// the same key.
pub(crate) fn idempotency_key(request: &HttpRequest) -> Result<Option<Cow<'_, str>>, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let (first, second) = (keys.next(), keys.next());
    if second.is_some() {
        return Err(Problem::malformed("send only one header Idempotency-Key"));
    }
    let Some(header) = first else { return Ok(None) };
    let key = header.to_str().map_err(|_| "not ASCII".to_owned());
    let key = key.map(unquoted).and_then(|key| check_key(&key).map(|()| Some(key)));
    key.map_err(|why| Problem::malformed(format!("the header Idempotency-Key: {why}")))
}

/// The content of a quoted string. Text that is not a valid quoted string is the key itself.
fn unquoted(key: &str) -> Cow<'_, str> {
    let Some(inner) = key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return key.into();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => plain.push(escaped),
                _ => return key.into(),
            },
            '"' => return key.into(),
            other => plain.push(other),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_is_the_text_between_its_quotes() {
        for (header, key) in [
            ("k", "k"),
            (r#""k""#, "k"),
            (r#""a \"b\" \\c""#, r#"a "b" \c"#),
            (r#""""#, ""),
            (r#"""#, r#"""#),
            (r#"a"b"#, r#"a"b"#),
            (r#""a"b""#, r#""a"b""#),
            (r#""a\n""#, r#""a\n""#),
            (r#""a\""#, r#""a\""#),
        ] {
            assert_eq!(unquoted(header), key, "{header}");
        }
    }
}
