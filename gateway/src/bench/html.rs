//! The report as one page: inline SVG and CSS, no script, nothing loaded from anywhere. Dark or light as
//! the reader's system is; lines differ by their dashes as well as by colour.

use super::chart::{Axis, Chart, Line, escape, nines};
use super::outcome::{Outcome, Side, Step, change, share_name};
use super::text;
use load::Latency;
use load::statistics::{SHARES, Verdict, curve};
use std::fmt::Write as _;
use std::time::Duration;

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--ink:#1c2430;--soft:#5b6676;--rule:#d8dee6;--panel:#f5f7f9;\
--a:#1f6fd0;--b:#c25a00;--good:#0b7a53;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--ink:#e6eaf0;--soft:#9aa6b6;--rule:#303945;\
--panel:#1a2028;--a:#6fb0ff;--b:#ffa55a;--good:#4fce9b;--bad:#ff8a80}}\
body{margin:0 auto;padding:28px 20px 60px;max-width:860px;background:var(--bg);color:var(--ink);\
font:15px/1.5 system-ui,sans-serif}\
h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:34px 0 8px}\
p{margin:4px 0}.soft,.name,dt{color:var(--soft)}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\
.verdict{margin:20px 0;padding:12px 16px;border-left:5px solid var(--soft);background:var(--panel);font-size:18px}\
.verdict.faster{border-color:var(--good)}.verdict.slower{border-color:var(--bad)}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{padding:5px 9px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}\
th{font-weight:600;color:var(--soft)}th:first-child,td:first-child,.text{text-align:left}\
.good{color:var(--good)}.bad{color:var(--bad)}\
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--soft)}\
.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:var(--rule);stroke-width:1}\
polyline{fill:none;stroke-width:2;stroke-linejoin:round}\
.a,.c,.e{stroke:var(--a)}.b,.d,.f{stroke:var(--b)}circle.a,circle.c,circle.e{fill:var(--a)}\
circle.b,circle.d,circle.f{fill:var(--b)}.b{stroke-dasharray:9 3}.c,.d{stroke-width:1.4;stroke-dasharray:2 3}\
.e,.f{stroke-width:1.2;stroke-dasharray:7 3 2 3}circle{stroke-dasharray:none!important}\
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;font-size:13px;color:var(--soft)}\
.legend span{display:inline-flex;align-items:center;gap:7px}.legend svg{width:28px;flex:none}\
details{margin:10px 0}summary{cursor:pointer;color:var(--soft)}ul{padding-left:20px}li{margin:4px 0}";

/// Styles of a side's lines: what matters most first.
const STYLES: [[&str; 3]; 2] = [["a", "c", "e"], ["b", "d", "f"]];

pub(super) fn page(outcome: &Outcome) -> String {
    let mut page = String::new();
    let names: Vec<&str> = outcome.sides.iter().map(|side| side.name.as_str()).collect();
    let title = escape(&names.join(" and "));
    let _ = writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>bench: {title}</title>\n<style>{STYLE}</style>\n<main>"
    );
    head(&mut page, outcome);
    let stepped = outcome.sides.iter().any(|side| side.steps.len() > 1);
    if stepped {
        section(&mut page, "Latency by load", &by_load(outcome));
    }
    section(&mut page, "Percentiles", &percentiles(outcome, stepped));
    section(&mut page, "Figures", &figures(outcome));
    if !outcome.compared.is_empty() {
        section(&mut page, "Compared", &comparison(outcome));
    }
    if !stepped {
        section(&mut page, "Over time", &over_time(outcome));
    }
    by_request(&mut page, outcome);
    foot(&mut page, outcome);
    page.push_str("</main></html>\n");
    page
}

fn section(page: &mut String, title: &str, content: &str) {
    let _ = writeln!(page, "<section><h2>{title}</h2>\n{content}</section>");
}

