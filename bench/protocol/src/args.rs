//! The command line that all peers share.

use clap::{Parser, ValueEnum};

#[derive(Parser, Debug, Clone)]
pub struct Args {
    pub what: What,
    /// 127.0.0.1:PORT of an empty Redis.
    #[arg(long)]
    pub redis: String,
    #[arg(long)]
    pub jobs: usize,
    #[arg(long, default_value_t = 64)]
    pub producers: usize,
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Of `lateness`: the enqueues are spread over so many.
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
