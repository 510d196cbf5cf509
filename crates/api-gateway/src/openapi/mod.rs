//! The OpenAPI document of the API (decision 41): `document.json`, which tests write, with the kinds of this gateway.

pub(crate) mod cache;
#[cfg(test)]
mod generate;
mod kinds;
