//! Lines of what was told: the same blocks as the page, in its order.
//!
//! Pure: values in, lines out. What clients have sent is shown without anything that a terminal
//! would follow.

use super::fall;
use super::view::{ORDERS, View};
use monitor::Phase;
use serde_json::Value;
use std::fmt::Write;

/// What was told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// By whom.
    pub admin: &'t str,
    /// `/live.json`.
    pub live: &'t Value,
    /// `/why.json`, if there is one.
    pub why: Option<&'t Value>,
    /// Why there is nothing newer.
    pub lost: Option<&'t str>,
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As all text.
    Plain,
    /// A heading or a figure.
    Bold,
    /// Less important.
    Soft,
    /// Wrong.
    Bad,
    /// To be looked at.
    Warn,
    /// A phase, in its colour.
    Phase(Phase),
    /// Marked.
    Chosen,
}

impl Style {
    /// The terminal's code for it.
    fn code(self) -> String {
        match self {
            Self::Plain => "0".to_owned(),
            Self::Bold => "1".to_owned(),
            Self::Soft => "38;5;245".to_owned(),
            Self::Bad => "1;38;5;203".to_owned(),
            Self::Warn => "38;5;214".to_owned(),
            Self::Phase(phase) => format!("38;5;{}", colour(phase)),
            Self::Chosen => "7".to_owned(),
        }
    }
}

/// The colour of a phase, of the 256: as near to the page's as they come.
const fn colour(phase: Phase) -> u8 {
    match phase {
        Phase::Receive => 109,
        Phase::Gateway => 68,
        Phase::Lag => 98,
        Phase::Queue => 185,
        Phase::Cache => 36,
        Phase::Offload => 179,
        Phase::Collapse => 117,
        Phase::Pool => 137,
        Phase::Resolve => 149,
        Phase::Connect => 74,
        Phase::Tls => 105,
        Phase::Send => 187,
        Phase::Server => 208,
        Phase::Db => 160,
        Phase::ServerCache => 29,
        Phase::Transfer => 169,
        Phase::Write => 246,
        Phase::Retry => 125,
        Phase::Hedge => 217,
    }
}

/// One line: pieces of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<(Style, String)>);

impl Line {
    /// One piece.
    pub fn of(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    /// One more piece.
    #[must_use]
    pub fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// The text, cut to so many columns, in colour or not.
    pub fn text(&self, columns: usize, colour: bool) -> String {
        let mut text = String::new();
        let mut left = columns;
        for (style, piece) in &self.0 {
            let piece: String = piece.chars().take(left).collect();
            left -= piece.chars().count();
            if colour && *style != Style::Plain && !piece.is_empty() {
                let _ = write!(text, "\x1b[{}m{piece}\x1b[0m", style.code());
            } else {
                text += &piece;
            }
        }
        if colour { text } else { text.trim_end().to_owned() }
    }
}

/// All lines, to fit into so many columns and rows.
pub fn frame(told: &Told<'_>, view: &View, (columns, rows): (usize, usize)) -> Vec<Line> {
    let mut lines = head(told);
    if let Some(one) = &view.one {
        lines.extend(fall::lines(one, columns));
        return footed(lines, rows, "esc back  q back");
    }
    if told.live["served"] == 0 {
        lines.push(Line::default());
        lines.push(Line::of(Style::Bold, "no traffic yet"));
        let listen = told.live["listen"][0].as_str().unwrap_or_default();
        lines.push(Line::of(Style::Plain, format!("send a request through it: curl {listen}/")));
        lines.push(Line::of(Style::Plain, "nothing to send? fleetfoot demo starts a slow shop"));
    } else {
        lines.extend(fast(told.live, view));
        lines.extend(times(&told.live["time"], columns));
        lines.extend(why(told.why, rows));
    }
    // What is left is shared: a third each for routes, servers and kept requests.
    let left = rows.saturating_sub(lines.len() + 2);
    let each = if rows == usize::MAX { usize::MAX } else { (left / 3).saturating_sub(1).max(1) };
    lines.extend(routes(told.live, view, each));
    lines.extend(jobs(&told.live["jobs"]));
    lines.extend(servers(told.live, view, each));
    let left = rows.saturating_sub(lines.len() + 2);
    lines.extend(kept(told.live, view, if rows == usize::MAX { usize::MAX } else { left }));
    let filter = match (view.writing, view.filter.as_str()) {
        (true, filter) => format!("/{filter}_  enter done  esc none"),
        (false, "") => "q quit  s sort  / filter  ↑↓ choose  enter waterfall".to_owned(),
        (false, filter) => format!("filter: {filter}  esc none  q quit  s sort"),
    };
    footed(lines, rows, &filter)
}

/// The last row tells the keys; without a terminal there are none.
fn footed(mut lines: Vec<Line>, rows: usize, keys: &str) -> Vec<Line> {
    if rows < usize::MAX {
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), Line::default());
        lines.push(Line::of(Style::Soft, keys));
    }
    lines
}

