//! A real browser without a screen: Chromium, driven by its own protocol over a pipe.
//!
//! It is started with descriptors 3 and 4 as its ears and mouth (`--remote-debugging-pipe`), which a
//! shell puts in their places; messages are JSON, each ended by a zero byte. What a page complains of
//! (exceptions, refused by its policy, not found) is remembered and told by [`Tab::problems`].

use crate::gateway::{Folder, warden};
use crate::server::left_out;
use crate::{PATIENCE, patience};
use base::Moment;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

/// Messages that wait to be looked at.
const MESSAGES_MAX: usize = 10_000;
/// Time between two looks at a page.
const PAUSE: Duration = Duration::from_millis(20);

/// A running browser; ended when dropped.
pub struct Browser {
    child: Child,
    warden: Child,
    ear: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    _folder: Folder,
}

/// How a tab is opened.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its width and height.
    pub size: (u32, u32),
    /// Whether its user prefers dark pages.
    pub dark: bool,
}

/// A page that is open.
pub struct Tab<'b> {
    browser: &'b mut Browser,
    session: String,
    problems: Vec<String>,
}

impl Browser {
    /// Starts one; `None`, said loudly, where none is installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let there = |name: &&str| std::env::split_paths(&paths).any(|at| at.join(name).is_file());
        let Some(program) = ["chromium", "chromium-browser"].into_iter().find(there) else {
            left_out("no chromium is installed");
            return None;
        };
        let folder = Folder::new();
        let mut command = Command::new("sh");
        let script = "exec 3<&0 4>&1; exec \"$@\" </dev/null >/dev/null 2>&1";
        command.args(["-c", script, "sh", program, "--headless", "--remote-debugging-pipe"]);
        // Whoever runs tests as root has no sandbox; only our own pages are opened.
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb"]);
        command.args(["--disable-background-networking", "--disable-component-update"]);
        command.arg(format!("--user-data-dir={}", folder.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
        let (ear, mouth) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (messages, heard) = sync_channel(MESSAGES_MAX);
        thread::spawn(move || {
            for message in BufReader::new(mouth).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if messages.send(message).is_err() {
                    return;
                }
            }
        });
        let warden = warden(child.id(), folder.path());
        Some(Self { child, warden, ear, messages: heard, sent: 0, _folder: folder })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Opens a page and waits until it has loaded.
    #[track_caller]
    pub fn open(&mut self, url: &str, look: Look) -> Tab<'_> {
        let target = self.call(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let target = target.0["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = self.call(None, "Target.attachToTarget", &attach).0;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let mut tab = Tab { browser: self, session, problems: Vec::new() };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            tab.call(domain, &json!({}));
        }
        let (width, height) = look.size;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        tab.call("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        tab.call("Emulation.setEmulatedMedia", &media);
        tab.call("Page.navigate", &json!({ "url": url }));
        tab.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
        tab
    }

    /// Sends a command and waits for its answer; what else is said meanwhile comes with it.
    #[track_caller]
    fn call(&mut self, session: Option<&str>, method: &str, with: &Value) -> (Value, Vec<Value>) {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": with });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.ear.write_all(&bytes).unwrap_or_else(|e| panic!("{method}: the browser is gone: {e}"));
        let mut others = Vec::new();
        loop {
            let heard = self.messages.recv_timeout(PATIENCE * 3);
            let mut heard = heard.unwrap_or_else(|e| panic!("{method}: no answer: {e}"));
            if heard["id"] == json!(self.sent) {
                assert!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return (heard["result"].take(), others);
            }
            others.push(heard);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its own processes, which a kill of the first would leave behind.
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        if self.ear.write_all(close).is_ok() {
            let by = patience();
            while !by.passed(Moment::now()) && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(PAUSE);
            }
        }
        for child in [&mut self.warden, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Tab<'_> {
    #[track_caller]
    fn call(&mut self, method: &str, with: &Value) -> Value {
        let (answer, others) = self.browser.call(Some(&self.session), method, with);
        self.problems.extend(others.iter().filter_map(problem));
        answer
    }

    /// The value of an expression; promises are waited for.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let with = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", &with);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].take()
    }

    /// The text that somebody sees in what a selector finds first.
    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        let selector = json!(selector);
        let found = self.value(&format!("document.querySelector({selector})?.innerText ?? ''"));
        found.as_str().unwrap_or_default().replace(['\u{a0}', '\u{202f}'], " ")
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub fn wait(&mut self, expression: &str) {
        let by = base::Deadline::after(Moment::now(), PATIENCE * 3);
        while self.value(&format!("Boolean({expression})")) != json!(true) {
            if by.passed(Moment::now()) {
                let page = self.text("body");
                panic!("waited in vain: {expression}\n{:?}\n{page}", self.problems);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Presses a key, by its name (`Escape`, `Tab`, `f`).
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = if key.chars().count() == 1 {
            key
        } else if key == "Enter" {
            "\r"
        } else {
            ""
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let with = json!({
                "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code,
            });
            self.call("Input.dispatchKeyEvent", &with);
        }
    }

    /// Moves the mouse over a point, and clicks there.
    #[track_caller]
    pub fn click(&mut self, x: f64, y: f64) {
        for (kind, count) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 1)] {
            let button = if count == 0 { "none" } else { "left" };
            let with = json!({
                "type": kind, "x": x, "y": y, "button": button, "clickCount": count,
            });
            self.call("Input.dispatchMouseEvent", &with);
        }
    }

    /// Writes what is seen now, as PNG.
    #[track_caller]
    pub fn picture(&mut self, file: &Path) {
        let picture = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let bytes = base64(picture["data"].as_str().unwrap_or_default());
        let folder = file.parent().expect("a file has a folder");
        std::fs::create_dir_all(folder).expect("a place for pictures");
        std::fs::write(file, bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }

    /// CPU time that the browser has taken, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.browser.id())
    }

    /// Closes it.
    #[track_caller]
    pub fn close(mut self) {
        self.call("Page.close", &json!({}));
    }

    /// What the page has complained of so far.
    #[track_caller]
    pub fn problems(&mut self) -> &[String] {
        // What was said before this is answered has been heard.
        self.value("0");
        &self.problems
    }
}

fn problem(message: &Value) -> Option<String> {
    let with = &message["params"];
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(with["exceptionDetails"].to_string()),
        "Log.entryAdded" if with["entry"]["level"] == "error" => Some(with["entry"].to_string()),
        "Runtime.consoleAPICalled" if with["type"] == "error" => Some(with["args"].to_string()),
        _ => None,
    }
}

/// Bytes of base64 (RFC 4648 §4), as the browser sends them: well formed.
fn base64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for digit in digits {
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// CPU time that a process and those it started have taken, in seconds (to a hundredth).
pub fn cpu_seconds(id: u32) -> f64 {
    let mut ticks = 0;
    let mut ids = vec![id];
    while let Some(id) = ids.pop() {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        // utime and stime, the 14th and 15th of all fields.
        ticks += fields.skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum::<u64>();
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let mut children = String::new();
            let file = std::fs::File::open(task.path().join("children"));
            let _gone = file.and_then(|mut file| file.read_to_string(&mut children));
            ids.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    ticks as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE=", "fooba")]
        {
            assert_eq!(base64(text), bytes.as_bytes(), "{text}");
        }
    }
}
