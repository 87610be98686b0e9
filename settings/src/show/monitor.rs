//! `[monitor]`, and what a route promises.

use super::File;
use super::caching::SECRET;
use crate::lower::monitor::percentile_name;
use crate::options::duration;
use monitor::settings::{AccessLog, LogFormat, Objective, Otlp, Protocol, ServerTiming, Settings};

impl File {
    pub(super) fn monitor(&mut self, monitor: &Settings) {
        self.header("[monitor]");
        match &monitor.access_log {
            AccessLog::Off => self.text("access_log", &"off"),
            AccessLog::Stdout => self.text("access_log", &"stdout"),
            AccessLog::File(path) => self.path("access_log", path),
        }
        let format = match monitor.log_format {
            LogFormat::Json => "json",
            LogFormat::Common => "common",
            LogFormat::Combined => "combined",
        };
        self.text("log_format", &format);
        self.text("log_sample", &monitor.log_sample);
        self.texts("redact", &monitor.redact);
        match &monitor.server_timing {
            ServerTiming::Off => self.plain("server_timing", &false),
            ServerTiming::On => self.plain("server_timing", &true),
            ServerTiming::Token(_) => {
                self.line(format_args!("server_timing = {{ token = \"{SECRET}\" }}"));
            }
        }
        self.plain("request_id", &monitor.request_id);
        self.plain("trace", &monitor.trace);
        self.text("trace_sample", &monitor.trace_sample);
        if let Some(otlp) = &monitor.otlp {
            self.otlp(otlp);
        }
    }

    fn otlp(&mut self, otlp: &Otlp) {
        self.header("[monitor.otlp]");
        self.text("url", &otlp.url);
        let protocol = match otlp.protocol {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
        };
        self.text("protocol", &protocol);
        if !otlp.fields.is_empty() {
            let field = |(name, _): &(String, String)| format!("\"{name}\" = \"{SECRET}\"");
            let fields: Vec<_> = otlp.fields.iter().map(field).collect();
            self.line(format_args!("fields = {{ {} }}", fields.join(", ")));
        }
        self.time("every", otlp.every);
        self.plain("metrics", &otlp.metrics);
        self.plain("traces", &otlp.traces);
        self.text("service", &otlp.service);
    }

    pub(super) fn objective(&mut self, objective: &Objective) {
        let latency = objective.latency.iter();
        let latency = latency.map(|(share, time)| {
            format!("\"{}\" = \"{}\"", percentile_name(*share), duration(*time))
        });
        let success = objective.success.map(|share| format!("success = \"{share}\""));
        let all: Vec<_> = latency.chain(success).collect();
        self.line(format_args!("objective = {{ {} }}", all.join(", ")));
    }
}
