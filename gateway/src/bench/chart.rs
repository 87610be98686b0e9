//! Line charts as inline SVG: axes, lines, a legend that needs no colour. Pure.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
/// Steps of a scale are one of these times a power of ten.
const NICE: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
/// Latencies that are further apart than this are drawn on a logarithmic scale.
const SPREAD: f64 = 30.0;
/// Points of a line; more than pixels show nothing.
const POINTS_MAX: usize = 400;

/// A picture.
pub(super) struct Chart {
    /// What it shows, for who cannot see it.
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// One direction.
pub(super) struct Axis {
    pub(super) name: &'static str,
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<(f64, String)>,
}

/// One line.
pub(super) struct Line {
    pub(super) name: String,
    /// Its style in the sheet: `a` to `f`.
    pub(super) class: &'static str,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether its points are few and measured each.
    pub(super) dots: bool,
}

impl Axis {
    /// Nines: 50 %, 90 %, 99 % and so on at equal distances, up to the slowest of `count`.
    pub(super) fn nines(count: u64) -> Self {
        let high = nines(1.0 - 0.5 / count.max(2) as f64).max(2.0);
        let known = [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];
        let far = [(0.999_9, "99.99 %"), (0.999_99, "99.999 %"), (0.999_999, "99.9999 %")];
        let ticks =
            known.iter().chain(&far).map(|(share, text)| (nines(*share), (*text).to_owned()));
        let ticks = ticks.filter(|(at, _)| *at <= high).collect();
        Self {
            name: "share of requests that were at least as fast",
            low: 0.0,
            high,
            log: false,
            ticks,
        }
    }

    /// From zero, with round steps.
    pub(super) fn linear(name: &'static str, high: f64) -> Self {
        let high = high.max(1e-9);
        let rough = high / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step =
            NICE.iter().map(|nice| nice * power).find(|step| *step >= rough).unwrap_or(rough);
        let high = (high / step).ceil() * step;
        let count = (high / step).round();
        let at = (0..=20).map(f64::from).take_while(|n| *n <= count).map(|n| n * step);
        Self { name, low: 0.0, high, log: false, ticks: at.map(|at| (at, figure(at))).collect() }
    }

    /// Powers of ten, with steps between them while there is room.
    pub(super) fn logarithmic(name: &'static str, low: f64, high: f64) -> Self {
        let low = low.max(1e-4);
        let high = high.max(low * 1.5);
        let decades = (high / low).log10();
        let nice: &[f64] = if decades > 3.5 { &NICE[..1] } else { &NICE[..3] };
        let (low, high) = (snap(low, nice, false), snap(high, nice, true));
        let mut ticks = Vec::new();
        let mut power = 10_f64.powf(low.log10().floor());
        while power <= high * 1.001 && ticks.len() < 40 {
            let inside = nice.iter().map(|nice| nice * power);
            let inside = inside.filter(|at| *at >= low * 0.999 && *at <= high * 1.001);
            ticks.extend(inside.map(|at| (at, figure(at))));
            power *= 10.0;
        }
        Self { name, low, high, log: true, ticks }
    }

    /// For latencies in milliseconds: by powers of ten if they lie far apart.
    pub(super) fn latency(lines: &[Line]) -> Self {
        let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        let high = values().fold(0.0, f64::max);
        let low = values().fold(f64::INFINITY, f64::min).min(high);
        if high > low * SPREAD {
            Self::logarithmic("latency, ms", low, high)
        } else {
            Self::linear("latency, ms", high)
        }
    }

    /// Where a value stands, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.max(self.low).ln() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        ((scale(value) - low) / (high - low).max(1e-12)).clamp(0.0, 1.0)
    }
}

/// How many nines a share has: 0.9 one, 0.99 two.
pub(super) fn nines(share: f64) -> f64 {
    -(1.0 - share).max(1e-12).log10()
}

