//! The shop's part in a trace (W3C Trace Context): a span for each request, one for each call of its
//! services to each other, sent by OTLP where a receiver is named.
//!
//! Only what the caller records is recorded. Without a receiver the caller's `traceparent` is handed
//! on as it came: a span of ours that nobody is told of would leave those below it without a parent.

use crate::count::Counts;
use base::Moment;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use monitor::Trace;
use monitor::trace::parse;
use otlp::{Kind, Span, Spans, span::failure};
use std::sync::atomic::Ordering;

/// The field that says which trace, and by whom.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What others have to say of it: handed on as it came.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where one request is in a trace.
#[derive(Debug, Default)]
pub(crate) struct Here {
    /// What came, to be handed on where nothing is recorded.
    came: [Option<HeaderValue>; 2],
    recorded: Option<(Trace, Spans)>,
}

/// A span under way. It is told when it is dropped, however that comes about: whoever called may give
/// up, and what was asked of others below must not lose its parent.
pub(crate) struct Open {
    spans: Spans,
    span: Option<Span>,
}

impl Here {
    /// Where a request with these fields is.
    pub(crate) fn of(fields: &HeaderMap, spans: Option<&Spans>) -> Self {
        let mut all = fields.get_all(TRACEPARENT).iter();
        let only = all.next().filter(|_| all.next().is_none());
        let caller = only.and_then(|value| parse(value.as_bytes()));
        let Some(caller) = caller else { return Self::default() };
        let trace = Trace::begin(Some(caller), (0, fastrand::u64(..)), false);
        let recorded = spans.filter(|_| trace.is_sampled()).map(|spans| (trace, spans.clone()));
        Self { came: [only.cloned(), fields.get(TRACESTATE).cloned()], recorded }
    }

    /// Begins the span of the request itself.
    pub(crate) fn serve(&self, method: &Method, path: &[String]) -> Option<Open> {
        let (trace, spans) = self.recorded.as_ref()?;
        let (service, page) = place(path);
        let mut open = Open::begin(*trace, spans, Kind::Server, service, method, page);
        if let Some(span) = &mut open.span {
            span.say("url.path", format!("/{}", path.join("/")));
            span.say("url.scheme", "http");
        }
        Some(open)
    }

    /// Begins the span of a call to another service; `from` is who calls. Answers the fields that the
    /// call has.
    pub(crate) fn call(
        &self,
        method: &Method,
        from: &[String],
    ) -> (Option<Open>, [Option<HeaderValue>; 2]) {
        let [parent, state] = self.came.clone();
        let Some((ours, spans)) = &self.recorded else { return (None, [parent, state]) };
        let trace = Trace { span: fastrand::u64(1..), parent: ours.span, ..*ours };
        let text = HeaderValue::from_bytes(&trace.own_text()).ok();
        let open = Open::begin(trace, spans, Kind::Client, place(from).0, method, "");
        (Some(open), [text, state])
    }
}

impl Open {
    fn begin(
        trace: Trace,
        spans: &Spans,
        kind: Kind,
        service: &'static str,
        method: &Method,
        page: &str,
    ) -> Self {
        let now = Moment::now();
        let mut span = Span {
            service: service.into(),
            trace,
            kind,
            name: format!("{method} {page}").trim_end().to_owned(),
            begun: now,
            ended: now,
            failed: Some("cancelled".into()),
            attributes: Vec::new(),
        };
        span.say("http.request.method", method.as_str());
        Self { spans: spans.clone(), span: Some(span) }
    }

    /// It has come to this.
    pub(crate) fn end(mut self, status: StatusCode, counts: Option<&Counts>) {
        let Some(span) = &mut self.span else { return };
        span.say_status(status.as_u16());
        let least = if span.kind == Kind::Server { 500 } else { 400 };
        span.failed = failure(None, status.as_u16(), least);
        if let Some(counts) = counts {
            span.say("shop.db.ms", counts.database_time().as_secs_f64() * 1e3);
            let queries = counts.queries.load(Ordering::Relaxed);
            span.say("shop.db.queries", i64::try_from(queries).unwrap_or(i64::MAX));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.ended = Moment::now();
            self.spans.tell(span);
        }
    }
}

/// Which service of the shop answers under a path, and what it is called in spans.
fn place(path: &[String]) -> (&'static str, &'static str) {
    match path.first().map_or("", String::as_str) {
        "home" => ("shop-pages", "/home"),
        "products" => ("shop-pages", "/products"),
        "catalogue" => ("shop-catalogue", "/catalogue"),
        "search" => ("shop-search", "/search"),
        "reviews" => ("shop-reviews", "/reviews"),
        "recommendations" => ("shop-recommendations", "/recommendations"),
        "cart" => ("shop-cart", "/cart"),
        "orders" => ("shop-orders", "/orders"),
        "mail" => ("shop-mail", "/mail"),
        _ => ("shop", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_recorded_is_handed_on_as_it_came() {
        let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let fields = |values: &[&'static str]| {
            let value = |value: &&'static str| (TRACEPARENT, HeaderValue::from_static(value));
            let mut fields = HeaderMap::new();
            values.iter().map(value).for_each(|(name, value)| {
                fields.append(name, value);
            });
            fields
        };
        let handed_on = |values: &[&'static str]| {
            let here = Here::of(&fields(values), None);
            assert!(here.serve(&Method::GET, &[]).is_none());
            here.call(&Method::GET, &[]).1[0].clone()
        };
        assert_eq!(handed_on(&[came]).unwrap(), came);
        assert_eq!(handed_on(&[came, came]), None);
        assert_eq!(handed_on(&["00-0-1-01"]), None);
        assert_eq!(handed_on(&[]), None);
    }
}
