//! The runs that `atode-bench compare` makes with a queue library in Rust, and the trait that each library implements
//! for them. `bench/peers/README.md` describes the runs.

mod args;
mod measure;
mod peer;
mod runs;

pub use args::{Args, What};
pub use measure::{Figures, Lateness, measure, print};
pub use peer::{PAYLOAD, Peer, locked_version};
pub use runs::Runs;
