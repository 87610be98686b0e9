//! The command line, and the verbs that answer and end.

use crate::practice::{DemoFlags, ShopFlags};
use clap::{CommandFactory, Parser, Subcommand};
use gateway::top;
use monitor::settings::AccessLog;
use std::io::{self, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A latency gateway: put it in front of a slow backend.
#[derive(Debug, Parser)]
#[command(name = "fleetfoot", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the gateway
    Run(RunFlags),
    /// Check a settings file: every mistake at once
    Check {
        /// The settings file
        #[arg(default_value = "fleetfoot.toml")]
        config: PathBuf,
    },
    /// Tell a running gateway to read its settings again
    Reload {
        /// Its admin listener
        #[arg(long, default_value = "127.0.0.1:9900")]
        admin: String,
    },
    /// Forget what is cached, here and on every gateway that shares the cache
    Purge(PurgeFlags),
    /// Say what would happen to a request, and why
    Explain {
        /// Its method
        method: String,
        /// Its URL, or its path alone
        url: String,
        /// The settings file
        #[arg(long, default_value = "fleetfoot.toml")]
        config: PathBuf,
    },
    /// Show where the time goes in a running gateway: the live page, in a terminal
    Top(TopFlags),
    /// Ask a running gateway why its slow requests are slow
    Why {
        /// Its admin listener
        #[arg(long, default_value = "127.0.0.1:9900")]
        admin: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List jobs that wait or are dead; try again, take back, replay
    Jobs(Box<crate::jobs_command::JobsFlags>),
    /// Show the main job in miniature: a slow shop, measured straight and through the gateway
    Demo(DemoFlags),
    /// Measure: latency at a rate, two targets against each other, a load-latency curve
    Bench(Box<gateway::bench::Flags>),
    /// Run the demo's slow shop: a backend to practise on
    Shop(ShopFlags),
    /// Print the JSON Schema of the settings file, for editors
    Schema,
    /// Print the version
    Version,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// How to run.
#[derive(Debug, clap::Args)]
pub(crate) struct RunFlags {
    /// The settings file [default: fleetfoot.toml, unless --to is given]
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub(crate) config: Option<PathBuf>,
    /// A server to put the gateway in front of; more of them take turns
    #[arg(long, value_name = "URL")]
    pub(crate) to: Vec<String>,
    /// Where to listen [default: 127.0.0.1:8080, or what the settings file says]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
    /// Where the admin listener is, or `off` [default: 127.0.0.1:9900, or what the file says]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
}

/// What to forget.
#[derive(Debug, clap::Args)]
pub(crate) struct PurgeFlags {
    /// Everything with this tag
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// This URL, in all its variants
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Everything under this host and path
    #[arg(long, value_name = "HOST/PATH")]
    prefix: Vec<String>,
    /// Everything of this host
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Keep it to be served stale until it has been fetched anew
    #[arg(long)]
    soft: bool,
    /// Its admin listener
    #[arg(long, default_value = "127.0.0.1:9900")]
    admin: String,
    /// The token that `purge_token` of `[cache]` asks for
    #[arg(long, env = "FLEETFOOT_PURGE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// How to show a running gateway.
#[derive(Debug, clap::Args)]
pub(crate) struct TopFlags {
    /// Its admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    admin: String,
    /// Print it once and end, as it does without a terminal
    #[arg(long)]
    once: bool,
    /// Print it once as JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// A verb that failed: what to say, and with which code to exit. Mistakes in what the user gave us
/// are 2, all else is 1.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Failure {
    pub(crate) fn mistake(text: impl Into<String>) -> Self {
        Self { text: text.into().trim_end().to_owned(), code: 2 }
    }

    pub(crate) fn trouble(text: impl Into<String>) -> Self {
        Self { text: text.into().trim_end().to_owned(), code: 1 }
    }
}

/// What a verb comes to.
pub(crate) type Done = Result<ExitCode, Failure>;

pub(crate) fn check(config: &Path) -> Done {
    let mut settings = settings::load(config).map_err(mistakes)?;
    let cache = std::sync::Arc::new(cache::Cache::in_memory(&settings.cache));
    // Whoever checks may be somebody else than who will run: the log is not his to create.
    if let AccessLog::File(path) = &settings.monitor.access_log
        && !path.exists()
        && path.parent().is_some_and(Path::is_dir)
    {
        settings.monitor.access_log = AccessLog::Off;
    }
    gateway::house::Snapshot::new(settings.clone(), cache, (None, std::sync::Arc::default()), None)
        .map_err(|error| Failure::mistake(gateway::gateway::chain(&error)))?;
    let (services, routes) = (settings.services.len(), settings.routes.len());
    say(&format!("{}: fine ({services} services, {routes} routes)\n", config.display()))
}

pub(crate) fn explain(config: &Path, method: &str, url: &str) -> Done {
    let settings = settings::load(config).map_err(mistakes)?;
    say(&gateway::explain::explain(&settings, method, url).map_err(Failure::mistake)?)
}

pub(crate) fn schema() -> Done {
    say(&format!("{:#}\n", settings::json_schema()))
}

pub(crate) fn version() -> Done {
    say(&format!("fleetfoot {}\n", env!("CARGO_PKG_VERSION")))
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fleetfoot", &mut text);
    say(&String::from_utf8_lossy(&text))
}

/// All mistakes of a settings file. The report names the file itself.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(crate) fn mistakes(report: settings::Report) -> Failure {
    let n = report.mistakes().len();
    let s = if n == 1 { "" } else { "s" };
    Failure::mistake(format!("{n} mistake{s} in the settings\n{report}"))
}

pub(crate) fn say(text: &str) -> Done {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // `fleetfoot schema | head` is nobody's mistake.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::trouble(error.to_string())),
    }
}

pub(crate) fn reload(admin: &str) -> Done {
    let (status, body) = post(admin, "/reload", "", "")?;
    match status.as_str() {
        "200" => say(&body),
        "422" => Err(Failure::mistake(body)),
        _ => Err(stranger(admin)),
    }
}

pub(crate) fn purge(flags: &PurgeFlags) -> Done {
    let what = serde_json::json!({
        "tags": flags.tag,
        "urls": flags.url,
        "prefixes": flags.prefix,
        "hosts": flags.host,
        "all": flags.all,
        "soft": flags.soft,
    });
    let token = flags.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
    let (status, body) =
        post(&flags.admin, "/purge", token.as_deref().unwrap_or_default(), &what.to_string())?;
    match status.as_str() {
        "200" => say(&body),
        "400" | "401" | "413" => Err(Failure::mistake(body)),
        _ => Err(stranger(&flags.admin)),
    }
}

pub(crate) fn top(flags: &TopFlags) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::trouble(format!("no runtime: {error}")))?;
    let trouble = |error: top::TopError| Failure::trouble(error.to_string());
    if flags.json {
        return say(&runtime.block_on(top::once(&flags.admin)).map_err(trouble)?);
    }
    if flags.once || !top::terminal::is_there() {
        let colour = io::stdout().is_terminal();
        let columns = if colour { top::terminal::size().0 } else { PLAIN_COLUMNS };
        return say(&runtime
            .block_on(top::text(&flags.admin, colour, columns))
            .map_err(trouble)?);
    }
    runtime.block_on(top::show(&flags.admin)).map_err(trouble)?;
    // A thread may still wait for a key.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Width of what is printed without a terminal.
const PLAIN_COLUMNS: usize = 160;

pub(crate) fn why(admin: &str, json: bool) -> Done {
    let path = if json { "/why.json" } else { "/why" };
    let (status, body) = speak(admin, ("GET", path), "", "")?;
    if status == "200" { say(&body) } else { Err(stranger(admin)) }
}

fn stranger(admin: &str) -> Failure {
    Failure::trouble(format!("{admin} is no admin listener of a gateway"))
}

fn post(address: &str, path: &str, fields: &str, body: &str) -> Result<(String, String), Failure> {
    speak(address, ("POST", path), fields, body)
}

/// One request, spoken by hand: the answer is ours, short, and closed by the connection's end. Answers
/// its status and body.
pub(crate) fn speak(
    address: &str,
    (method, path): (&str, &str),
    fields: &str,
    body: &str,
) -> Result<(String, String), Failure> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const ANSWER_BYTES_MAX: u64 = 1 << 20;
    let exchange = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n{fields}\
             Connection: close\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| {
        Failure::trouble(format!(
            "no gateway answers at {address}: {error}\nhint: --admin names its admin listener"
        ))
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}
