//! How `atode-bench compare` measures a queue of this language, ours as any other: what is asked of
//! it, and the runs that are made of that. `bench/peers/README.md` says what each run is.

mod args;
mod measure;
mod peer;
mod runs;

pub use args::{Args, What};
pub use measure::{Figures, Lateness, measure, print};
pub use peer::{PAYLOAD, Peer, locked_version};
pub use runs::Runs;
