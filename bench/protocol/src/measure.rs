//! The runs: enqueue, drain, lateness.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::args::{Args, What};
use crate::peer::Peer;
use crate::runs::{Runs, now};

/// The figures of a valid run.
#[derive(Debug, Clone)]
pub struct Figures {
    pub seconds: f64,
    pub ran: usize,
    /// `lateness` only.
    pub lateness: Option<Lateness>,
}

/// Start minus due time of each job in ms, in ascending order. Negative values are too early.
#[derive(Debug, Clone)]
pub struct Lateness(Vec<f64>);

impl Lateness {
    /// Takes the lateness of at least one job.
    pub fn of(mut late: Vec<f64>) -> Self {
        late.sort_unstable_by(f64::total_cmp);
        Lateness(late)
    }

    /// The lateness that `percent` % of the jobs did not exceed. 0 is the earliest job.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    /// The percentiles from 0 % to 100 % in steps of one.
    pub fn percentiles(&self) -> Vec<f64> {
        (0..=100).map(|percent| self.percentile(percent)).collect()
    }
}

pub async fn measure<P: Peer>(args: &Args) -> anyhow::Result<Figures> {
    anyhow::ensure!(
        args.jobs > 0 && args.producers > 0 && args.concurrency > 0,
        "--jobs, --producers and --concurrency must be at least 1"
    );
    let mut peer = P::connect(&args.redis).await?;
    expect_left(&mut peer, 0).await?;
    match args.what {
        What::Enqueue => enqueue(peer, args).await,
        What::Drain => drain(peer, args).await,
        What::Lateness => lateness(peer, args).await,
    }
}

/// Prints the result, one line on stdout.
#[expect(clippy::print_stdout, reason = "the line is what the driver reads")]
pub fn print<P: Peer>(args: &Args, figures: &Figures) {
    let mut line = json!({
        "peer": P::NAME,
        "version": P::version(),
        "what": args.what.name(),
        "jobs": args.jobs,
        "seconds": figures.seconds,
        "per_second": args.jobs as f64 / figures.seconds,
        "ran": figures.ran,
        "lost": 0,
        "twice": 0,
    });
    if let Some(lateness) = &figures.lateness {
        line["lateness_percentiles_ms"] = json!(lateness.percentiles());
    }
    println!("{line}");
}

async fn enqueue<P: Peer>(mut peer: P, args: &Args) -> anyhow::Result<Figures> {
    let start = now();
    let producers = shares(args).map(|share| {
        let mut peer = peer.clone();
        tokio::spawn(async move {
            for _ in 0..share {
                peer.enqueue().await?;
            }
            anyhow::Ok(())
        })
    });
    for producer in join_all(producers).await {
        producer??;
    }
    let seconds = (now() - start) / 1e3;
    expect_left(&mut peer, args.jobs).await?;
    Ok(Figures { seconds, ran: 0, lateness: None })
}

async fn drain<P: Peer>(mut peer: P, args: &Args) -> anyhow::Result<Figures> {
    peer.enqueue_many(args.jobs).await?;
    let runs = Arc::new(Runs::new(args.jobs));
    let start = now();
    let worker = peer.work(args.concurrency, runs.clone()).await?;
    let end = runs.all().await?;
    P::stop(worker).await?;
    let ran = runs.once()?.len();
    expect_left(&mut peer, 0).await?;
    Ok(Figures { seconds: (end - start) / 1e3, ran, lateness: None })
}

async fn lateness<P: Peer>(mut peer: P, args: &Args) -> anyhow::Result<Figures> {
    let runs = Arc::new(Runs::new(args.jobs));
    let worker = peer.work(args.concurrency, runs.clone()).await?;
    let start = now();
    let seconds = args.seconds as f64;
    let producers = shares(args).map(|share| {
        let mut peer = peer.clone();
        tokio::spawn(async move {
            let mut offsets: Vec<f64> = (0..share).map(|_| rand::random::<f64>() * seconds).collect();
            offsets.sort_unstable_by(f64::total_cmp);
            let mut due = HashMap::with_capacity(share);
            for offset in offsets {
                let wait = start / 1e3 + offset - now() / 1e3;
                tokio::time::sleep(Duration::from_secs_f64(wait.max(0.0))).await;
                let at = (now() + 3_000.0 + rand::random::<f64>() * 1_000.0) as i64;
                due.insert(peer.enqueue_due(at).await?, at);
            }
            anyhow::Ok(due)
        })
    });
    let mut due = HashMap::with_capacity(args.jobs);
    for producer in join_all(producers).await {
        due.extend(producer??);
    }
    let end = runs.all().await?;
    P::stop(worker).await?;
    let started = runs.once()?;
    expect_left(&mut peer, 0).await?;
    let mut late = Vec::with_capacity(args.jobs);
    for (id, at) in due {
        let started = started.get(&id).ok_or_else(|| anyhow::anyhow!("job {id} never ran"))?;
        late.push(started - at as f64);
    }
    let lateness = Some(Lateness::of(late));
    Ok(Figures { seconds: (end - start) / 1e3, ran: started.len(), lateness })
}

/// The number of jobs of each producer.
fn shares(args: &Args) -> impl Iterator<Item = usize> {
    let (jobs, producers) = (args.jobs, args.producers);
    (0..producers).map(move |n| jobs / producers + usize::from(n < jobs % producers))
}

async fn expect_left<P: Peer>(peer: &mut P, expected: usize) -> anyhow::Result<()> {
    let left = peer.left().await?;
    anyhow::ensure!(left == expected, "{left} jobs are in the queue instead of {expected}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_range_from_the_earliest_to_the_latest() {
        let lateness = Lateness::of((0..1_000).rev().map(f64::from).collect());
        let at = |percent| lateness.percentile(percent) as u64;
        assert_eq!([at(0), at(50), at(99), at(100)], [0, 500, 990, 999]);
        assert_eq!(Lateness::of(vec![-1.0]).percentiles(), vec![-1.0; 101]);
    }
}
