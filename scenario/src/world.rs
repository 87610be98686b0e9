//! A deployment in simulated time: clients, gateways, servers, and what becomes of every request.
//!
//! A discrete-event simulation. The gateways in it choose, hedge, retry, limit and eject by the very
//! code that does so on the path of requests (`balance`, and the decisions of `service`); clients,
//! servers and the time between them are made up. One seed, one history: nothing here reads a clock,
//! and a history of a minute with 100,000 requests takes some tens of milliseconds, so that a
//! statement about tails can be tested over as many seeds as one likes.
//!
//! What is left out: connections, bodies, bytes, and the time that the gateway itself takes.

mod agenda;
mod chance;
mod clients;
mod door;
mod gateway;
mod machine;
mod report;
mod run;

pub use chance::Chance;
pub use clients::Clients;
pub use machine::{Cancel, Machine, Mood, Spell, Stall};
pub use report::{End, Report, Window};

use balance::settings::{Scheme, Server, Spot};
use service::settings::Settings;
use std::time::Duration;

/// A deployment, and what happens to it.
#[derive(Clone, Debug)]
pub struct World {
    /// The servers there are.
    pub machines: Vec<Machine>,
    /// What each gateway is told; their servers are [`World::spots`].
    pub gateways: Vec<Settings>,
    /// Who asks.
    pub clients: Clients,
    /// Which machines the gateways know of, from when on: all, from the beginning, where this is empty.
    pub known: Vec<(Duration, Vec<usize>)>,
    /// How long it is watched.
    pub time: Duration,
}

impl World {
    /// One gateway before so many machines of a kind.
    pub fn new(machines: Vec<Machine>, clients: Clients, time: Duration) -> Self {
        let gateways = vec![Settings::standard("world".to_owned(), Vec::new())];
        Self { machines, gateways, clients, known: Vec::new(), time }
    }

    /// The same with other settings of all gateways.
    #[must_use]
    pub fn with(mut self, set: impl Fn(&mut Settings)) -> Self {
        self.gateways.iter_mut().for_each(set);
        self
    }

    /// What comes of it by this seed.
    pub fn run(&self, seed: u64) -> Report {
        run::Run::new(self, seed).finish()
    }

    /// These machines as a gateway's settings name them.
    fn spots(&self, machines: &[usize]) -> Vec<Spot> {
        let spot = |&index: &usize| {
            let machine = &self.machines[index];
            // The port tells which machine it is: see `gateway::machine_of`.
            let port = u16::try_from(index).expect("fewer machines than ports");
            let host = "machine".to_owned();
            Spot {
                weight: machine.weight,
                zone: machine.zone.clone(),
                ..Spot::from(Server { scheme: Scheme::Http, host, port, address: None })
            }
        };
        machines.iter().map(spot).collect()
    }
}
