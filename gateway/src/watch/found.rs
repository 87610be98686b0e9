//! What discovery hands to a keeper: the last list, and complaints that are said once.

use base::Moment;
use service::discover::shown;
use service::settings::Spot;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How soon the same trouble is told again while it lasts.
const TROUBLE_AGAIN: Duration = Duration::from_mins(1);
/// How much of it is told: parts of it may be what somebody else wrote.
const TROUBLE_CHARS_MAX: usize = 500;

/// A task that ends when its owner does.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A list as it was found; `None` before the first.
pub(super) type Found = Option<Arc<[Spot]>>;

/// Where a source tells what it finds. Nothing queues up: a keeper sees the last list.
#[derive(Debug)]
pub(super) struct Teller {
    service: String,
    found: watch::Sender<Found>,
    trouble: Option<(String, Moment)>,
}

impl Teller {
    /// One for this service, with where its keeper looks.
    pub(super) fn new(service: &str) -> (Self, watch::Receiver<Found>) {
        let (found, looks) = watch::channel(None);
        (Self { service: service.to_owned(), found, trouble: None }, looks)
    }

    /// These are the servers.
    pub(super) fn found(&mut self, spots: Vec<Spot>) {
        self.found.send_if_modified(|last| {
            let news = last.as_deref() != Some(&spots);
            if news {
                *last = Some(spots.into());
            }
            news
        });
    }

    /// Was anything found yet?
    pub(super) fn has_found(&self) -> bool {
        self.found.borrow().is_some()
    }

    /// Something went wrong; what was found last stays in force.
    pub(super) fn trouble(&mut self, why: String) {
        let stay = match self.found.borrow().as_ref().map(|spots| spots.len()) {
            None => "no servers are known yet".to_owned(),
            Some(count) => format!("the {count} servers found last stay"),
        };
        self.tell(why, &stay);
    }

    /// Some of what was found is no server; the rest was told by [`Teller::found`].
    pub(super) fn left_out(&mut self, what: String) {
        self.tell(what, "it is left out");
    }

    fn tell(&mut self, why: String, so: &str) {
        let now = Moment::now();
        let told = self.trouble.as_ref();
        if told.is_none_or(|(last, at)| *last != why || now.since(*at) >= TROUBLE_AGAIN) {
            let (service, text) = (&self.service, shown(&why, TROUBLE_CHARS_MAX));
            monitor::log::complain(now, format_args!("service {service}: {text}; {so}"));
            self.trouble = Some((why, now));
        }
    }

    /// It goes well, or well again.
    pub(super) fn fine(&mut self) {
        if self.trouble.take().is_some() {
            let service = &self.service;
            let text = format_args!("service {service}: its servers are found again");
            monitor::log::complain(Moment::now(), text);
        }
    }
}
