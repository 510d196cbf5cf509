//! How single keys are read: each reader says in words what it expects, for [`crate::source`] to print.
//!
//! A text is read as what its key needs, so that `8080` means the same in a file and in an environment
//! variable, which knows nothing but texts.

use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::RangeInclusive};

use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

/// Reads a text; `read` answers what was found instead if the text is not what was `expected`.
pub(crate) fn text<'de, D, T, F>(deserializer: D, expected: &str, read: F) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: Fn(&str) -> Result<T, Unexpected<'_>>,
{
    deserializer.deserialize_str(TextVisitor { expected, read, value: PhantomData })
}

/// Reads one of a few words.
pub(crate) fn word<'de, D, T: Copy>(deserializer: D, words: &[(&str, T)]) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    text(deserializer, &format!("one of {}", names.join(", ")), |found| {
        let known = words.iter().find(|(name, _)| *name == found);
        known.map(|(_, value)| *value).ok_or(Unexpected::Str(found))
    })
}

/// Reads a whole number from `MIN` to `MAX`, both included.
pub(crate) fn number<'de, D, T, const MIN: u32, const MAX: u32>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u32>,
{
    number_in(deserializer, MIN..=MAX, &format!("a whole number from {MIN} to {MAX}"))
}

/// [`number`] with an expectation in other words.
pub(crate) fn number_in<'de, D, T>(
    deserializer: D,
    range: RangeInclusive<u32>,
    expected: &str,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u32>,
{
    deserializer.deserialize_u32(NumberVisitor { range, expected, value: PhantomData })
}

pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    deserializer.deserialize_bool(FlagVisitor)
}

/// Reads a list; a key without a value is an empty one.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

/// Reads a section whose keys may all be absent, as may the section.
pub(crate) fn section<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<Section<T>>::deserialize(deserializer).map(|section| section.map_or_else(T::default, |it| it.0))
}

/// Reads queue names with something each; `None` if the key is absent or has no value.
pub(crate) fn by_queue<'de, D, T>(deserializer: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let Some(Section(by_name)) = Option::<Section<BTreeMap<QueueName, T>>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if by_name.is_empty() {
        return Err(D::Error::custom("expected at least one queue, found none"));
    }
    Ok(Some(by_name.into_iter().map(|(name, value)| (name.0, value)).collect()))
}

/// A text of one character or more.
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a text that is not empty, in quotes if it is a number", |found| {
            if found.is_empty() {
                Err(Unexpected::Other("an empty text"))
            } else {
                Ok(Self(found.to_owned()))
            }
        })
    }
}

/// A text that is never shown. Numbers are refused, because `0123` would have lost its zero by now.
pub(crate) struct Secret(pub(crate) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a text that is not empty, in quotes if it is a number", |found| {
            if found.is_empty() {
                Err(Unexpected::Other("an empty text"))
            } else {
                Ok(Self(SecretString::from(found)))
            }
        })
    }
}

/// A map of keys. A derived visitor would also take a list, and read it as the fields in their order.
pub(crate) struct Section<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionVisitor(PhantomData)).map(Self)
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct QueueName(String);

impl<'de> Deserialize<'de> for QueueName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a queue name of 1 to 64 characters from a-z, 0-9, _ and -", |name| {
            let valid = (1..=64).contains(&name.len())
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
            if valid { Ok(Self(name.to_owned())) } else { Err(Unexpected::Str(name)) }
        })
    }
}

struct TextVisitor<'e, T, F> {
    expected: &'e str,
    read: F,
    value: PhantomData<T>,
}

impl<T, F: Fn(&str) -> Result<T, Unexpected<'_>>> Visitor<'_> for TextVisitor<'_, T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(|found| E::invalid_value(found, &self.expected))
    }
}

struct NumberVisitor<'e, T> {
    range: RangeInclusive<u32>,
    expected: &'e str,
    value: PhantomData<T>,
}

impl<T: TryFrom<u32>> Visitor<'_> for NumberVisitor<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let in_range = u32::try_from(number).ok().filter(|number| self.range.contains(number));
        let fitting = in_range.and_then(|number| T::try_from(number).ok());
        fitting.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        match text.trim().parse() {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        text.trim().parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a list such as ["a", "b"]"#)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
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
}
