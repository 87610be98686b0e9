//! The waterfall of one request, in lines.

use super::draw::{Line, Style, millis, plain};
use monitor::Phase;
use serde_json::Value;

/// Columns of names and times.
const BESIDE: usize = 46;

/// All that is known of it.
pub fn lines(one: &Value, columns: usize) -> Vec<Line> {
    if one.is_null() {
        return vec![Line::of(Style::Bad, "not kept any more: the last 1,024 are")];
    }
    let status = one["status"].as_u64().filter(|status| *status > 0);
    let status = status.map_or_else(|| plain(&one["fault"]), |status| status.to_string());
    let whole = one["ms"].as_f64().unwrap_or(0.0).max(1e-9);
    let mut lines = vec![
        Line::default(),
        Line::of(Style::Bold, format!("{} {}", plain(&one["method"]), plain(&one["target"]))),
        Line::of(
            Style::Soft,
            format!("{status} after {}, kept: {}", millis(&one["ms"]), plain(&one["why"])),
        ),
        Line::default(),
        Line::of(Style::Soft, "phases, each the sum of its time, in the usual order"),
    ];
    let width = columns.min(140).saturating_sub(BESIDE).max(10);
    for phase in one["phases"].as_array().into_iter().flatten() {
        let name = plain(&phase["phase"]);
        let known = Phase::ALL.iter().find(|known| known.name() == name);
        let style = known.map_or(Style::Plain, |phase| Style::Phase(*phase));
        lines.push(bar(&name, phase, style, whole, width));
    }
    let tries: Vec<&Value> = one["tries"].as_array().into_iter().flatten().collect();
    if !tries.is_empty() {
        lines.push(Line::of(Style::Soft, "tries at servers, by the clock"));
    }
    for tried in tries {
        let ended = if tried["status"].is_null() { &tried["fault"] } else { &tried["status"] };
        let server = plain(&tried["server"]);
        let server = server.strip_prefix("http://").unwrap_or(&server).to_owned();
        let name = format!("{} {} {}", plain(&tried["cause"]), server, plain(ended));
        let failed = tried["status"].as_u64().is_none_or(|status| status >= 500);
        lines.push(bar(&name, tried, if failed { Style::Bad } else { Style::Bold }, whole, width));
    }
    lines.push(Line::default());
    for name in [
        "route",
        "service",
        "cached",
        "fault",
        "host",
        "client",
        "protocol",
        "user_agent",
        "sent_bytes",
        "trace",
        "request_id",
    ] {
        let text = plain(&one[name]);
        if !text.is_empty() {
            lines.push(Line::of(Style::Soft, format!("{name:<12}")).and(Style::Plain, text));
        }
    }
    lines
}

fn bar(name: &str, part: &Value, style: Style, whole: f64, width: usize) -> Line {
    let share = |value: &Value| (value.as_f64().unwrap_or(0.0) / whole).clamp(0.0, 1.0);
    #[expect(clippy::cast_sign_loss, reason = "a share of a width is not negative")]
    let cells = |share: f64| (share * width as f64).round() as usize;
    let from = cells(share(&part["from_ms"])).min(width - 1);
    let long = cells(share(&part["ms"])).clamp(1, width - from);
    let name: String = name.chars().take(32).collect();
    Line::of(Style::Plain, format!("{name:<33}{:>10} ", millis(&part["ms"])))
        .and(Style::Plain, " ".repeat(from))
        .and(style, "█".repeat(long))
}
