//! The page of metrics as a real Prometheus reads it, in each format, and as `promtool` judges it.

use crate::stage::{one_thread, start};
use scenario::gateway::Folder;
use scenario::server::{Server, left_out, wait_until};
use scenario::{Client, Gateway, Origin};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A gateway that has answered twenty requests, of which one was recorded by its caller.
fn busy(origin: &Origin) -> Gateway {
    let gateway = start(&one_thread(origin));
    let mut client = gateway.client();
    (0..19).for_each(|_| assert_eq!(client.get("/").status, 200));
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {TRACEPARENT}\r\n\r\n"));
    assert_eq!(client.response("GET").status, 200);
    gateway
}

/// Asks for the page as one that prefers this.
fn page(gateway: &Gateway, accept: &str) -> scenario::Response {
    let mut client = Client::connect(gateway.admin());
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"));
    client.response("GET")
}

const OPEN: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                        encoding=delimited,text/plain;q=0.5";

#[test]
fn each_gets_the_format_that_he_asks_for() {
    let origin = Origin::start();
    let gateway = busy(&origin);
    for (accept, kind) in [
        ("*/*", "text/plain; version=0.0.4"),
        (OPEN, "application/openmetrics-text; version=1.0.0"),
        (PROTOBUF, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"),
    ] {
        let page = page(&gateway, accept);
        let told = page.field("content-type").unwrap_or_default();
        assert!(page.status == 200 && told.starts_with(kind), "{accept}: {told}");
    }
    // What was kept is an exemplar as soon as the reporter has heard of it.
    let trace = &TRACEPARENT[3..35];
    wait_until("an exemplar", || page(&gateway, OPEN).text().contains(trace));
    assert!(page(&gateway, OPEN).text().ends_with("# EOF\n"));
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let origin = Origin::start();
    let gateway = busy(&origin);
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.stderr(Stdio::piped()).spawn() else {
        return left_out("no promtool is installed");
    };
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(gateway.metrics().as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// A Prometheus that scrapes this gateway four times a second.
fn prometheus(gateway: &Gateway, features: &'static str) -> Option<Server> {
    let settings = format!(
        "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}\n\
         scrape_configs:\n- job_name: fleetfoot\n  static_configs:\n  - targets: [\"{}\"]\n",
        gateway.admin()
    );
    let arguments = move |port: u16, folder: &Folder| {
        let file = folder.write("prometheus.yml", &settings);
        vec![
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            format!("--enable-feature=exemplar-storage{features}"),
        ]
    };
    Server::start("prometheus", Box::new(arguments))
}

/// The `data` of an answer of Prometheus' API.
fn ask(server: &Server, target: &str) -> Value {
    let mut client = Client::connect(server.address());
    client.send(format!("GET /api/v1/{target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let response = client.response("GET");
    let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    answer["data"].clone()
}

/// The number that a query comes to.
fn query(server: &Server, query: &str) -> Option<f64> {
    let data = ask(server, &format!("query?query={}", encoded(query)));
    data["result"][0]["value"][1].as_str()?.parse().ok()
}

/// A query as a part of a URL.
fn encoded(query: &str) -> String {
    let byte = |b: u8| match b {
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    query.bytes().map(byte).collect()
}

fn exemplar(server: &Server) -> bool {
    let data = ask(
        server,
        "query_exemplars?query=fleetfoot_request_seconds_bucket&start=1&end=99999999999",
    );
    data.to_string().contains(&TRACEPARENT[3..35])
}

#[test]
fn prometheus_reads_open_metrics_with_exemplars() {
    let origin = Origin::start();
    let gateway = busy(&origin);
    let Some(server) = prometheus(&gateway, "") else { return };
    let is =
        |of: &str, value: f64| query(&server, of).is_some_and(|found| (found - value).abs() < 0.01);
    wait_until("a scrape", || is("sum(fleetfoot_requests_total)", 20.0));
    assert!(is("fleetfoot_request_seconds_bucket{le=\"+Inf\",route=\"*\"}", 20.0));
    assert!(is("up", 1.0));
    wait_until("an exemplar", || exemplar(&server));
    // Bounds are written alike in all formats that it reads.
    assert!(is("count(fleetfoot_request_seconds_bucket{le=\"1.0\",route=\"*\"})", 1.0));
}

#[test]
fn prometheus_reads_native_histograms() {
    let origin = Origin::start();
    let gateway = busy(&origin);
    let Some(server) = prometheus(&gateway, ",native-histograms") else { return };
    let count = "histogram_count(fleetfoot_request_seconds{route=\"*\"})";
    wait_until("a native histogram", || query(&server, count).is_some_and(|n| n > 19.0));
    assert!(query(&server, "sum(fleetfoot_requests_total)").is_some_and(|n| n > 19.0));
    // What it makes of the buckets is what we say ourselves, to one bucket.
    let median = "histogram_quantile(0.5,fleetfoot_request_seconds{route=\"*\"})";
    let median = query(&server, median).expect("a median");
    let sum = query(&server, "histogram_sum(fleetfoot_request_seconds{route=\"*\"})");
    let most = sum.expect("a sum");
    assert!(median > 1e-6 && median <= most, "{median} of {most}");
    let phase = "histogram_count(fleetfoot_phase_seconds{phase=\"server\",route=\"*\"})";
    assert!(query(&server, phase).is_some_and(|n| n > 0.0));
}

#[test]
fn prometheus_understands_all_that_the_dashboard_asks() {
    let origin = Origin::start();
    let gateway = busy(&origin);
    let Some(server) = prometheus(&gateway, "") else { return };
    wait_until("a scrape", || query(&server, "fleetfoot_threads").is_some());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/grafana.json");
    let dashboard = std::fs::read_to_string(file).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let asked: Vec<&str> = targets.filter_map(|target| target["expr"].as_str()).collect();
    assert!(asked.len() > 20, "{asked:?}");
    for expression in asked {
        let mut plain = expression.replace("$__rate_interval", "1m");
        for variable in ["$route", "$service", "$instance"] {
            plain = plain.replace(variable, ".*");
        }
        let data = ask(&server, &format!("query?query={}", encoded(&plain)));
        assert_eq!(data["resultType"], "vector", "{plain}");
    }
}
