//! What the user types behind `fleetfoot bench`.

use super::rates::{self, Rates};
use std::path::PathBuf;
use std::time::Duration;

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Open loop unless --clients is given: requests leave at their times whatever became of the ones before,
and latency counts from those times. A request that fails counts as the whole timeout.

  fleetfoot bench http://127.0.0.1:8080/ --rate 500
  fleetfoot bench http://127.0.0.1:8080/ --rate 100..1000/100 --step 10s --html curve.html
  fleetfoot bench http://127.0.0.1:3000/home --against http://127.0.0.1:8080/home --html both.html
  fleetfoot bench --log access.log --to http://127.0.0.1:8080 --recorded 2")]
#[expect(clippy::struct_excessive_bools, reason = "a flag is one")]
pub struct Flags {
    /// What to ask for; `URL*3` three times as often as another
    #[arg(value_name = "URL", required_unless_present_any = ["urls", "log", "a"])]
    pub targets: Vec<String>,
    /// A file of URLs, one a line, with weights as above
    #[arg(long, value_name = "FILE", conflicts_with_all = ["targets", "log"])]
    pub urls: Option<PathBuf>,
    /// An access log, ours or in the common or combined format: its requests in its order
    #[arg(long, value_name = "FILE", requires = "to", conflicts_with = "targets")]
    pub log: Option<PathBuf>,
    /// Where to send what a log, or a file of paths, names
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// Send a log's requests at its times, K times as fast
    #[arg(long, value_name = "K", num_args = 0..=1, default_missing_value = "1", requires = "log",
        conflicts_with_all = ["rate", "clients", "against"])]
    pub recorded: Option<f64>,
    /// Send a log's requests of all methods; otherwise GET and HEAD alone
    #[arg(long, requires = "log")]
    pub any_method: bool,
    /// Weights of the URLs, in their order
    #[arg(long, value_name = "N", value_delimiter = ',', requires = "targets")]
    pub weight: Vec<u32>,

    /// Requests a second: `500`, or steps `100..1000/100`
    #[arg(long, value_name = "RATE", default_value = "100", value_parser = rates::rates)]
    pub rate: Rates,
    /// How long each step takes
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = rates::time)]
    pub step: Duration,
    /// How requests are spread over the second
    #[arg(long, value_enum, default_value = "poisson")]
    pub arrivals: Spread,
    /// Closed loop: so many clients that each wait for an answer before they ask again
    #[arg(long, value_name = "N", conflicts_with = "rate",
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub clients: Option<u32>,
    /// How long to measure; of a comparison, each round
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = rates::time)]
    pub duration: Duration,
    /// Sent before that and not counted [default: 2s, at most a fifth of the time measured]
    #[arg(long, value_name = "TIME", value_parser = rates::time_or_none)]
    pub warm_up: Option<Duration>,
    /// When a request is given up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = rates::time)]
    pub timeout: Duration,
    /// Most connections at once [default: 512; over HTTP/2 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: Option<u32>,
    /// A new connection for each request
    #[arg(long)]
    pub no_reuse: bool,
    /// Threads that send [default: 1; from 8 cores on a quarter of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: Option<u16>,
    /// The same number makes the same requests at the same times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// The method [default: GET, with a body POST]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,
    /// A field, as `Name: value`; the letter n in braces becomes the request's number, here, in paths and the body
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub header: Vec<String>,
    /// The body, or a file that holds it
    #[arg(short = 'd', long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,
    /// Classes of status that are no error
    #[arg(long, value_name = "CLASSES", default_value = "2,3", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=5))]
    pub expect: Vec<u16>,
    /// Speak HTTP/2; in the clear with prior knowledge
    #[arg(long)]
    pub http2: bool,
    /// Believe any certificate
    #[arg(long)]
    pub insecure: bool,
    /// Whom to believe, instead of the system's authorities
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,

    /// Compare: measure this side B in turn with side A, which the URL is
    #[arg(long, visible_alias = "b", value_name = "URL")]
    pub against: Option<String>,
    /// Side A, said in so many words
    #[arg(long, value_name = "URL", requires = "against", conflicts_with_all = ["targets", "urls", "log"])]
    pub a: Option<String>,
    /// Rounds of each side of a comparison
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..=200))]
    pub rounds: u32,

    /// Write the report as JSON, too; `-`: to standard output, instead of the text
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Write the report as one HTML page, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Say nothing while it runs
    #[arg(short, long)]
    pub quiet: bool,
}

/// How requests are spread over the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spread {
    /// As by people who know nothing of each other
    Poisson,
    /// At equal distances
    Uniform,
}
