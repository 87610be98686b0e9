//! The demo, small: every process it starts, a few phases, and an end that leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

use gateway::demo::{Options, Outcome, PHASES, TAIL, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetfoot");

#[tokio::test]
async fn the_demo_measures_the_shop_and_the_gateway_without_errors() {
    let options = Options {
        once: true,
        phase_time: Duration::from_secs(1),
        rate: Some(20.0),
        products: 500,
        redis: None,
        queue: None,
        // Straight at one and at three, then through the gateway to one and to three, then with orders
        // offloaded.
        phases: [&PHASES[..4], &PHASES[6..7]].concat(),
        // One that fails fast, in turn and by default: the errors of the first are by design.
        tail: TAIL[2..4].to_vec(),
        program: Some(PathBuf::from(PROGRAM)),
    };
    assert_eq!(run(options).await.unwrap(), Outcome::Clean);
}

/// Command lines of running processes that name `directory`.
fn naming(directory: &Path) -> Vec<String> {
    let directory = directory.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&directory))
        .collect()
}

/// Waits until `good` of the list of processes, at most half a minute.
fn wait(directory: &Path, good: fn(&[String]) -> bool) {
    for _ in 0..600 {
        if good(&naming(directory)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("still running: {:?}", naming(directory));
}

#[test]
fn the_processes_of_the_demo_end_with_it() {
    for signal in ["-INT", "-TERM", "-KILL"] {
        let directory = std::env::temp_dir().join(format!("demo-test-{:x}", fastrand::u64(..)));
        fs::create_dir(&directory).unwrap();
        let mut demo = Command::new(PROGRAM)
            .args(["demo", "--once", "--rate", "5", "--seconds", "60"])
            .env("TMPDIR", &directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait(&directory, |lines| lines.len() >= 3);
        let killed = Command::new("kill").args([signal, &demo.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = demo.wait().unwrap();
        wait(&directory, <[String]>::is_empty);
        if signal != "-KILL" {
            assert_eq!(status.code(), Some(130), "{signal}");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "{signal} leaves no files");
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