fn head(page: &mut String, outcome: &Outcome) {
    page.push_str("<h1>How fast is it?</h1>\n");
    for side in &outcome.sides {
        let letter = if side.letter.is_empty() { "" } else { ": " };
        let _ = writeln!(
            page,
            "<p><b>{}{letter}</b><code>{}</code></p>",
            side.letter,
            escape(&side.name)
        );
    }
    let _ = writeln!(page, "<p class=\"soft\">{}</p>", escape(&text::how(&outcome.setup)));
    if let Some(verdict) = outcome.verdict().filter(|_| !outcome.compared.is_empty()) {
        let said = |wanted| {
            let mut rows = outcome.compared.iter().filter(|row| row.firm);
            rows.any(|row| row.verdict() == wanted)
        };
        let class = match (said(Verdict::Faster), said(Verdict::Slower)) {
            (true, false) => " faster",
            (false, true) => " slower",
            _ => "",
        };
        let _ = writeln!(page, "<p class=\"verdict{class}\">{}</p>", escape(&verdict));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One line for each side, or, of a stepped run, for the gentlest and the hardest rate.
fn percentiles(outcome: &Outcome, stepped: bool) -> String {
    let mut lines = Vec::new();
    let mut count = 2;
    for (side, styles) in outcome.sides.iter().zip(STYLES) {
        let ends = [side.steps.first(), side.steps.last().filter(|_| stepped)];
        for (step, class) in ends.into_iter().flatten().zip(styles) {
            let latency = &step.whole.latency;
            count = count.max(latency.count());
            let points =
                curve(latency).iter().map(|(share, time)| (nines(*share), ms(*time))).collect();
            lines.push(Line { name: name(side, step), class, points, dots: false });
        }
    }
    let y = Axis::latency(&lines);
    let title = "latency by percentile, on an axis of nines".to_owned();
    Chart { title, x: Axis::nines(count), y, lines }.svg()
}

fn name(side: &Side, step: &Step) -> String {
    let label = text::label(side, step);
    if label.is_empty() { side.name.clone() } else { label }
}

fn by_load(outcome: &Outcome) -> String {
    let mut lines = Vec::new();
    let mut most: f64 = 0.0;
    for (side, styles) in outcome.sides.iter().zip(STYLES) {
        for (share, class) in [0.5, 0.95, 0.99].into_iter().zip(styles) {
            let at = |step: &Step| {
                let rate = step.asked.unwrap_or_else(|| step.whole.per_second());
                (rate, ms(step.whole.latency.quantile(share)))
            };
            let points: Vec<_> = side.steps.iter().map(at).collect();
            most = points.iter().map(|point| point.0).fold(most, f64::max);
            let name = format!("{} {}", side.letter, share_name(share)).trim().to_owned();
            lines.push(Line { name, class, points, dots: true });
        }
    }
    let y = Axis::latency(&lines);
    let x = Axis::linear("requests a second", most);
    Chart { title: "latency by requests a second".to_owned(), x, y, lines }.svg()
}

fn over_time(outcome: &Outcome) -> String {
    let mut lines = Vec::new();
    let mut end: f64 = 0.0;
    for (side, styles) in outcome.sides.iter().zip(STYLES) {
        let Some(step) = side.steps.first() else { continue };
        let report = &step.whole;
        let median = |part: &Latency| part.quantile(0.5);
        for (what, class) in ["p50", "slowest"].into_iter().zip(styles) {
            let figure = |part| if what == "p50" { median(part) } else { Latency::max(part) };
            let parts = report.over_time.iter().enumerate().filter(|(_, part)| part.count() > 0);
            let at = |index: usize| report.slice.as_secs_f64() * (index as f64 + 0.5);
            let points: Vec<_> = parts.map(|(index, part)| (at(index), ms(figure(part)))).collect();
            end = points.iter().map(|point| point.0).fold(end, f64::max);
            let name = format!("{} {what}", side.letter).trim().to_owned();
            lines.push(Line { name, class, points, dots: false });
        }
    }
    let y = Axis::latency(&lines);
    let x = Axis::linear("seconds, by when requests were due", end);
    Chart { title: "latency over time".to_owned(), x, y, lines }.svg()
}

fn figures(outcome: &Outcome) -> String {
    let mut table = String::from("<div class=\"scroll\"><table><tr><th>ms</th>");
    for share in SHARES {
        let _ = write!(table, "<th>{}</th>", share_name(share));
    }
    table.push_str("<th>requests</th><th>answers/s</th><th>errors</th></tr>\n");
    for (side, step) in
        outcome.sides.iter().flat_map(|side| side.steps.iter().map(move |s| (side, s)))
    {
        let _ = write!(table, "<tr><td>{}</td>", escape(&text::label(side, step)));
        for share in SHARES {
            let _ = write!(table, "<td>{}</td>", text::figure(step, share));
        }
        let (count, failed) = (step.whole.count, step.whole.failed());
        let class = if failed > 0 { " class=\"bad\"" } else { "" };
        let _ = writeln!(
            table,
            "<td>{count}</td><td>{:.1}</td><td{class}>{failed}</td></tr>",
            step.answered()
        );
    }
    table.push_str("</table></div>\n<p class=\"soft\">~ fewer than 20 requests beyond it: little more than chance. \
        A failed request counts as the whole timeout.</p>\n");
    table
}

fn comparison(outcome: &Outcome) -> String {
    let rounds =
        outcome.sides.first().and_then(|side| side.steps.first()).map_or(0, |s| s.rounds.len());
    let mut table = String::from(
        "<div class=\"scroll\"><table><tr><th></th><th>A, ms</th><th>B, ms</th><th>change</th><th class=\"text\">B is</th></tr>\n",
    );
    for row in &outcome.compared {
        let (class, verdict) = match row.verdict() {
            _ if row.share >= 1.0 => ("", "one request: decides nothing".to_owned()),
            _ if !row.firm => ("", "too few requests beyond it".to_owned()),
            verdict @ Verdict::Faster => (" good", verdict.to_string()),
            verdict @ Verdict::Slower => (" bad", verdict.to_string()),
            verdict => ("", verdict.to_string()),
        };
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text{class}\">{verdict}</td></tr>",
            share_name(row.share),
            text::range(row.a),
            text::range(row.b),
            change(row.change)
        );
    }
    let _ = write!(
        table,
        "</table></div>\n<p class=\"soft\">{rounds} rounds each in alternation (ABAB). In brackets 95 % intervals, by \
         bootstrap over rounds.</p>\n"
    );
    table
}

fn by_request(page: &mut String, outcome: &Outcome) {
    let steps =
        || outcome.sides.iter().flat_map(|side| side.steps.iter().map(move |step| (side, step)));
    for (side, step) in steps().filter(|(_, step)| step.whole.by_request.len() > 1) {
        let mut table = String::from(
            "<div class=\"scroll\"><table><tr><th>ms</th><th>p50</th><th>p95</th><th>p99</th><th>requests</th><th>errors</th></tr>\n",
        );
        for kind in &step.whole.by_request {
            let _ = write!(table, "<tr><td>{}</td>", escape(&kind.name));
            for share in [0.5, 0.95, 0.99] {
                let figure = super::outcome::millis(kind.latency.quantile(share).as_secs_f64());
                let _ = write!(table, "<td>{figure}</td>");
            }
            let _ =
                writeln!(table, "<td>{}</td><td>{}</td></tr>", kind.latency.count(), kind.failed);
        }
        table.push_str("</table></div>\n");
        let title = format!("By request {}", text::label(side, step));
        let title = escape(title.trim());
        // One table is read, many are looked up.
        if outcome.sides.iter().all(|side| side.steps.len() == 1) {
            section(page, &title, &table);
        } else {
            let _ = writeln!(page, "<details><summary>{title}</summary>\n{table}</details>");
        }
    }
}

fn foot(page: &mut String, outcome: &Outcome) {
    let mut list = String::from("<ul>\n");
    let _ = writeln!(list, "<li>{}</li>", escape(&text::sent(outcome)));
    for remark in outcome.remarks() {
        let _ = writeln!(list, "<li>{}</li>", escape(&remark));
    }
    list.push_str("</ul>\n");
    section(page, "How far to trust it", &list);
    let head = escape(&text::head(outcome)).replace('\n', "<br>");
    let content = format!(
        "<p>{head}</p>\n<p>seed {}</p>\n<p><code>{}</code></p>\n",
        outcome.setup.seed,
        escape(&outcome.command)
    );
    section(page, "Where and how", &content);
}