/// The next round number above or below.
fn snap(value: f64, nice: &[f64], up: bool) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let mut steps = nice.iter().copied().chain([10.0]).map(|nice| nice * power);
    if up {
        steps.find(|step| *step >= value * 0.999).unwrap_or(value)
    } else {
        steps.take_while(|step| *step <= value * 1.001).last().unwrap_or(value)
    }
}

fn figure(value: f64) -> String {
    // What sums of fractions leave behind is cut off.
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

impl Chart {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let mut svg = String::new();
        let title = escape(&self.title);
        let _ = writeln!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
        );
        self.grid(&mut svg);
        for line in &self.lines {
            self.line(&mut svg, line);
        }
        svg.push_str("</svg>\n");
        self.legend(&mut svg);
        svg
    }

    fn grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in &self.y.ticks {
            let y = self.at_y(*value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text class=\"end\" x=\"{}\" y=\"{:.1}\">{text}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, text) in &self.x.ticks {
            let x = self.at_x(*value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"middle\" x=\"{x:.1}\" y=\"{}\">{text}</text>",
                bottom + 16.0
            );
        }
        let (middle, low) = (f64::midpoint(LEFT, right), HEIGHT - 8.0);
        let _ = writeln!(
            svg,
            "<text class=\"middle name\" x=\"{middle}\" y=\"{low}\">{}</text>",
            self.x.name
        );
        let middle = f64::midpoint(TOP, bottom);
        let _ = writeln!(
            svg,
            "<text class=\"middle name\" transform=\"translate(12 {middle}) rotate(-90)\">{}</text>",
            self.y.name
        );
    }

    fn line(&self, svg: &mut String, line: &Line) {
        let every = line.points.len().div_ceil(POINTS_MAX).max(1);
        let last = line.points.len().saturating_sub(1);
        let mut points = String::new();
        for (index, (x, y)) in line.points.iter().enumerate() {
            // The tail is few points and all of the story: the nearer to it, the more are drawn.
            if index % every == 0 || last - index < POINTS_MAX / 4 {
                let _ = write!(points, "{:.1},{:.1} ", self.at_x(*x), self.at_y(*y));
            }
        }
        let _ =
            writeln!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.trim_end());
        for (x, y) in line.points.iter().filter(|_| line.dots) {
            let (x, y) = (self.at_x(*x), self.at_y(*y));
            let _ = writeln!(
                svg,
                "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>",
                line.class
            );
        }
    }

    fn legend(&self, svg: &mut String) {
        svg.push_str("<p class=\"legend\">");
        for line in &self.lines {
            let _ = write!(
                svg,
                "<span><svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><polyline class=\"{}\" points=\"0,4 28,4\"/></svg>{}</span>",
                line.class,
                escape(&line.name)
            );
        }
        svg.push_str("</p>\n");
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

/// Text that means nothing to HTML.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nines_are_at_equal_distances() {
        assert!((nines(0.9) - 1.0).abs() < 1e-9 && (nines(0.999) - 3.0).abs() < 1e-9);
        let axis = Axis::nines(1_000);
        let texts: Vec<_> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(texts, ["0", "50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn markup_in_a_name_stays_text() {
        let safe = escape("<script>\"&'");
        assert_eq!(safe, "&lt;script&gt;&quot;&amp;&#39;");
    }

    proptest! {
        /// Ticks are within the axis, in order, a handful, and cover what is drawn.
        #[test]
        fn scales_cover_their_values(low in 1e-3..1e4_f64, factor in 1.0..1e5_f64) {
            let high = low * factor;
            for axis in [Axis::linear("x", high), Axis::logarithmic("x", low, high)] {
                let ticks: Vec<f64> = axis.ticks.iter().map(|tick| tick.0).collect();
                prop_assert!((2..=25).contains(&ticks.len()), "{:?}", ticks);
                prop_assert!(ticks.is_sorted());
                prop_assert!(axis.high >= high * 0.998 && axis.low <= low.max(1e-4) * 1.002);
                prop_assert!((0.0..=1.0).contains(&axis.place(high)));
                prop_assert!(axis.place(high) >= axis.place(low));
            }
        }
    }
}
