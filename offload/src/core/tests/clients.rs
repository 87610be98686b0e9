//! What clients do, and what operators and disks do to them.

use super::super::*;
use super::model::*;
use super::world::{Room, World};
use crate::history::Event;
use crate::log::sim::Faults;

impl World {
    /// One thing that somebody does.
    pub(super) fn act(&mut self, room: &mut Room) {
        match self.dice.u8(..40) {
            0..18 => self.send(room),
            18..22 => self.send_again(room),
            22 => self.send_another(room),
            23..26 => {
                if let Some(id) = self.somebody() {
                    let (reply, answer) = oneshot::channel();
                    room.asks.push_back(Ask::Cancel { id, reply });
                    self.waits.cancels.push((id, answer));
                }
            }
            26 => {
                if let Some(id) = self.somebody() {
                    let serial = self.by_id[&id];
                    self.sent.get_mut(&serial).unwrap().hurried = true;
                    room.asks.push_back(Ask::Hurry { id, reply: oneshot::channel().0 });
                }
            }
            27 => {
                let mut queues = self.settings.queues.clone();
                for queue in &mut queues {
                    queue.at_once = self.dice.usize(1..=AT_ONCE);
                }
                room.asks.push_back(Ask::Settle(queues, limits(&self.settings)));
            }
            28 => {
                let full = self.dice.bool();
                self.disk.set_faults(Faults { full, ..Faults::default() });
            }
            29 => {
                let few = self.dice.u64(4..24) * u64::from(self.options.segment_bytes);
                self.disk.set_bytes_max(if self.dice.bool() { few } else { DISK_BYTES });
            }
            _ => {}
        }
    }

    /// A job of late.
    fn somebody(&mut self) -> Option<JobId> {
        let mut ids: Vec<JobId> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        let from = ids.len().saturating_sub(30);
        self.dice.choice(&ids[from..]).copied()
    }

    fn send(&mut self, room: &mut Room) {
        let mut new = self.request();
        let bytes = match self.dice.u8(..10) {
            0 => self.dice.usize(..self.options.segment_bytes as usize / 4),
            1 => 0,
            _ => self.dice.usize(..400),
        };
        let serial = self.serial;
        if !new.replay && self.dice.bool() {
            let claim = u128::from(self.era * 1_000 + self.dice.u64(1..40));
            // One that has ended by our count has ended, whoever was heard last.
            let known = self.keys.get(&claim).map(|key| self.sent[&key.serial].last_until);
            if known.is_some_and(|until| self.now <= until) {
                return self.send_again(room);
            }
            new.claim = claim;
            new.print = u128::from(serial);
            self.keys.insert(claim, Key { serial, until: Wall(u64::MAX) });
        }
        self.serial += 1;
        let hold = if self.dice.bool() { Duration::from_hours(10) } else { millis(4_000) };
        self.sent.insert(serial, Sent { new, bytes, hold, ..Sent::default() });
        self.note(Event::Offered(serial.into()));
        self.ask(room, serial);
    }

    fn request(&mut self) -> New {
        let queue = self.dice.usize(..QUEUES.len());
        let (dice, now) = (&mut self.dice, self.now);
        let place = (queue as u64 + 1) << 32;
        let mut new = New { queue: QUEUES[queue].to_owned(), priority: 5, ..New::default() };
        "shop".clone_into(&mut new.service);
        if dice.u8(..3) == 0 {
            new.order = place | dice.u64(1..5);
        }
        match dice.u8(..12) {
            0 => new.debounce = place | dice.u64(1..4),
            1 => new.due = now + millis(dice.u64(..5_000)),
            2 => new.expires = now + millis(dice.u64(..3_000)),
            3 => new.priority = dice.u8(..10),
            4 => {
                new.replay = true;
                new.origin = JobId([1; 16]);
            }
            _ => {}
        }
        new
    }

    fn ask(&mut self, room: &mut Room, serial: u64) {
        let now = self.now;
        let sent = self.sent.get_mut(&serial).unwrap();
        sent.open += 1;
        if sent.new.claim != 0 {
            sent.new.claimed_until = now + sent.hold;
            sent.last_until = sent.last_until.max(sent.new.claimed_until);
            if let Some(key) = self.keys.get_mut(&sent.new.claim) {
                key.until = key.until.min(sent.new.claimed_until);
            }
        }
        let (reply, answer) = oneshot::channel();
        let (new, request) = (Box::new(sent.new.clone()), sent.request(serial));
        room.asks.push_back(Ask::Accept { new, request, reply });
        self.waits.accepts.push((serial, answer));
    }

    /// A client says the same once more.
    fn send_again(&mut self, room: &mut Room) {
        if let Some(key) = self.some_key() {
            self.ask(room, key.serial);
        }
    }

    /// Another request has a name that is known.
    fn send_another(&mut self, room: &mut Room) {
        let Some(key) = self.some_key() else { return };
        let sent = &self.sent[&key.serial];
        if sent.id.is_none() {
            return;
        }
        let (reply, answer) = oneshot::channel();
        let new = Box::new(New { print: u128::MAX, ..sent.new.clone() });
        room.asks.push_back(Ask::Accept { new, request: vec![255; 8], reply });
        self.waits.others.push(answer);
    }

    /// A name that holds for a while yet.
    fn some_key(&mut self) -> Option<Key> {
        let soon = self.now + millis(1_000);
        let mut keys: Vec<Key> = self.keys.values().copied().collect();
        keys.retain(|key| key.until > soon);
        keys.sort_unstable_by_key(|key| key.serial);
        self.dice.choice(&keys).copied()
    }

    /// A client hears what came of its request.
    pub(super) fn answered(&mut self, serial: u64, answer: &Accepted) {
        let seed = self.seed;
        let sent = self.sent.get_mut(&serial).unwrap();
        sent.open -= 1;
        match answer {
            Accepted::Yes(id) | Accepted::Same(id) => {
                let is_new = matches!(answer, Accepted::Yes(_));
                let is_right = sent.id.is_none_or(|before| before == *id && !is_new);
                assert!(is_right, "seed {seed}: {serial} is {answer:?}: {sent:?}");
                self.sums.same += u64::from(!is_new);
                self.accepted(serial, *id);
            }
            Accepted::Mismatch => panic!("seed {seed}: {serial} has its own name: {sent:?}"),
            Accepted::Full(..) | Accepted::DiskFull => {
                self.sums.refused += 1;
                sent.doubtful |= sent.open > 0 || sent.id.is_some();
                if !sent.doubtful {
                    let claim = sent.new.claim;
                    self.keys.remove(&claim);
                    self.note(Event::Refused(serial.into()));
                }
            }
            Accepted::Broken(_) => sent.doubtful = true,
        }
    }

    /// Its client was not answered.
    pub(super) fn doubt(&mut self, serial: u64) {
        let sent = self.sent.get_mut(&serial).unwrap();
        sent.open -= 1;
        sent.doubtful = true;
    }

    /// It is promised, whether its client knows or not.
    pub(super) fn accepted(&mut self, serial: u64, id: JobId) {
        let sent = self.sent.get_mut(&serial).unwrap();
        if sent.id.replace(id).is_some() {
            return;
        }
        let queue = QUEUES.iter().position(|name| *name == sent.new.queue).unwrap();
        let (order, replay) = (sent.new.order, sent.new.replay);
        let other = self.by_id.insert(id, serial);
        assert!(other.is_none(), "seed {}: {id} is {serial} and {other:?}", self.seed);
        self.note(Event::Accepted { job: serial.into(), queue, order, replay });
    }
}
