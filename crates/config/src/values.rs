//! Values of keys. Each type checks its value and says what it expected.
//!
//! A string counts as whatever its key needs: `8080` means the same in a file and in an environment variable, which has
//! only strings.

use std::{collections::BTreeMap, fmt, marker::PhantomData, str::FromStr, time::Duration};

use clap::{ValueEnum, builder::PossibleValue};
use figment::{error::Actual, value::Value};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{
        Error, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

const TEXT: &str = "a text that is not empty, in quotes if it is a number";
const QUEUE_NAME: &str = "a queue name of 1 to 64 characters from a-z, 0-9, _ and -";

/// Sections of keys. Each key has a type, a default, and, unless its type checks its value, the function that reads it:
/// `pub port: u16 = 8080, "whole::<_, _, 0, 65_535>";`.
macro_rules! keys {
    ($($(#[$section:meta])* $visible:vis struct $name:ident {
        $($(#[$doc:meta])* $public:vis $key:ident: $type:ty = $default:expr $(, $read:literal)?;)*
    })*) => {$(
        $(#[$section])*
        #[derive(serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $visible struct $name {
            $($(#[$doc])* $(#[serde(deserialize_with = $read)])? $public $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    )*};
}
pub(crate) use keys;

/// A value that has not been checked. Newtypes are made of it (`#[serde(try_from = "Raw")]`); the error of their
/// `TryFrom` says what was expected and what was found.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Raw(Value);

impl Raw {
    /// The text as `parse` reads it.
    pub(crate) fn text<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
        self.0.as_str().and_then(parse).ok_or_else(|| self.refused(expected))
    }

    /// The address that a text names. The error does not show a text that may be a URL with a password.
    pub(crate) fn address<T: FromStr>(&self, expected: &str) -> Result<T, String> {
        self.text(expected, |text| text.parse().ok()).map_err(|refused| {
            if refused.contains('@') {
                format!("expected {expected}, found a text with \"@\" in it")
            } else {
                refused
            }
        })
    }

    pub(crate) fn word<T: ValueEnum>(&self) -> Result<T, String> {
        let words: Vec<PossibleValue> = T::value_variants().iter().filter_map(T::to_possible_value).collect();
        let names: Vec<&str> = words.iter().map(PossibleValue::get_name).collect();
        self.text(&format!("one of {}", names.join(", ")), |text| T::from_str(text, false).ok())
    }

    pub(crate) fn refused(&self, expected: &str) -> String {
        format!("expected {expected}, found {}", describe(&self.0.to_actual()))
    }

    /// Like [`Self::refused`], but without showing the value, which may be a secret.
    pub(crate) fn refused_secret(&self, expected: &str) -> String {
        format!("expected {expected}, found {}", type_of(&self.0.to_actual()))
    }

    fn whole<T: TryFrom<u32>>(&self, min: u32, max: u32, expected: &str) -> Result<T, String> {
        let number = self.0.as_str().and_then(|text| text.trim().parse::<u64>().ok());
        let raw = Raw(number.map_or_else(|| self.0.clone(), Value::from));
        let number = raw.0.to_u128().and_then(|number| u32::try_from(number).ok());
        let fitting = number.filter(|number| (min..=max).contains(number));
        fitting.and_then(|number| T::try_from(number).ok()).ok_or_else(|| raw.refused(expected))
    }

    fn ratio(&self) -> Result<f64, String> {
        let whole = self.0.to_u128().map(|number| number as f64);
        let number = self.0.to_f64().or(whole).or_else(|| self.0.as_str()?.trim().parse().ok());
        number
            .filter(|number| (0.0..=1.0).contains(number))
            .ok_or_else(|| self.refused("a number from 0 to 1"))
    }

    fn flag(&self) -> Result<bool, String> {
        let flag = self.0.to_bool().or_else(|| self.0.as_str()?.trim().parse().ok());
        flag.ok_or_else(|| self.refused("true or false"))
    }
}

/// A text of one character or more.
#[derive(Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct Text(pub(crate) String);

/// A text that is never shown. Numbers are refused: YAML would have read `0123` as 123.
#[derive(Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct Secret(pub(crate) SecretString);

#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct QueueName(String);

impl TryFrom<Raw> for Text {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.text(TEXT, |text| (!text.is_empty()).then(|| Self(text.to_owned())))
    }
}

impl TryFrom<Raw> for Secret {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let text = raw.0.as_str().filter(|text| !text.is_empty());
        text.map(|text| Self(SecretString::from(text))).ok_or_else(|| raw.refused_secret(TEXT))
    }
}

impl TryFrom<Raw> for QueueName {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.text(QUEUE_NAME, |name| {
            let valid = (1..=64).contains(&name.len())
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
            valid.then(|| Self(name.to_owned()))
        })
    }
}

/// Reads a field of a plain type, which `check` makes of the raw value.
pub(crate) fn checked<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    check: impl FnOnce(&Raw) -> Result<T, String>,
) -> Result<T, D::Error> {
    check(&Raw::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads a whole number from `MIN` to `MAX`, both included.
pub(crate) fn whole<'de, D, T, const MIN: u32, const MAX: u32>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u32>,
{
    checked(deserializer, |raw| raw.whole(MIN, MAX, &format!("a whole number from {MIN} to {MAX}")))
}

/// Reads the number of partitions, which is always 1 in this version.
pub(crate) fn partitions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let expected = "1 (partitions above 1 are not available in this version)";
    checked(deserializer, |raw| raw.whole(1, 1, expected))
}

/// Reads a duration from `MIN` to `MAX` milliseconds, both included.
pub(crate) fn duration<'de, D, const MIN: u32, const MAX: u32>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let [min, max] = [MIN, MAX].map(|limit| SignedDuration::from_millis(limit.into()));
    let expected = format!(r#"a duration from {min:#} to {max:#}, with its unit as in "25s" or "250ms""#);
    checked(deserializer, |raw| {
        raw.text(&expected, |text| {
            let duration =
                text.parse::<SignedDuration>().ok().filter(|duration| (min..=max).contains(duration));
            duration.map(SignedDuration::unsigned_abs)
        })
    })
}

/// Reads a share, from 0 to 1.
pub(crate) fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, Raw::ratio)
}

pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    checked(deserializer, Raw::flag)
}

/// Reads one of the words that an enum consists of.
pub(crate) fn word<'de, D: Deserializer<'de>, T: ValueEnum>(deserializer: D) -> Result<T, D::Error> {
    checked(deserializer, Raw::word)
}

pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::deserialize(deserializer).map(|text| text.0)
}