fn head(told: &Told<'_>) -> Vec<Line> {
    let live = told.live;
    let version = live["version"].as_str().unwrap_or_default();
    let up = live["uptime_s"].as_u64().unwrap_or(0);
    let line = Line::of(Style::Bold, format!("fleetfoot {version}"));
    let mut lines = vec![line.and(Style::Soft, format!(" at {}, up {}", told.admin, span(up)))];
    if let Some(why) = told.lost {
        let why = why.lines().next().unwrap_or_default();
        lines.push(Line::of(Style::Bad, format!("lost: {why}; trying again")));
    }
    for notice in live["notices"].as_array().into_iter().flatten().take(4) {
        let style = if notice["level"] == "bad" { Style::Bad } else { Style::Warn };
        lines.push(Line::of(style, format!("! {}", plain(&notice["text"]))));
    }
    lines
}

fn fast(live: &Value, view: &View) -> Vec<Line> {
    let total = &live["total"];
    let over = &total["percentiles_over_s"];
    let mut first = Line::of(Style::Soft, "requests ");
    first = first.and(Style::Bold, format!("{}/s", digits(number(&total["rps"]))));
    for (i, name) in ["p50", "p95", "p99"].into_iter().enumerate() {
        first = first.and(Style::Soft, format!("  {name} "));
        first = first.and(Style::Bold, millis(&total[format!("{name}_ms")]));
        let time = over[i].as_u64().filter(|time| *time > 10);
        first =
            first.and(Style::Soft, time.map_or_else(String::new, |t| format!(" ({})", span(t))));
    }
    first = first.and(Style::Soft, "  max ").and(Style::Bold, millis(&total["max_ms"]));
    let errors = total["error_share"].as_f64().unwrap_or(0.0);
    let style = if errors > 0.001 { Style::Bad } else { Style::Bold };
    let mut second = Line::of(Style::Soft, "errors ").and(style, share(&total["error_share"]));
    for (name, text) in [
        ("cache hits", share(&total["hit_share"])),
        ("to services", share(&total["origin_share"])),
        ("own time", micros(&total["own_us"])),
        ("own CPU", micros(&total["cpu_us"])),
    ] {
        second = second.and(Style::Soft, format!("  {name} ")).and(Style::Bold, text);
    }
    let mut lines = vec![title("IS IT FAST?"), first, second];
    if view.past.len() > 1 {
        let rates: Vec<_> = view.past.iter().map(|(rate, _)| Some(*rate)).collect();
        let slow: Vec<_> = view.past.iter().map(|(_, slow)| *slow).collect();
        let line = Line::of(Style::Soft, "req/s ").and(Style::Plain, spark(&rates));
        lines.push(line.and(Style::Soft, "  p99 ").and(Style::Plain, spark(&slow)));
    }
    for objective in live["objectives"].as_array().into_iter().flatten() {
        let text = ["route", "objective", "what", "text"].map(|name| plain(&objective[name]));
        let text: Vec<_> = text.into_iter().filter(|text| !text.is_empty()).collect();
        let style = if objective["ok"] == false { Style::Bad } else { Style::Plain };
        lines.push(Line::of(style, format!("objective {}", text.join(" "))));
    }
    lines
}

fn times(time: &Value, columns: usize) -> Vec<Line> {
    let mut lines = vec![title("WHERE DOES THE TIME GO?")];
    let bands = [&time["middle"], &time["tail"]];
    for band in bands.into_iter().filter(|band| band.is_object()) {
        let whole = number(&band["ms"]).max(1e-9);
        let part = |phase: &Phase| number(&band["parts"][phase.name()]);
        let width = columns.min(120).saturating_sub(18);
        let name = band["name"].as_str().unwrap_or_default();
        let mut bar = Line::of(Style::Bold, format!("{name} {:>9} ", millis(&band["ms"])));
        let mut words = Line::of(Style::Plain, " ".repeat(14));
        let (mut drawn, mut sum) = (0, 0.0);
        for phase in Phase::ALL.iter().filter(|phase| part(phase) > whole / 500.0) {
            sum += part(phase);
            #[expect(clippy::cast_sign_loss, reason = "a share of a width is not negative")]
            let to = ((sum / whole).min(1.0) * width as f64).round() as usize;
            bar = bar.and(Style::Phase(*phase), "█".repeat(to - drawn));
            drawn = to;
            let took = millis(&band["parts"][phase.name()]);
            words = words.and(Style::Phase(*phase), "■ ");
            words = words.and(Style::Plain, format!("{} {took}  ", phase.name()));
        }
        lines.extend([bar, words]);
    }
    if lines.len() == 1 {
        lines.push(Line::of(Style::Soft, "not known yet: it takes 40 requests in a minute"));
    }
    lines
}

