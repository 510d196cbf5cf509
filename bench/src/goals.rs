//! The goals of this project, and the figures of a run beside them.

use crate::table::{Table, shown};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    DrainToAsynq,
    DrainToBullmqOfficial,
    KeptDrainToAsynq,
    EnqueueToAsynq,
    EnqueueToBullmqOfficial,
    PostToBareHandler,
    AlwaysToEverysec,
    RedisLimiterToNone,
    BatchJobs,
    RedisCpuRemoved,
    RedisCpuKept,
    WaitingJobMemory,
    LatenessP99,
    LatenessMax,
    DeepLatenessP99,
    DeepEnqueue,
    DeepDrain,
    TwoWorkers,
    FourWorkers,
    WorkersShares,
    CallsOfOne,
    CallsOfTwelve,
    CallsOfMany,
    IdleCpu,
    IdleRequests,
    IdleMemory,
    GatewayMemory,
    WorkerMemory,
}

#[derive(Debug, Clone, Copy)]
enum Better {
    Higher,
    Lower,
}

struct Aim {
    goal: Goal,
    what: &'static str,
    unit: &'static str,
    better: Better,
    reach: f64,
    stretch: Option<f64>,
}

/// `stretch` is `None` if there is no point in exceeding `reach`.
const fn aim(
    goal: Goal,
    what: &'static str,
    unit: &'static str,
    better: Better,
    reach: f64,
    stretch: Option<f64>,
) -> Aim {
    Aim { goal, what, unit, better, reach, stretch }
}

use Better::{Higher, Lower};

const AIMS: [Aim; 28] = [
    aim(Goal::DrainToAsynq, "drain, retention 0, ÷ asynq", "×", Higher, 10.0, Some(15.0)),
    aim(Goal::DrainToBullmqOfficial, "drain, retention 0, ÷ bullmq-official", "×", Higher, 3.0, Some(5.0)),
    aim(Goal::KeptDrainToAsynq, "drain, default retention, ÷ asynq", "×", Higher, 6.0, Some(10.0)),
    aim(Goal::EnqueueToAsynq, "single enqueues, 64 producers, ÷ asynq", "×", Higher, 2.0, Some(3.0)),
    aim(Goal::EnqueueToBullmqOfficial, "single enqueues ÷ bullmq-official", "×", Higher, 2.0, Some(3.0)),
    aim(Goal::PostToBareHandler, "`POST /v1/jobs` ÷ plain actix handler", "×", Higher, 0.45, Some(0.6)),
    aim(Goal::AlwaysToEverysec, "the same, `appendfsync always` ÷ `everysec`", "×", Higher, 0.75, Some(0.85)),
    aim(Goal::RedisLimiterToNone, "the same, limiter on Redis ÷ no limiter", "×", Higher, 0.7, None),
    aim(Goal::BatchJobs, "`POST /v1/jobs/batch` of 1,000", "jobs/s", Higher, 80_000.0, Some(120_000.0)),
    aim(Goal::RedisCpuRemoved, "Redis CPU per job, retention 0", "µs", Lower, 20.0, Some(14.0)),
    aim(Goal::RedisCpuKept, "Redis CPU per job, default retention", "µs", Lower, 27.0, Some(20.0)),
    aim(Goal::WaitingJobMemory, "Redis memory of a waiting job", "B", Lower, 320.0, Some(270.0)),
    aim(Goal::LatenessP99, "lateness, p99", "ms", Lower, 5.0, Some(2.0)),
    aim(Goal::LatenessMax, "lateness, max", "ms", Lower, 20.0, None),
    aim(Goal::DeepLatenessP99, "lateness at 5,000 jobs/s, 1 M waiting, p99", "ms", Lower, 20.0, Some(10.0)),
    aim(Goal::DeepEnqueue, "enqueue, 1 M waiting ÷ 10 k waiting", "×", Higher, 0.85, Some(0.95)),
    aim(Goal::DeepDrain, "drain, 1 M waiting ÷ 10 k waiting", "×", Higher, 0.85, Some(0.95)),
    aim(Goal::TwoWorkers, "drain, 2 workers ÷ 1", "×", Higher, 1.0, None),
    aim(Goal::FourWorkers, "drain, 4 workers ÷ 1", "×", Higher, 1.0, None),
    aim(Goal::WorkersShares, "deviation of a worker from an equal share", "% off", Lower, 20.0, None),
    aim(Goal::CallsOfOne, "script calls per sparse job, 1 worker", "calls", Lower, 4.0, None),
    aim(Goal::CallsOfTwelve, "script calls per sparse job, 12 workers", "calls", Lower, 5.0, None),
    aim(Goal::CallsOfMany, "script calls per sparse job, 64 workers", "calls", Lower, 6.0, None),
    aim(Goal::IdleCpu, "idle worker, 1 M waiting: CPU", "%", Lower, 0.5, None),
    aim(Goal::IdleRequests, "idle worker: requests to Redis", "/s", Lower, 5.0, None),
    aim(Goal::IdleMemory, "idle worker: memory", "MB", Lower, 30.0, None),
    aim(Goal::GatewayMemory, "gateway at full load: memory", "MB", Lower, 60.0, Some(40.0)),
    aim(Goal::WorkerMemory, "worker at full load: memory", "MB", Lower, 60.0, Some(40.0)),
];

/// A table of the goals that have a figure.
pub(crate) fn table(title: &str, figures: &[(Goal, f64)]) -> Table {
    let mut table = Table::new(title, &["", "reach", "stretch", "this run", "reached", "stretch reached"]);
    for aim in &AIMS {
        let figure = figures.iter().find(|(goal, _)| *goal == aim.goal).map(|(_, figure)| *figure);
        let Some(figure) = figure else { continue };
        let sign = match aim.better {
            Higher => "≥",
            Lower => "≤",
        };
        let wanted = |bound: f64| format!("{sign} {} {}", plain(bound), aim.unit);
        let mark = |bound| if aim.better.holds(figure, bound) { "✔" } else { "–" }.to_owned();
        table.row([
            aim.what.to_owned(),
            wanted(aim.reach),
            aim.stretch.map_or_else(String::new, wanted),
            format!("{} {}", shown(Some(figure), digits(figure)), aim.unit),
            mark(aim.reach),
            aim.stretch.map_or_else(String::new, mark),
        ]);
    }
    table
}

impl Better {
    fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Higher => figure >= bound,
            Lower => figure <= bound,
        }
    }
}

/// Enough digits to tell two runs apart.
fn digits(figure: f64) -> usize {
    match figure.abs() {
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    }
}

fn plain(bound: f64) -> String {
    if bound >= 1_000.0 { format!("{} k", bound / 1_000.0) } else { bound.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_at_its_bound_and_on_its_side() {
        let figures = [(Goal::RedisCpuRemoved, 20.0), (Goal::DrainToAsynq, 14.9)];
        let text = table("Goals", &figures).markdown();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(2).map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(rows[0][2..7], ["≥ 10 ×", "≥ 15 ×", "14.9 ×", "✔", "–"]);
        assert_eq!(rows[1][2..7], ["≤ 20 µs", "≤ 14 µs", "20.0 µs", "✔", "–"]);
        assert_eq!(rows.len(), 2, "goals without a figure are left out");
    }

    #[test]
    fn each_goal_has_one_aim() {
        for (n, aim) in AIMS.iter().enumerate() {
            assert!(AIMS[..n].iter().all(|other| other.goal != aim.goal), "{:?}", aim.goal);
        }
    }
}
