//! `fleetfoot top`: what the page tells, for terminals, pipes and scripts.

use crate::stage::{FLEETFOOT, before};
use scenario::gateway::{Ended, run};
use scenario::server::{left_out, wait_until};
use scenario::{Gateway, Origin};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

fn top(admin: &str, more: &[&str]) -> Ended {
    run(&FLEETFOOT, &[&["top", "--admin", admin], more].concat())
}

/// A gateway that has served something which its page knows of.
fn served(origin: &Origin) -> Gateway {
    let gateway = before(origin);
    assert_eq!(gateway.get("/one?escape=%1b").status, 200);
    let known = || gateway.ask("GET", "/live.json").text().contains("\"routes\":[{\"route\":\"*\"");
    wait_until("the page to know of a request", known);
    gateway
}

#[test]
fn without_a_terminal_it_prints_once() {
    let gateway = served(&Origin::start());
    let admin = gateway.admin().to_string();
    for more in [&[][..], &["--once"]] {
        let ended = top(&admin, more);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for part in
            ["IS IT FAST?", "WHERE DOES THE TIME GO?", "ROUTES by time", "SERVERS", "GET /one"]
        {
            assert!(ended.stdout.contains(part), "no {part}:\n{}", ended.stdout);
        }
        assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    }
}

#[test]
fn scripts_get_json() {
    let gateway = served(&Origin::start());
    let ended = top(&format!("http://{}/", gateway.admin()), &["--once", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((ended.code, &told["served"]), (Some(0), &1.into()), "{ended:?}");
}

#[test]
fn no_gateway_is_an_error_with_a_remedy() {
    let ended = top("127.0.0.1:1", &[]);
    assert_eq!(ended.code, Some(1));
    for part in ["no gateway answers at 127.0.0.1:1", "refused", "--admin"] {
        assert!(ended.stderr.contains(part), "no {part}: {}", ended.stderr);
    }
    // Somebody else's server, and a name that is none.
    let origin = Origin::start();
    let ended = top(&origin.address().to_string(), &[]);
    let stranger = "is no admin listener of a gateway that has a live page";
    assert!(ended.code == Some(1) && ended.stderr.contains(stranger), "{ended:?}");
    let ended = top("no address", &[]);
    assert!(ended.code == Some(1) && ended.stderr.contains("no gateway answers"), "{ended:?}");
}

/// A terminal with the screen of `top` in it, by util-linux's `script`.
struct Screen {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Screen {
    fn of(gateway: &Gateway) -> Option<Self> {
        if !Path::new("/usr/bin/script").exists() {
            left_out("no script(1) of util-linux is installed");
            return None;
        }
        let top =
            format!("stty rows 30 cols 110; '{}' top --admin {}", &**FLEETFOOT, gateway.admin());
        let mut command = Command::new("script");
        command.args(["-qefc", &top, "/dev/null"]).env("TERM", "xterm-256color");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("script");
        let mut out = child.stdout.take().expect("piped");
        let shown = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Some(Self { child, shown })
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Presses keys and waits until something is shown that was not before.
    #[track_caller]
    fn press(&mut self, keys: &str, part: &str) {
        let before = self.shown().len();
        self.child.stdin.as_mut().expect("piped").write_all(keys.as_bytes()).expect("it listens");
        wait_until(part, || self.shown().get(before..).is_some_and(|new| new.contains(part)));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_work_and_the_terminal_is_given_back() {
    let gateway = served(&Origin::start());
    let Some(mut screen) = Screen::of(&gateway) else { return };
    screen.press("", "IS IT FAST?");
    screen.press("s", "ROUTES by req/s");
    screen.press("/", "enter done");
    screen.press("one\r", "filter: one");
    screen.press("\r", "phases, each the sum of its time");
    screen.press("q", "KEPT REQUESTS");
    screen.press("q", "\u{1b}[?1049l");
    let ended = screen.child.wait().expect("our own child");
    assert!(ended.success(), "{ended}");
    let shown = screen.shown();
    let cursor = shown.rfind("\u{1b}[?25h");
    assert!(cursor > shown.rfind("\u{1b}[?25l"), "the cursor stays away");
}

#[test]
fn a_gateway_that_goes_away_is_told_of() {
    let gateway = served(&Origin::start());
    let Some(mut screen) = Screen::of(&gateway) else { return };
    screen.press("", "IS IT FAST?");
    drop(gateway);
    screen.press("", "lost: no gateway answers");
    screen.press("q", "\u{1b}[?1049l");
}
