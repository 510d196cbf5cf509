//! The command line that all peers share.

use clap::{Parser, ValueEnum};

#[derive(Parser, Debug, Clone)]
pub struct Args {
    pub what: What,
    /// The address of an empty Redis, 127.0.0.1:PORT.
    #[arg(long)]
    pub redis: String,
    #[arg(long)]
    pub jobs: usize,
    #[arg(long, default_value_t = 64)]
    pub producers: usize,
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// `lateness` only: seconds over which the enqueues are spread.
    #[arg(long, default_value_t = 15)]
    pub seconds: u64,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Enqueue,
    Drain,
    Lateness,
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            What::Enqueue => "enqueue",
            What::Drain => "drain",
            What::Lateness => "lateness",
        }
    }
}
