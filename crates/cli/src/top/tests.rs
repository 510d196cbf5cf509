//! Frames as text, and the meaning of keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::top::app::{App, Request};
use crate::top::change::Change;
use crate::top::draw::draw;
use crate::top::news::{News, Part};
use crate::top::theme::Theme;

const JOB: &str = "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b";

fn now() -> Timestamp {
    "2030-01-31T09:30:00Z".parse().unwrap()
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn queue(name: &str, ready: u64) -> Value {
    json!({
        "name": name, "paused": name == "mail", "oldest_ready_age": "61.5s", "kinds": [],
        "counts": {"scheduled": 1_234_567, "ready": ready, "active": 2, "completed": 90, "dead": 7, "cancelled": 1},
        "rates": {"enqueued": 120, "completed": 100, "buried": 3, "cancelled": 1},
    })
}

fn worker(id: &str, state: &str, active: u32) -> Value {
    json!({
        "id": id, "host": "app-1", "pid": 4711, "build": "1.4.0+abc", "kinds": [], "queues": {"mail": 1},
        "slots": 4, "active": active, "state": state, "http": "", "started_at": now(), "seen_at": now(),
    })
}

fn job(id: &str, kind: &str, due_at: &str) -> Value {
    json!({
        "id": id, "kind": kind, "queue": "default", "state": "scheduled", "payload": {}, "payload_bytes": 2, "attempt": 1,
        "max_retries": 10, "enqueued_at": now(), "due_at": due_at, "started_at": null, "finished_at": null,
        "last_error": null, "worker": null, "durability": null, "enqueued_by": null,
    })
}

fn failure(fingerprint: &str, count: u64, error: &str) -> Value {
    json!({
        "fingerprint": fingerprint, "kind": "mail:send", "error": error, "count": count, "first_seen": now(),
        "last_seen": "2030-01-31T09:28:00Z", "builds": [], "queues": [], "example": null,
    })
}

/// Everything that `top` shows.
fn app() -> App {
    let mut app = App::new("http://127.0.0.1:8080".to_owned());
    let series = |kind: &str, p99: f64| {
        let (counts, none) = (json!(1), json!({"p50": null, "p99": null}));
        let happened = |count: Value, lateness: Value, run: Value| {
            json!({
                "enqueued": count, "completed": count, "failed": count, "dead": count, "cancelled": count,
                "reaped": count, "lateness_seconds": lateness, "run_seconds": run,
            })
        };
        json!({
            "queue": "default", "kind": kind,
            "total": happened(counts, json!({"p50": 0.001, "p99": p99}), none),
            "buckets": happened(json!([]), json!({"p50": [], "p99": []}), json!({"p50": [], "p99": []})),
        })
    };
    let all = series("", 0.0);
    let stats = json!({
        "from": now(), "to": now(), "step_seconds": 60, "all": {"total": all["total"], "buckets": all["buckets"]},
        "series": [series("a:b", 0.012), series("a:c", 0.003)], "series_left_out": 0, "builds": [],
    });
    let jobs = json!([
        job(JOB, "mail:send", "2030-01-31T09:29:57Z"),
        job("0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4c", "report:make", "2030-01-31T10:45:00Z")
    ]);
    let workers = json!([
        worker("0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e41", "running", 4),
        worker("0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e42", "quiet", 0)
    ]);
    let failures = json!({
        "items": [failure("0000000000000001", 2, "timeout after <n> s"), failure("0000000000000002", 5, "connection\nrefused")],
        "total": 2,
    });
    for news in [
        News::Overview {
            queues: read(json!([queue("mail", 0), queue("default", 3)])),
            workers: read(workers),
        },
        News::Stats(Box::new(read(stats))),
        News::Failures(read(failures)),
        News::Jobs { queue: "default".to_owned(), jobs: read(jobs) },
    ] {
        app.take(news, now());
    }
    app
}

fn frame(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, frame.area(), frame.buffer_mut(), Theme::Colored, now())).unwrap();
    let lines = terminal.backend().to_string();
    let lines = lines.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

