//! `offload`: what accepting a job costs, beside the disk's own sync and beside brokers that are asked
//! for the same promise. `bench/offload` starts it.
//!
//! Everybody shares two cores: the one who is measured, whoever it needs, and the load. Jobs are kept
//! and not delivered, so that no service takes a part of them.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::Moment;
use bench::scene::Gateway;
use bytes::Bytes;
use clap::Parser;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use load::{Pace, Plan, Report, Request};
use scenario::nats::Nats;
use scenario::rabbitmq::Rabbitmq;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What accepting a job costs.
#[derive(Parser)]
#[command(name = "bench/offload")]
struct Arguments {
    /// rate, alone, peers, waiting; all of them if none is given.
    scenes: Vec<String>,
    /// Fleetfoot.
    #[arg(long, env = "FLEETFOOT", value_name = "PATH")]
    fleetfoot: Option<PathBuf>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Measurements of each, of which the median is told.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Clients that each wait for their answer.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Jobs that wait in `waiting`.
    #[arg(long, default_value_t = 1_000_000)]
    jobs: u64,
}

/// Bytes of a body.
const BODY_BYTES: usize = 1_024;
/// Syncs that are timed.
const SYNCS: usize = 2_000;

fn main() -> ExitCode {
    let options = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::from(2) };
    match runtime.block_on(play(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench/offload: {error}");
            ExitCode::from(2)
        }
    }
}

async fn play(options: &Arguments) -> Result<()> {
    let beside = std::env::current_exe()?.with_file_name("fleetfoot");
    let binary = options.fleetfoot.clone().unwrap_or(beside);
    let all = ["rate", "alone", "peers", "waiting"];
    if let Some(wrong) = options.scenes.iter().find(|scene| !all.contains(&scene.as_str())) {
        return Err(format!("no scene is called {wrong}; there are {}", all.join(", ")).into());
    }
    let wants =
        |scene: &str| options.scenes.is_empty() || options.scenes.iter().any(|s| s == scene);
    let sync = syncs()?;
    println!("fdatasync of {BODY_BYTES} bytes: p50 {} ms, p99 {} ms", ms(sync.0), ms(sync.1));
    println!();
    println!("| | accepted/s | p50 ms | p99 ms | p99.9 ms | p50 in syncs | p99 in syncs |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    if wants("rate") || wants("peers") {
        let gateway = gateway(&binary).await?;
        let report = measure(options, options.clients, gateway.address).await?;
        line("Fleetfoot, fsync", options.clients, &report, sync.0);
    }
    if wants("alone") {
        let gateway = gateway(&binary).await?;
        let report = measure(options, 1, gateway.address).await?;
        line("Fleetfoot, fsync", 1, &report, sync.0);
    }
    if wants("peers") {
        let nats = Nats::start();
        let front = nats_front(&nats.url()).await?;
        line(
            "NATS JetStream, sync always",
            options.clients,
            &measure(options, options.clients, front).await?,
            sync.0,
        );
        drop(nats);
        let rabbit = Rabbitmq::start();
        let front = rabbit_front(&rabbit.url()).await?;
        line(
            "RabbitMQ, quorum and confirms",
            options.clients,
            &measure(options, options.clients, front).await?,
            sync.0,
        );
    }
    if wants("waiting") {
        println!();
        waiting(&binary, options).await?;
    }
    Ok(())
}

/// How long this disk takes to make a kilobyte durable, in a file that is there already.
fn syncs() -> Result<(Duration, Duration)> {
    let path = std::env::temp_dir().join(format!("fleetfoot-sync-{}", std::process::id()));
    let mut file = fs::File::options().create_new(true).read(true).write(true).open(&path)?;
    file.write_all(&vec![0; 16 << 20])?;
    file.sync_all()?;
    let bytes = [7; BODY_BYTES];
    let mut took = Vec::with_capacity(SYNCS);
    for at in 0..SYNCS {
        let begun = Moment::now();
        file.write_all_at(&bytes, (at * BODY_BYTES) as u64)?;
        file.sync_data()?;
        took.push(Moment::now().since(begun));
    }
    fs::remove_file(path)?;
    took.sort_unstable();
    Ok((took[SYNCS / 2], took[SYNCS * 99 / 100]))
}

/// A gateway that keeps every POST and delivers none.
async fn gateway(binary: &Path) -> Result<Gateway> {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let settings = format!(
        "[service.origin]\nservers = [\"http://{nobody}\"]\n\
         [offload]\nstore = \"@DIR@/jobs\"\njobs_max = 10000000\nbytes_max = \"16 GiB\"\n\
         [queue.default]\nrate = \"1/h\"\nat_once = 1\n\
         [[route]]\nmatch = \"POST /*\"\nto = \"origin\"\noffload = true\n"
    );
    Ok(Gateway::start_with(binary, &settings).await?)
}

fn plan(address: SocketAddr, clients: usize, seconds: Duration) -> Plan {
    let mut request = Request::get("job", 1, vec!["/jobs/{n}".to_owned()]);
    request.method = Method::POST;
    request.body = Bytes::from(vec![b'x'; BODY_BYTES]);
    Plan {
        targets: vec![address.into()],
        pace: Pace::Closed { clients },
        seed: 1,
        warm_up: Duration::from_secs(1),
        duration: seconds,
        timeout: Duration::from_secs(10),
        objective: Duration::from_secs(1),
        connections_max: clients,
        reuse: true,
        protocol: load::Protocol::Http1,
        threads: 1,
        requests: vec![request],
        sequence: None,
    }
}

