//! `scripts/backup.sh` and `scripts/restore.sh`, on a Redis that is in use.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use atode_testkit::{Gateway, Process, ProcessBuilder, RedisServer, Worker, eventually, workspace_root};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(60);

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn script(name: &str) -> ProcessBuilder {
    // The scripts choose the Redis themselves, not the environment of whoever runs the tests.
    Process::builder(workspace_root().join("scripts").join(name))
        .env("ATODE", env!("CARGO_BIN_EXE_atode"))
        .env_remove("REDISCLI_AUTH")
        .env_remove("REDIS_PASSWORD_FILE")
}

fn run(script: ProcessBuilder) -> Ended {
    let process = script.start();
    let status = process.wait(DEADLINE);
    Ended { code: status.code().expect("an exit code"), out: process.stdout(), err: process.stderr() }
}

fn backup(redis: &RedisServer, folder: &Path, options: &[&str]) -> Ended {
    run(script("backup.sh").args(options).args([folder]).args(["-p", &redis.port().to_string()]))
}

fn backed_up(redis: &RedisServer, folder: &Path, options: &[&str]) -> PathBuf {
    let ended = backup(redis, folder, options);
    assert_eq!(ended.code, 0, "{}", ended.err);
    ended.out.trim().into()
}

fn restore(options: &[&str], backup: &Path, dir: &Path) -> Ended {
    run(script("restore.sh").args(options).args([backup, dir]))
}

/// The growth at which Redis rewrites its AOF by itself, in percent.
fn rewrite_percentage(redis: &RedisServer) -> String {
    redis.command(&["CONFIG", "GET", "auto-aof-rewrite-percentage"]).texts().remove(1)
}

/// The entries of the folder that do not belong there.
fn left_behind(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| !["appendonlydir", "redis.log", ".lock"].contains(&name.as_str())).collect()
}

/// Stores jobs that print their number when they run. False if the gateway is gone.
fn enqueue(gateway: &Gateway, numbers: impl Iterator<Item = u64>) -> bool {
    let job = |n: u64| json!({ "kind": "demo:delay_print", "delay": "0s", "payload": { "message": n.to_string() } });
    let jobs: Vec<Value> = numbers.map(job).collect();
    let reply = gateway.request("POST", "/v1/jobs/batch").json(&json!({ "jobs": jobs })).try_send();
    reply.is_ok_and(|reply| reply.status == 200 && reply.json()["created"] == jobs.len())
}

/// The numbers that a worker has printed.
fn ran(worker: &Worker) -> BTreeSet<u64> {
    let out = worker.stdout();
    out.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
}

#[test]
fn every_job_accepted_before_a_backup_under_load_runs_after_a_restore() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = Gateway::start(&redis);
    let slow = Worker::builder(&redis.addr())
        .env("APP__WORKER__CONCURRENCY", "1")
        // The jobs that it runs during the backup wait for the end of their leases.
        .env("APP__WORKER__LEASE", "5s")
        .start();
    for batch in 0..5 {
        assert!(enqueue(&gateway, batch * 400..(batch + 1) * 400));
    }
    let accepted = AtomicU64::new(2_000);
    let (before, backup, old) = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut next, started) = (2_000, Instant::now());
            while started.elapsed() < DEADLINE && enqueue(&gateway, next..next + 10) {
                next += 10;
                accepted.store(next, Ordering::Relaxed);
            }
        });
        eventually("jobs run", DEADLINE, || (!ran(&slow).is_empty()).then_some(()));
        let before = accepted.load(Ordering::Relaxed);
        let backup = backed_up(&redis, folder.path(), &["--rewrite"]);
        eventually("more jobs are accepted", DEADLINE, || {
            (accepted.load(Ordering::Relaxed) > before + 100).then_some(())
        });
        assert_eq!(rewrite_percentage(&redis), "100");
        assert_eq!(left_behind(redis.dir()), [""; 0]);
        slow.kill();
        redis.kill();
        gateway.kill();
        (before, backup, ran(&slow))
    });

    let other = RedisServer::builder().prepare();
    let ended = restore(&["--audit"], &backup, other.dir());
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("nothing is wrong"), "{}", ended.out);
    other.restart();
    let worker = Worker::start(&other);
    eventually("every job of the backup has run", DEADLINE, || {
        let new = ran(&worker);
        (0..before).all(|n| old.contains(&n) || new.contains(&n)).then_some(())
    });
}

#[test]
fn each_script_prints_its_usage() {
    for name in ["backup.sh", "restore.sh", "backup-drill.sh", "release.sh"] {
        for option in ["--help", "-h"] {
            let help = run(script(name).args([option]));
            assert_eq!((help.code, help.err.as_str()), (0, ""), "{name}");
            assert!(help.out.contains(&format!("scripts/{name}")), "{name}: {}", help.out);
        }
        let wrong = run(script(name).args(["--nonsense"]));
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{name}");
        assert!(wrong.err.contains(&format!("scripts/{name}")), "{name}: {}", wrong.err);
    }
}

#[test]
fn a_failed_backup_leaves_nothing_behind() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bin = tempfile::tempdir().expect("a folder");
    let cp = bin.path().join("cp");
    fs::write(&cp, "#!/bin/sh\necho the disk is full >&2\nexit 1\n").expect("a file");
    fs::set_permissions(&cp, fs::Permissions::from_mode(0o755)).expect("it may run");
    let path = format!("{}:{}", bin.path().display(), env::var("PATH").unwrap_or_default());
    let failing = script("backup.sh").env("PATH", path).args([folder.path()]);
    let ended = run(failing.args(["-p", &redis.port().to_string()]));
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{}", ended.err);
    assert!(ended.err.contains("the disk is full"), "{}", ended.err);
    assert_eq!(rewrite_percentage(&redis), "100");
    assert_eq!(left_behind(folder.path()), [""; 0]);
    assert_eq!(left_behind(redis.dir()), [""; 0]);

    let without_aof = RedisServer::builder().no_aof().start();
    let ended = backup(&without_aof, folder.path(), &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("Redis has no AOF"), "{}", ended.err);
    without_aof.stop();
    let ended = backup(&without_aof, folder.path(), &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("cannot be reached"), "{}", ended.err);
}

#[test]
fn only_the_newest_backups_are_kept() {
    let redis = RedisServer::builder().password("secret").start();
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").expect("a file");
    let backups = folder.path().join("backups");
    let keep_two = || {
        let script = script("backup.sh").env("REDIS_PASSWORD_FILE", &password).args(["--keep", "2"]);
        let ended = run(script.args([&backups]).args(["-p", &redis.port().to_string()]));
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended.out.trim().rsplit_once('/').expect("a path").1.to_owned()
    };
    let made = [keep_two(), keep_two(), keep_two()];
    let mut left = left_behind(&backups);
    left.sort();
    assert_eq!(left, made[1..]);
}

#[test]
fn a_restore_overwrites_nothing_and_refuses_a_damaged_backup() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let backup = backed_up(&redis, folder.path(), &[]);
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("dump.rdb"), "precious").expect("a file");
    let ended = restore(&[], &backup, &taken);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("is not empty"), "{}", ended.err);
    assert_eq!(fs::read_to_string(taken.join("dump.rdb")).expect("a file"), "precious");

    let ended = restore(&[], &backup, &folder.path().join("new"));
    assert_eq!(ended.code, 0, "{}", ended.err);
    fs::write(backup.join("appendonlydir/appendonly.aof.manifest"), "").expect("a file");
    let ended = restore(&[], &backup, &folder.path().join("newer"));
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("is damaged"), "{}", ended.err);
}