fn why(why: Option<&Value>, rows: usize) -> Vec<Line> {
    let mut lines = vec![title("WHY IS THE TAIL SLOW?")];
    let findings = why.and_then(|why| why["findings"].as_array());
    for finding in findings.into_iter().flatten().take(if rows < 40 { 2 } else { 5 }) {
        let ms = finding["ms"].as_f64().filter(|ms| *ms > 0.0);
        let ms = ms.map_or_else(String::new, |_| format!("+{} ", millis(&finding["ms"])));
        let line = Line::of(Style::Bad, ms).and(Style::Bold, plain(&finding["title"]));
        lines.push(line.and(Style::Plain, format!(": {}", plain(&finding["sentence"]))));
        if finding["next"].is_string() {
            let line = Line::of(Style::Soft, "   next: ");
            lines.push(line.and(Style::Plain, plain(&finding["next"])));
        }
    }
    if lines.len() == 1 {
        let text =
            if why.is_some() { "nothing stands out" } else { "not explained by this gateway" };
        lines.push(Line::of(Style::Soft, text));
    }
    lines
}

fn routes(live: &Value, view: &View, most: usize) -> Vec<Line> {
    let (field, order) = ORDERS[view.order];
    let mut rows: Vec<&Value> = live["routes"].as_array().into_iter().flatten().collect();
    rows.retain(|route| view.takes(&plain(&route["route"])));
    rows.sort_by(|a, b| number(&b[field]).total_cmp(&number(&a[field])));
    let head = format!(
        "{:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7}",
        "req/s", "p50", "p99", "max", "hits", "errors", "time"
    );
    let mut lines = vec![heading(&format!("ROUTES by {order}"), &head)];
    let cells = |route: &Value| {
        Line::of(Style::Plain, name(&plain(&route["route"]), 32)).and(
            Style::Plain,
            format!(
                "{:>9} {:>9} {:>9} {:>9} {:>8} ",
                digits(number(&route["rps"])),
                millis(&route["p50_ms"]),
                millis(&route["p99_ms"]),
                millis(&route["max_ms"]),
                share(&route["hit_share"]),
            ),
        )
    };
    lines.extend(rows.iter().take(most).map(|route| {
        let style = if number(&route["error_share"]) > 0.001 { Style::Bad } else { Style::Plain };
        let line = cells(route).and(style, format!("{:>8}", share(&route["error_share"])));
        line.and(Style::Plain, format!(" {:>7}", share(&route["time_share"])))
    }));
    more(&mut lines, rows.len(), most);
    lines
}

/// One line for all queues together, and the one that is worst off.
fn jobs(jobs: &Value) -> Option<Line> {
    let queues = jobs["queues"].as_array()?;
    let sum = |name: &str| queues.iter().map(|queue| number(&queue[name])).sum::<f64>();
    let oldest =
        queues.iter().max_by(|a, b| number(&a["oldest_s"]).total_cmp(&number(&b["oldest_s"])));
    let line = Line::of(Style::Bold, "JOBS ");
    if !jobs["closed"].is_null() {
        return Some(line.and(Style::Bad, "the log is closed: nothing is accepted"));
    }
    let mut line = line.and(Style::Plain, format!("{} wait", sum("ready") + sum("scheduled")));
    if let Some(queue) = oldest.filter(|queue| number(&queue["oldest_s"]) >= 1.0) {
        let age = span(queue["oldest_s"].as_f64().map_or(0, |s| {
            std::time::Duration::try_from_secs_f64(s).unwrap_or_default().as_secs()
        }));
        line = line.and(Style::Warn, format!(", {age} in {}", plain(&queue["queue"])));
    }
    line = line.and(
        Style::Plain,
        format!(
            "  in {}/s  out {}/s  running {}",
            digits(sum("in_per_s")),
            digits(sum("out_per_s")),
            sum("running")
        ),
    );
    let dead = sum("dead");
    let style = if dead > 0.0 { Style::Bad } else { Style::Plain };
    line = line.and(style, format!("  dead {dead}"));
    let away = queues.iter().filter(|queue| queue["away"] == true).count();
    if away > 0 {
        line = line.and(Style::Bad, format!("  {away} without their service"));
    }
    Some(line)
}