/// The median of some rounds, by rate.
async fn measure(options: &Arguments, clients: usize, address: SocketAddr) -> Result<Report> {
    let mut reports = Vec::new();
    for _ in 0..options.rounds {
        let plan = plan(address, clients, Duration::from_secs(options.seconds));
        let report = load::run(&plan, |_| {}).await?;
        if report.failed() > 0 {
            return Err(
                format!("{} requests failed: {:?}", report.failed(), report.failures).into()
            );
        }
        reports.push(report);
    }
    reports.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
    Ok(reports.swap_remove(options.rounds / 2))
}

fn line(name: &str, clients: usize, report: &Report, sync: Duration) {
    let quantile = |share| report.latency.quantile(share);
    let syncs = |share| quantile(share).as_secs_f64() / sync.as_secs_f64();
    println!(
        "| {name}, {clients} clients | {:.0} | {} | {} | {} | {:.1} | {:.1} |",
        report.per_second(),
        ms(quantile(0.5)),
        ms(quantile(0.99)),
        ms(quantile(0.999)),
        syncs(0.5),
        syncs(0.99),
    );
}

fn ms(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

type Kept = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A front that answers 202 when the broker has the body.
async fn front(keep: Arc<dyn Fn(Bytes) -> Kept + Send + Sync>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _best_effort = stream.set_nodelay(true);
            let keep = Arc::clone(&keep);
            let service = service_fn(move |request: http::Request<Incoming>| {
                let keep = Arc::clone(&keep);
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let status = match keep(body).await {
                        Ok(()) => StatusCode::ACCEPTED,
                        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
                    };
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.status_mut() = status;
                    Ok::<_, hyper::Error>(response)
                }
            });
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _gone = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn nats_front(url: &str) -> Result<SocketAddr> {
    let client = async_nats::connect(url).await?;
    let jetstream = async_nats::jetstream::new(client);
    let stream = async_nats::jetstream::stream::Config {
        name: "jobs".to_owned(),
        subjects: vec!["jobs".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await?;
    front(Arc::new(move |body| {
        let jetstream = jetstream.clone();
        Box::pin(async move {
            jetstream.publish("jobs", body).await?.await?;
            Ok(())
        })
    }))
    .await
}

async fn rabbit_front(url: &str) -> Result<SocketAddr> {
    let connection =
        lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("jobs".into(), durable, arguments).await?;
    let held = Arc::new(connection);
    front(Arc::new(move |body| {
        let (channel, _alive) = (channel.clone(), Arc::clone(&held));
        Box::pin(async move {
            let properties = lapin::BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let confirm = channel
                .basic_publish("".into(), "jobs".into(), options, &body, properties)
                .await?
                .await?;
            match confirm {
                lapin::Confirmation::Ack(None) => Ok(()),
                other => Err(format!("{other:?}").into()),
            }
        })
    }))
    .await
}

/// Many jobs that wait: what they take, and how long a start does.
async fn waiting(binary: &Path, options: &Arguments) -> Result<()> {
    let mut gateway = gateway(binary).await?;
    let warm = plan(gateway.address, options.clients, Duration::from_secs(1));
    load::run(&warm, |_| {}).await?;
    let before = (accepted(&gateway)?, gateway.resident()?.0);
    while accepted(&gateway)? < before.0 + options.jobs {
        let mut plan = plan(gateway.address, options.clients, Duration::from_secs(2));
        plan.warm_up = Duration::ZERO;
        load::run(&plan, |_| {}).await?;
    }
    // What was accepted in the last seconds has left memory that is only lent.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let jobs = accepted(&gateway)? - before.0;
    let grown = gateway.resident()?.0.saturating_sub(before.1);
    println!("{jobs} jobs wait: {:.0} bytes of memory each", grown as f64 / jobs as f64);
    let location = one(gateway.address).await?;
    for (how, gently) in [("killed", false), ("ended", true)] {
        let begun = Moment::now();
        gateway.restart(gently).await?;
        let took = Moment::now().since(begun);
        println!("{how}: accepts again after {:.2} s", took.as_secs_f64());
    }
    let resident = gateway.resident()?;
    println!("after a start: {:.0} bytes of memory each, all in", resident.0 as f64 / jobs as f64);
    let mut asked = plan(gateway.address, 1, Duration::from_secs(2));
    asked.requests = vec![Request::get("status", 1, vec![location])];
    let report = load::run(&asked, |_| {}).await?;
    println!(
        "status by id, {} times: p50 {} ms, p99 {} ms, p99.9 {} ms ({} failed)",
        report.count,
        ms(report.latency.quantile(0.5)),
        ms(report.latency.quantile(0.99)),
        ms(report.latency.quantile(0.999)),
        report.failed(),
    );
    Ok(())
}

/// The address of one more job's status.
async fn one(address: SocketAddr) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream
        .write_all(
            b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
    Ok(location.ok_or_else(|| format!("no 202: {answer}"))?.to_owned())
}

/// How many requests of status 202 a gateway has answered.
fn accepted(gateway: &Gateway) -> Result<u64> {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(gateway.admin)?;
    stream.write_all(
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", gateway.admin)
            .as_bytes(),
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let is = |line: &&str| {
        line.starts_with("fleetfoot_requests_total{") && line.contains("status=\"202\"")
    };
    let all =
        page.lines().filter(is).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(all.sum())
}
