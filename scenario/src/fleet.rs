//! Several origins that play one script together: what matters is which request it is of all, not
//! which of them a balancer sent it to.

use crate::gate::Watched;
use crate::{Action, Origin, Request, Text, patience};
use std::net::SocketAddr;
use std::sync::Arc;

/// Some origins.
pub struct Fleet {
    /// They.
    pub origins: Vec<Origin>,
    order: Arc<Watched<Order>>,
}

#[derive(Debug, Default)]
struct Order {
    servers: Vec<usize>,
    /// Nobody waits for more any longer.
    over: bool,
}

/// A request as the whole fleet counts it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Which origin got it, from 0.
    pub server: usize,
    /// The how-manieth of all it is, from 1.
    pub number: usize,
    order: Arc<Watched<Order>>,
}

impl Fleet {
    /// So many that follow this script.
    pub fn play(
        count: usize,
        script: impl Fn(&Turn, &Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        let order: Arc<Watched<Order>> = Arc::default();
        let script = Arc::new(script);
        let start = |server| {
            let (order, script) = (Arc::clone(&order), Arc::clone(&script));
            Origin::play(move |request| {
                let number = order.change(|order| {
                    order.servers.push(server);
                    order.servers.len()
                });
                script(&Turn { server, number, order: Arc::clone(&order) }, request)
            })
        };
        Self { origins: (0..count).map(start).collect(), order }
    }

    /// Their addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.origins.iter().map(Origin::address).collect()
    }

    /// Settings of a gateway of one thread before them that caches nothing.
    pub fn text(&self) -> Text {
        Text::to(&self.addresses()).top("threads = 1\ncache = false")
    }

    /// Who got the requests, in their order.
    pub fn order(&self) -> Vec<usize> {
        self.order.lock().servers.clone()
    }

    /// How many requests they have had together.
    pub fn total(&self) -> usize {
        self.order.lock().servers.len()
    }

    /// How many requests each has had.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.origins.len()];
        self.order.lock().servers.iter().for_each(|&server| counts[server] += 1);
        counts
    }

    /// Who got the `number`th request of all, and that request when it is whole. Only where nothing
    /// was forgotten.
    #[track_caller]
    pub fn request(&self, number: usize) -> (usize, Request) {
        let order = self.order();
        let server = *order.get(number - 1).unwrap_or_else(|| panic!("only {order:?}"));
        let nth = order[..number].iter().filter(|&&other| other == server).count();
        (server, self.origins[server].request(nth))
    }

    /// Waits until they have had so many requests together.
    #[track_caller]
    pub fn wait(&self, total: usize) {
        let enough =
            self.order.wait(patience(), |order| (order.servers.len() >= total).then_some(()));
        assert!(enough.is_some(), "{:?} and not {total} requests", self.order());
    }

    /// What a strict server would have refused.
    pub fn problems(&self) -> Vec<String> {
        self.origins.iter().flat_map(Origin::problems).collect()
    }

    /// Lets everybody who waits in [`Turn::wait`] go on.
    pub fn let_go(&self) {
        self.order.change(|order| order.over = true);
    }
}

impl Turn {
    /// Waits until the fleet has had so many requests; in a script it holds up the answer.
    pub fn wait(&self, total: usize) {
        self.order
            .wait(patience(), |order| (order.over || order.servers.len() >= total).then_some(()));
    }
}
