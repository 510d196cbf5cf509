//! `atode top` on a real terminal, which `script` makes, with a gateway, a Redis and a worker.

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use atode_testkit::{Gateway, Process, RedisServer, Worker, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{atode, run};

const DEADLINE: Duration = Duration::from_secs(30);
const SCRIPT: &str = "/usr/bin/script";

/// The end of the alternate screen.
const RESTORED: &str = "\u{1b}[?1049l";

/// `atode top` on a terminal of 80 columns and 24 lines.
struct Top {
    process: Process,
    keys: File,
    folder: tempfile::TempDir,
}

impl Top {
    fn start(variables: &str, options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (keys, pid) = (folder.path().join("keys"), folder.path().join("pid"));
        assert!(Command::new("mkfifo").arg(&keys).status().expect("mkfifo").success());
        let (keys_name, pid, atode) = (keys.display(), pid.display(), env!("CARGO_BIN_EXE_atode"));
        let inner = format!("stty cols 80 rows 24; echo $$ >{pid}; {variables} exec {atode} {options} top");
        let line =
            format!("exec {SCRIPT} --quiet --return --flush --command '{inner}' /dev/null 0<>{keys_name}");
        let config = atode_testkit::workspace_root().join("config");
        let shell = Process::builder("/bin/sh")
            .env("TERM", "xterm")
            .env("APP_ENV", "test")
            .env("APP_CONFIG_DIR", config);
        let shell =
            shell.env_remove("NO_COLOR").env_remove("CI").env_remove("ATODE_URL").env_remove("ATODE_KEY");
        let process = shell.args(["-c", &line]).start();
        let keys = OpenOptions::new().read(true).write(true).open(keys).expect("the keys");
        Top { process, keys, folder }
    }

    fn press(&self, keys: &str) {
        (&self.keys).write_all(keys.as_bytes()).expect("keys are written");
    }

    fn shows(&self, text: &str) {
        self.process.wait_for_stdout(|out| out.contains(text), DEADLINE);
    }

    fn pid(&self) -> Pid {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).expect("the pid");
        Pid::from_raw(pid.trim().parse().expect("a number"))
    }

    /// Waits for the end, after which the terminal is as it was.
    fn ends(&self) {
        assert_eq!(self.process.wait(DEADLINE).code(), Some(0), "{}", self.process.stdout());
        assert!(self.process.stdout().contains(RESTORED), "{:?}", self.process.stdout());
    }
}

fn items(gateway: &Gateway, path: &str) -> Value {
    gateway.get(path).json()["items"].clone()
}

#[test]
fn keys_pause_a_queue_run_a_job_now_and_quiet_a_worker() {
    if !Path::new(SCRIPT).exists() {
        return;
    }
    for is_direct in [false, true] {
        let redis = RedisServer::start();
        let gateway = Gateway::start(&redis);
        let _worker = Worker::start(&redis);
        let job = json!({"kind": "demo:delay_print", "delay": "1h"});
        let id = gateway.post("/v1/jobs", &job).json()["id"].as_str().expect("an id").to_owned();
        let top = if is_direct {
            Top::start(&format!("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR={}", redis.addr()), "--direct")
        } else {
            Top::start("", &format!("--url {}", gateway.base_url()))
        };
        for shown in ["default", "0/64", &id] {
            top.shows(shown);
        }
        // Any key but `y` keeps everything as it is.
        top.press("pn");
        top.press("py");
        eventually("the queue is paused", DEADLINE, || {
            (items(&gateway, "/v1/queues")[0]["paused"] == true).then_some(())
        });
        top.press("\t\tr");
        top.press("y");
        eventually("the job is due", DEADLINE, || {
            (gateway.get(&format!("/v1/jobs/{id}")).json()["state"] == "ready").then_some(())
        });
        top.press("Q");
        top.press("y");
        eventually("the worker is quiet", DEADLINE, || {
            (items(&gateway, "/v1/workers")[0]["state"] == "quiet").then_some(())
        });
        top.shows("quiet");
        top.press("q");
        top.ends();
    }
}

#[test]
fn it_outlasts_a_gateway_that_restarts_and_a_signal_gives_the_terminal_back() {
    if !Path::new(SCRIPT).exists() {
        return;
    }
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let (port, url) = (gateway.port(), gateway.base_url().to_owned());
    drop(gateway);
    let top = Top::start("NO_COLOR=1", &format!("--url {url}"));
    top.shows("--direct");
    let gateway = Gateway::builder(&redis.addr()).port(port).start();
    top.shows("default");
    drop(gateway);
    top.shows("seen");
    kill(top.pid(), Signal::SIGTERM).expect("it runs");
    top.ends();
    assert!(!top.process.stdout().contains("\u{1b}[31m"), "colors in spite of NO_COLOR");
}

#[test]
fn control_c_ends_it() {
    if !Path::new(SCRIPT).exists() {
        return;
    }
    let top = Top::start("", "--url http://127.0.0.1:1");
    top.shows("--direct");
    top.press("\u{3}");
    top.ends();
}

#[test]
fn without_a_terminal_it_prints_one_frame_or_says_how() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let top = || atode().env("ATODE_URL", gateway.base_url()).arg("top");
    let ended = run(top());
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("needs a terminal; --once"), "{}", ended.err);
    assert_eq!(run(top().args(["--once", "--json"])).code, 2);
    let direct = atode().env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis.addr());
    for command in [top().arg("--once"), direct.args(["--direct", "top", "--once"])] {
        let ended = run(command.env_remove("COLUMNS"));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
        for text in ["─▶ Queues", "> default", "no worker is running", "no job waits", "no job is dead"] {
            assert!(ended.out.contains(text), "{text}\n{}", ended.out);
        }
        assert_eq!(ended.out.lines().count(), 24);
        assert!(ended.out.lines().all(|line| line.chars().count() <= 80));
    }
}
