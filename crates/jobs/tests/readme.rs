//! README, "A kind of job": the file that it shows compiles as a kind of this crate, and its test passes.

use atode_jobs::Registry;

/// Stands in for `crate::job`, which a kind in `crates/jobs/src/kinds` imports.
mod job {
    pub(crate) use atode_jobs::{Job, JobContext, JobError};
}

#[path = "readme/greet.rs"]
#[expect(unreachable_pub, reason = "in its own place it is public")]
mod greet;

const README: &str = include_str!("../../../README.md");
const FILE: &str = include_str!("readme/greet.rs");

#[test]
fn the_kind_in_readme_compiles_and_accepts_its_payload() {
    assert!(README.contains(&format!("```rust\n{FILE}```\n")), "README and tests/readme/greet.rs differ");
    let mut registry = Registry::default();
    registry.register::<greet::Greet>().expect("the only kind");
    let kind = registry.get("demo:greet").expect("its name");
    assert_eq!(kind.check(r#"{"name":"Mei"}"#), Ok(()));
    assert!(kind.check(r#"{"nam":"Mei"}"#).is_err());
}
