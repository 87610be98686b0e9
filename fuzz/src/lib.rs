//! What must hold for all bytes, as functions that panic where it does not.
//!
//! One function a target. libFuzzer calls them (`fuzz_targets/`), and so does the driver without
//! coverage (`drive`). Seeds are made in code: the examples of the RFCs and what is near them.

mod cached;
mod chunked;
mod events;
mod fields;
mod heads;
mod log_recovery;
mod segment;
mod services;
mod timing;
mod text;

pub mod seeds;

pub use cached::{cache_control, dates, ranges, targeted_control, vary};
pub use chunked::chunked_body;
pub use events::cloudevents;
pub use fields::field_values;
pub use heads::{request_head, response_head};
pub use log_recovery::log_recovery;
pub use segment::segment;
pub use services::services;
pub use timing::timing;
pub use text::settings;

/// A target: its name, its function, its seeds, and words that its inputs are made of.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics on a finding.
    pub run: fn(&[u8]),
    /// Where to begin.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the grammar.
    pub words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "request_head",
        run: request_head,
        seeds: seeds::request_heads,
        words: seeds::HTTP_WORDS,
    },
    Target {
        name: "response_head",
        run: response_head,
        seeds: seeds::response_heads,
        words: seeds::HTTP_WORDS,
    },
    Target {
        name: "chunked_body",
        run: chunked_body,
        seeds: seeds::chunked_bodies,
        words: seeds::CHUNK_WORDS,
    },
    Target {
        name: "field_values",
        run: field_values,
        seeds: seeds::field_lists,
        words: seeds::HTTP_WORDS,
    },
    Target {
        name: "cache_control",
        run: cache_control,
        seeds: seeds::cache_controls,
        words: seeds::CACHE_WORDS,
    },
    Target { name: "dates", run: dates, seeds: seeds::dates, words: seeds::CACHE_WORDS },
    Target { name: "vary", run: vary, seeds: seeds::varies, words: seeds::CACHE_WORDS },
    Target { name: "ranges", run: ranges, seeds: seeds::ranges, words: seeds::CACHE_WORDS },
    Target {
        name: "targeted_control",
        run: targeted_control,
        seeds: seeds::cache_controls,
        words: seeds::CACHE_WORDS,
    },
    Target { name: "settings", run: settings, seeds: seeds::files, words: seeds::SETTINGS_WORDS },
    Target { name: "services", run: services, seeds: seeds::services, words: seeds::SERVICE_WORDS },
    Target { name: "timing", run: timing, seeds: seeds::timing, words: seeds::TIMING_WORDS },
    Target {
        name: "cloudevents",
        run: cloudevents,
        seeds: seeds::cloudevents,
        words: seeds::EVENT_WORDS,
    },
    Target { name: "segment", run: segment, seeds: seeds::segments, words: seeds::SEGMENT_WORDS },
    Target {
        name: "log_recovery",
        run: log_recovery,
        seeds: seeds::logs,
        words: seeds::LOG_WORDS,
    },
];

/// Writes seeds and words of a target to the folder that `FUZZ_CORPUS` names, for libFuzzer to read.
///
/// # Panics
/// They cannot be written.
pub fn plant(name: &str) {
    let Ok(folder) = std::env::var("FUZZ_CORPUS") else { return };
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    for (index, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(format!("{folder}/{name}/seed-{index}"), seed).expect("seeds are written");
    }
    let quote = |word: &&str| {
        let bytes = word.bytes().map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", byte as char),
            b' '..=b'~' => (byte as char).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        format!("\"{}\"\n", bytes.collect::<String>())
    };
    let words: String = target.words.iter().map(quote).collect();
    std::fs::write(format!("{folder}/{name}.dict"), words).expect("words are written");
}

/// A name, a value, in the case they came in.
type Field = (Vec<u8>, Vec<u8>);

fn list(fields: &base::Fields) -> Vec<Field> {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

/// All but the framing fields, which are written anew.
fn unframed(fields: &base::Fields) -> Vec<Field> {
    let framing = [base::FieldName::ContentLength, base::FieldName::TransferEncoding];
    let kept = fields.iter().filter(|field| !framing.contains(&field.known));
    kept.map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn show(bytes: &[u8]) -> String {
    format!("b\"{}\"", bytes.escape_ascii())
}
