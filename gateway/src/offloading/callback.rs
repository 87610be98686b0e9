//! A callback on its way: one try, on the second runtime, by a [`Poster`].

use super::answer_bytes;
use crate::poster::{Letter, Poster, Unanswered};
use base::{Moment, ResponseHead};
use offload::book::Tried;
use offload::callback::address::Allowed;
use offload::callback::{self, TRY_TIME};
use offload::engine::{CALLBACKS, Engine, Parcel};
use offload::job::Reason;
use offload::record::{self, Record};
use offload::settings::{Callback as CallbackRule, Settings};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Callbacks that may wait for their try to begin; their queue bounds how many are under way.
const PARCELS_MAX: usize = 64;

/// What makes the tries.
struct Caller {
    engine: Arc<Engine>,
    poster: Poster,
}

/// Is this job a callback?
pub fn is_one(parcel: &Parcel) -> bool {
    let summary = record::read(&parcel.record);
    matches!(summary, Ok(Record::Accept(s)) if s.queue == CALLBACKS && s.service.is_empty())
}

/// Starts what makes the tries; answers where callbacks are given to it.
pub fn start(engine: Arc<Engine>, runtime: &Handle) -> mpsc::Sender<Parcel> {
    let (give, mut take) = mpsc::channel::<Parcel>(PARCELS_MAX);
    let poster = Poster::new(Some(engine.settings()));
    let caller = Arc::new(Caller { engine, poster });
    let calling = runtime.clone();
    runtime.spawn(async move {
        while let Some(parcel) = take.recv().await {
            let caller = Arc::clone(&caller);
            calling.spawn(async move { caller.call(parcel).await });
        }
    });
    give
}

/// What an operator should know before receivers do.
pub fn remark(settings: &settings::Settings) {
    let Some(offload) = &settings.offload else { return };
    let calls = |route: &settings::Route| {
        route.offload.as_ref().is_some_and(|rule| rule.callback != CallbackRule::None)
    };
    if offload.callback_secrets.is_empty() && settings.routes.iter().any(calls) {
        let detail = "callbacks are not signed: `secrets` of [offload.callback] signs them";
        monitor::log::complain(Moment::now(), format_args!("offload: {detail}"));
    }
}

/// What callbacks are allowed beside public addresses.
pub fn allowed(settings: &Settings) -> Allowed<'_> {
    Allowed { networks: &settings.callback_allow, http: settings.callback_http }
}

impl Caller {
    /// Makes one try and tells the room what came of it.
    async fn call(&self, parcel: Parcel) {
        let came = tokio::time::timeout(self.time(), self.attempt(&parcel)).await;
        let (tried, answer) = match came {
            Ok(Ok(came)) => came,
            Ok(Err(reason)) => (Tried::Failed(reason), Vec::new()),
            Err(_) => (Tried::Failed(Reason::Timeout), Vec::new()),
        };
        let noted = self.engine.tried(parcel.id, parcel.attempt, tried, answer);
        let _closed = noted.await;
    }

    fn time(&self) -> Duration {
        let time = self
            .engine
            .with_book(|book| book.queue(CALLBACKS).map(|queue| book.rules(queue).try_time));
        time.unwrap_or(TRY_TIME)
    }

    /// What came of a try, and the answer as it is kept; or why there is none.
    async fn attempt(&self, parcel: &Parcel) -> Result<(Tried, Vec<u8>), Reason> {
        let told = callback::read(&parcel.request).ok_or(Reason::Damaged)?;
        let Ok(Record::Accept(summary)) = record::read(&parcel.record) else {
            return Err(Reason::Damaged);
        };
        // A replay is the same message once more.
        let id = if summary.replay { summary.origin } else { parcel.id }.to_string();
        let body = parcel.request.slice(told.body_at..);
        let letter =
            Letter { url: told.url, id: &id, attempt: parcel.attempt, fields: &told.fields, body };
        let answer = self.poster.post(letter).await.map_err(|why| reason(parcel, &why))?;
        let mut head = ResponseHead::build(answer.status);
        if let Some(kind) = &answer.content_type {
            head.fields.push(b"Content-Type", kind);
        }
        let (status, retry_after) = (answer.status, answer.retry_after);
        Ok((Tried::Answered { status, retry_after }, answer_bytes(&head, &answer.body)))
    }
}

fn reason(parcel: &Parcel, why: &Unanswered) -> Reason {
    match why {
        Unanswered::NotAllowed(why) => {
            let detail = format_args!("callback {}: {why}", parcel.id);
            monitor::log::complain(Moment::now(), detail);
            Reason::Refused
        }
        Unanswered::Unreachable(_) => Reason::Unreachable,
        Unanswered::Bad(_) => Reason::BadAnswer,
        Unanswered::Damaged => Reason::Damaged,
    }
}
