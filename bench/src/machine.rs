//! The machine and the programs that the figures were measured with.

use std::process::Command;

/// The facts, one per line of a list.
pub(crate) fn facts() -> Vec<String> {
    let redis = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    vec![
        format!("machine: {}", hardware()),
        format!(
            "Redis: {}, AOF `everysec`, on the same cores, started for each run",
            first_line(&redis, "--version")
        ),
        format!(
            "toolchains: {}; {}; node {}; {}",
            first_line("rustc", "--version"),
            first_line("go", "version"),
            first_line("node", "--version"),
            first_line("wrk", "--version"),
        ),
    ]
}

fn hardware() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let gib = kib.and_then(|kib| kib.trim().parse::<f64>().ok()).unwrap_or_default() / f64::from(1 << 20);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let (system, release) = (first_line("uname", "-s"), first_line("uname", "-r"));
    format!("{cores} cores, {model}, {gib:.0} GiB, {system} {release}")
}

/// The first line that a program prints.
fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| format!("no {program}"), |line| line.trim().to_owned())
}
