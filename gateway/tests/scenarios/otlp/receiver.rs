//! A real OTLP receiver: OpenTelemetry's messages for Python and grpcio, in `tests/otlp/receiver.py`.

use scenario::Client;
use scenario::gateway::Folder;
use scenario::server::{left_out, wait_until};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Grpc,
    Http,
}

/// A running receiver; killed when dropped.
pub(crate) struct Receiver {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    grpc: u64,
    http: u64,
}

impl Receiver {
    /// Starts one; `None`, said loudly, where Python or its packages are missing.
    pub(crate) fn start() -> Option<Self> {
        let lines = Arc::default();
        let child = run(&lines, 0, 0)?;
        let mut receiver = Self { child, lines, grpc: 0, http: 0 };
        receiver.wait_ports();
        Some(receiver)
    }

    fn wait_ports(&mut self) {
        wait_until("the receiver's ports", || !self.told("ports").is_empty());
        let ports = self.told("ports").remove(0);
        let port = |way: &str| ports[way].as_u64().expect("a port");
        (self.grpc, self.http) = (port("grpc"), port("http"));
    }

    /// Where it is.
    pub(crate) fn url(&self, way: Way) -> String {
        let port = if way == Way::Grpc { self.grpc } else { self.http };
        format!("http://127.0.0.1:{port}")
    }

    /// From now on it answers so: see `receiver.py`.
    pub(crate) fn mode(&self, mode: &str) {
        let address = format!("127.0.0.1:{}", self.http).parse().expect("an address");
        let mut client = Client::connect(address);
        client.send(format!("PUT /mode/{mode} HTTP/1.1\r\nHost: r\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.response("PUT").status, 200);
    }

    /// It goes down.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// It is back, on the same ports, and remembers nothing.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.lock().clear();
        self.child = run(&self.lines, self.grpc, self.http).expect("it was there before");
        self.wait_ports();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines about this: `span`, `metrics`, `ports`.
    pub(crate) fn told(&self, what: &str) -> Vec<Value> {
        self.lock().iter().filter(|line| line["what"] == what).cloned().collect()
    }

    /// The spans of a trace, by its id in hexadecimal.
    pub(crate) fn trace(&self, id: &str) -> Vec<Value> {
        let mut spans = self.told("span");
        spans.retain(|span| span["trace"] == id);
        spans
    }

    /// Streams of the metrics that came last.
    pub(crate) fn streams(&self) -> Vec<Value> {
        let last = self.told("metrics").pop();
        last.and_then(|line| line["streams"].as_array().cloned()).unwrap_or_default()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(lines: &Arc<Mutex<Vec<Value>>>, grpc: u64, http: u64) -> Option<Child> {
    let gateway = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = gateway.parent()?.join("target/venv-otlp/bin/python");
    if !python.is_file() {
        left_out("no OpenTelemetry for Python is installed in target/venv-otlp");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(gateway.join("tests/otlp/receiver.py"));
    command.args([grpc.to_string(), http.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
    let out = child.stdout.take().expect("it is piped");
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or(Value::Null);
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    Some(child)
}

/// The binary, told of a receiver by OpenTelemetry's variables.
pub(crate) fn told_of(url: &str, way: Way) -> Command {
    let mut command = Command::new(&*crate::stage::FLEETFOOT);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let protocol = if way == Way::Grpc { "grpc" } else { "http/protobuf" };
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=town");
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "200");
    command
}

/// The demo's shop as a process of its own; killed when dropped.
pub(crate) struct Shop {
    child: Child,
    _folder: Folder,
    pub(crate) address: std::net::SocketAddr,
}

impl Shop {
    /// Starts one that sends its spans to a receiver.
    pub(crate) fn start(url: &str, way: Way, more: &[&str]) -> Self {
        let folder = Folder::new();
        let mut command = told_of(url, way);
        command.args(["shop", "--listen", "127.0.0.1:0", "--products", "200"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut all = String::new();
        let address = loop {
            let mut line = String::new();
            let read = said.read_line(&mut line).expect("text");
            assert!(read > 0, "the shop did not open: {all}");
            all.push_str(&line);
            let address =
                line.split("http://").nth(1).map(|rest| rest.trim().trim_end_matches('/'));
            if let Some(address) = address.and_then(|text| text.split_whitespace().next()) {
                break address.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            }
        };
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let _ = writeln!(std::io::stderr(), "shop: {line}");
            }
        });
        Self { child, _folder: folder, address }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