fn servers(live: &Value, view: &View, most: usize) -> Vec<Line> {
    let head = format!(
        "{:>9} {:>9} {:>9} {:>8}  {}",
        "req/s", "EWMA", "in flight", "ejected", "condition"
    );
    let mut lines = vec![heading("SERVERS", &head)];
    let mut rows = Vec::new();
    for service in live["services"].as_array().into_iter().flatten() {
        let of = plain(&service["service"]);
        for server in service["servers"].as_array().into_iter().flatten() {
            let address = plain(&server["server"]);
            let address = address.strip_prefix("http://").unwrap_or(&address);
            let label = format!("{of} {address}");
            if view.takes(&label) {
                rows.push(server_line(&label, server));
            }
        }
    }
    let all = rows.len();
    lines.extend(rows.into_iter().take(most));
    more(&mut lines, all, most);
    lines
}

fn server_line(label: &str, server: &Value) -> Line {
    let line = Line::of(Style::Plain, name(label, 32)).and(
        Style::Plain,
        format!(
            "{:>9} {:>9} {:>9} {:>8}  ",
            digits(number(&server["rps"])),
            millis(&server["latency_ms"]),
            number(&server["in_flight"]),
            number(&server["ejections"]),
        ),
    );
    let why = plain(&server["why"]);
    let condition = plain(&server["condition"]);
    let style = if condition == "up" { Style::Plain } else { Style::Bad };
    line.and(style, if why.is_empty() { condition } else { format!("{condition}: {why}") })
}

fn kept(live: &Value, view: &View, most: usize) -> Vec<Line> {
    let mut lines = vec![heading(
        "KEPT REQUESTS",
        &format!("{:>9} {:>7} {:>7}  request", "took", "why", "status"),
    )];
    let rows = view.kept(live);
    let chosen = view.chosen.min(rows.len().saturating_sub(1));
    let from = (chosen + 1).saturating_sub(most);
    for (i, one) in rows.iter().enumerate().skip(from).take(most) {
        let status = one["status"].as_u64().filter(|status| *status > 0);
        let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let style = if i == chosen && most < usize::MAX { Style::Chosen } else { Style::Plain };
        let text = format!(
            "{}{:>9} {:>7} {status:>7}  {} {}",
            name(&plain(&one["route"]), 32),
            millis(&one["ms"]),
            plain(&one["why"]),
            plain(&one["method"]),
            plain(&one["target"]),
        );
        lines.push(Line::of(style, text));
    }
    lines
}

fn more(lines: &mut [Line], all: usize, most: usize) {
    if let (true, Some(last)) = (all > most, lines.first_mut()) {
        last.0.push((Style::Soft, format!("   … of {all}")));
    }
}

fn title(text: &str) -> Line {
    Line::of(Style::Bold, text)
}

fn heading(text: &str, columns: &str) -> Line {
    Line::of(Style::Bold, name(text, 32)).and(Style::Soft, columns)
}

/// Text of exactly so many columns.
fn name(text: &str, columns: usize) -> String {
    if text.chars().count() > columns {
        let cut: String = text.chars().take(columns - 1).collect();
        return cut + "…";
    }
    format!("{text:<columns$}")
}

/// Text of a value, without what a terminal would follow: controls, and what is not ASCII unless it
/// is ours.
pub fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let keep = |c: char| if c == '…' || c.is_ascii_graphic() || c == ' ' { c } else { '·' };
    text.chars().map(keep).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// Three digits or so.
pub fn digits(value: f64) -> String {
    let size = value.abs();
    let decimals = if size == 0.0 || size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

/// A time of milliseconds in the unit that reads best.
pub fn millis(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(ms) if ms >= 1_000.0 => format!("{:.2} s", ms / 1e3),
        Some(ms) if ms >= 0.995 || ms == 0.0 => format!("{} ms", digits(ms)),
        Some(ms) => format!("{} µs", digits(ms * 1e3)),
    }
}

fn micros(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |us| millis(&Value::from(us / 1e3)))
}

fn share(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(share) if share > 0.0 && share < 0.0001 => "<0.01 %".to_owned(),
        Some(share) if share < 0.01 => format!("{} %", digits(share * 100.0)),
        Some(share) => format!("{:.1} %", share * 100.0),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5_400 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

/// A line of small bars; what is not known is a gap.
pub fn spark(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| {
        let Some(value) = value else { return ' ' };
        #[expect(clippy::cast_sign_loss, reason = "a share of eight is not negative")]
        let at = if most > 0.0 { (value / most * 7.0).round() as usize } else { 0 };
        BARS[at.min(7)]
    };
    values.iter().map(bar).collect()
}
