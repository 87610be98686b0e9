//! Where it was measured.

use std::fs;

/// What a figure cannot be read without.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The system and its version.
    pub system: String,
    /// Processes that wanted a core, on average over the last minute, before anything was sent.
    pub load: String,
}

impl Machine {
    /// This one; what the system does not tell is said to be unknown.
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": ")).map(|(_, name)| name.trim());
        let words = |path| read(path).trim().to_owned();
        let kernel = words("/proc/sys/kernel/osrelease");
        let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
        Self {
            processor: model.unwrap_or("unknown processor").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {kernel}", words("/proc/sys/kernel/ostype")).trim().to_owned(),
            load: if load.is_empty() { "unknown".to_owned() } else { load },
        }
    }
}
