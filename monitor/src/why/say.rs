//! Figures as people read them.

use super::digest::{Digest, Row};

/// `12 %`; what is not nothing is not 0 %.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 1.0 => "under 1 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

/// `3.2 ms`, `230 ms`, `1.4 s`.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if ms >= 1_000.0 => format!("{:.1} s", ms / 1_000.0),
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms if ms >= 0.095 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// `1.4 MiB`.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        bytes if bytes >= 1_048_576.0 => format!("{:.1} MiB", bytes / 1_048_576.0),
        bytes if bytes >= 1_024.0 => format!("{:.0} KiB", bytes / 1_024.0),
        bytes => format!("{bytes:.0} bytes"),
    }
}

/// `91 % of the slow requests …, 31 % of the rest`.
pub(super) fn shares<'a>(digest: &Digest<'a>, what: &str, is: impl Fn(&Row<'a>) -> bool) -> String {
    let (slow, rest) = digest.shares(is);
    format!("{} of the slow requests {what}, {} of the rest", percent(slow), percent(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 0.004, 0.31, 1.0].map(percent), ["0 %", "under 1 %", "31 %", "100 %"]);
        assert_eq!(
            [0.02, 0.1, 9.94, 230.4, 1_400.0].map(time),
            ["0.02 ms", "0.1 ms", "9.9 ms", "230 ms", "1.4 s"]
        );
        assert_eq!([12.0, 2_048.0, 1.5e6].map(bytes), ["12 bytes", "2 KiB", "1.4 MiB"]);
    }
}