/// Reads a list. A key without a value means an empty list.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list such as [\"a\", \"b\"]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Vec<T>, E> {
        Err(E::invalid_type(A_TEXT, &self))
    }
}

/// A text in the place of a list or a section, where it may be a secret.
const A_TEXT: Unexpected<'static> = Unexpected::Other("a text");

/// Reads one value for each queue. The result is `None` if the key is absent or has no value.
pub(crate) fn by_queue<'de, D, T>(deserializer: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let by_name = Option::<BTreeMap<QueueName, T>>::deserialize(deserializer)?;
    if by_name.as_ref().is_some_and(BTreeMap::is_empty) {
        return Err(D::Error::custom("expected at least one queue, found none"));
    }
    Ok(by_name.map(|by_name| by_name.into_iter().map(|(name, value)| (name.0, value)).collect()))
}

/// Reads a section. The section and each of its keys may be absent.
pub(crate) fn section<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<Section<T>>::deserialize(deserializer).map(|section| section.map_or_else(T::default, |it| it.0))
}

/// A map of keys. The visitor that serde derives for a struct would also accept a list, as the fields in their order.
pub(crate) struct Section<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionVisitor(PhantomData)).map(Self)
    }
}

struct SectionVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section of keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Err(E::invalid_type(A_TEXT, &self))
    }
}

/// The value that was found, for an error.
pub(crate) fn describe(found: &Actual) -> String {
    match found {
        Actual::Bool(flag) => flag.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("{text:?}"),
        other => type_of(other),
    }
}

fn type_of(found: &Actual) -> String {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Str(text) if text.is_empty() => "an empty text",
        Actual::Str(_) => "another text",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "a list",
        Actual::Map => "a section of keys",
        other => return other.to_string(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to_a_day(text: &str) -> Option<Duration> {
        duration::<_, 0, 86_400_000>(&Value::from(text)).ok()
    }

    #[test]
    fn friendly_and_iso_durations_are_read() {
        for (text, milliseconds) in [
            ("25s", 25_000),
            ("250ms", 250),
            ("3m", 180_000),
            ("1h 30m", 5_400_000),
            ("PT3M", 180_000),
            ("0s", 0),
        ] {
            assert_eq!(up_to_a_day(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn durations_without_a_unit_and_negative_durations_are_refused() {
        for text in ["25", "", "-5s", "5s ago", "s", "soon"] {
            assert_eq!(up_to_a_day(text), None, "{text}");
        }
    }
}