fn press(app: &mut App, keys: &str) -> Request {
    let mut request = Request::Nothing;
    for key in keys.chars() {
        let code = if key == '\t' { KeyCode::Tab } else { KeyCode::Char(key) };
        request = app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    request
}

#[test]
fn a_terminal_of_80_by_24_shows_everything() {
    let expected = "\
atode top  http://127.0.0.1:8080                                  live 09:30:00Z
─▶ Queues ──────────────────────────────────────────────────────────────────────
  QUEUE    PAUSED SCHEDULED  READY ACTIVE   DEAD  OLDEST IN/MIN OUT/MIN LATE P99
> default             1.23M      3      2      7   1m 1s    120     104     12ms
  mail     paused     1.23M      0      2      7   1m 1s    120     104        –
── Workers ────────────────────────────────────────────── 4 of 8 slots in use ──
  HOST                  PID BUILD              STATE       ACTIVE QUEUES
  app-1                4711 1.4.0+abc          running        4/4 mail
  app-1                4711 1.4.0+abc          quiet          0/4 mail
── Next jobs of default ─────────────────────────── 90 completed, 1 cancelled ──
           DUE KIND                 ATTEMPT JOB
       3s late mail:send                  2 0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b
     in 1h 15m report:make                2 0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4c
── What fails most ─────────────────────────────────────────────────────────────
    DEAD KIND                 LAST SEEN ERROR
       5 mail:send            2m 0s ago connection\\nrefused
       2 mail:send            2m 0s ago timeout after <n> s






↑↓ select  tab pane  p pause/resume  Q quiet  r run now  ? help  q quit";
    assert_eq!(frame(&app(), 80, 24), expected);
}

#[test]
fn a_small_terminal_shows_the_active_pane() {
    let mut app = app();
    press(&mut app, "\t\t");
    let expected = "\
atode top  http://127.0.0.  live 09:30:00Z
─▶ Next jobs of default 1–1 of 2  90 compl
           DUE KIND
>      3s late mail:send
↑↓ select  tab pane  p pause/resume  Q qui";
    assert_eq!(frame(&app, 42, 5), expected);
    assert_eq!(frame(&app, 80, 3).trim(), "the terminal is too small");
    for (width, height) in [(1, 1), (20, 4), (21, 14), (200, 60), (60, 20)] {
        frame(&app, width, height);
        press(&mut app, "?");
        frame(&app, width, height);
        press(&mut app, "x");
    }
}

#[test]
fn a_full_page_of_next_jobs_is_not_all_of_them() {
    let mut app = app();
    let mut take = |jobs: usize| {
        let jobs = vec![job(JOB, "mail:send", "2030-01-31T09:29:57Z"); jobs];
        app.take(News::Jobs { queue: "default".to_owned(), jobs: read(json!(jobs)) }, now());
        frame(&app, 80, 24)
    };
    let (all, first) = (take(49), take(50));
    assert!(all.contains(" of 49 "), "{all}");
    assert!(first.contains(" of the first 50 "), "{first}");
}

#[test]
fn a_wide_terminal_shows_all_states_and_ids() {
    let frame = frame(&app(), 130, 24);
    for text in ["COMPLETED", "CANCELLED", "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e42"] {
        assert!(frame.contains(text), "{text}\n{frame}");
    }
}

#[test]
fn trouble_is_shown_with_the_last_figures_until_the_next_news() {
    let mut app = app();
    app.take(News::Trouble(Part::Overview, "no gateway can be reached".to_owned()), now());
    let shown = frame(&app, 80, 24);
    assert!(shown.contains("not live, seen 09:30:00Z") && shown.contains("default"), "{shown}");
    assert!(shown.contains("no gateway can be reached (trying again)"), "{shown}");
    app.take(News::Queue(read(queue("mail", 0))), now());
    assert!(!frame(&app, 80, 24).contains("no gateway"));
}

#[test]
fn a_key_that_changes_something_asks_first() {
    let mut app = app();
    assert_eq!(press(&mut app, "p"), Request::Nothing);
    let shown = frame(&app, 80, 24);
    assert!(
        shown.contains("Pause queue default?") && shown.contains("Running jobs are not affected."),
        "{shown}"
    );
    assert_eq!(press(&mut app, "n"), Request::Nothing);
    assert_eq!(press(&mut app, "y"), Request::Nothing);
    assert_eq!(press(&mut app, "py"), Request::Make(Change::Pause("default".to_owned())));
    assert_eq!(press(&mut app, "jpy"), Request::Make(Change::Resume("mail".to_owned())));
    assert!(
        matches!(press(&mut app, "k\tjQy"), Request::Make(Change::Quiet { id, .. }) if id.to_string().ends_with("42"))
    );
    app.take(
        News::Jobs {
            queue: "default".to_owned(),
            jobs: read(json!([job(JOB, "a:b", "2030-01-31T09:29:57Z")])),
        },
        now(),
    );
    assert!(
        matches!(press(&mut app, "ry"), Request::Make(Change::RunNow { id, .. }) if id.to_string() == JOB)
    );
    assert_eq!(press(&mut app, "q"), Request::Quit);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Request::Quit);
}

#[test]
fn the_selection_follows_its_row_and_jobs_of_another_queue_are_not_shown() {
    let mut app = app();
    press(&mut app, "j");
    assert_eq!(app.selected_queue(), Some("mail"));
    assert!(frame(&app, 80, 24).contains("Next jobs of mail"));
    press(&mut app, "r");
    assert!(frame(&app, 80, 24).contains("no waiting job is selected"));
    app.take(News::Queue(read(queue("alpha", 1))), now());
    assert_eq!(app.selected_queue(), Some("mail"));
    app.take(News::Overview { queues: read(json!([queue("alpha", 1)])), workers: Vec::new() }, now());
    assert_eq!(app.selected_queue(), Some("alpha"));
    press(&mut app, "Q");
    assert!(frame(&app, 80, 24).contains("no worker is selected"));
}

#[test]
fn text_from_others_cannot_control_the_terminal() {
    let mut app = app();
    app.take(News::Overview { queues: read(json!([queue("a\u{1b}[2Jb", 1)])), workers: Vec::new() }, now());
    assert!(!frame(&app, 120, 24).contains('\u{1b}'));
}
