//! A name server for one test: it answers over UDP on the loopback from a table that changes.
//!
//! Just enough of RFC 1035 and RFC 2782 for a stub resolver: one question, answers without
//! compression but of the question's own name. What it is not told of is NXDOMAIN.

use crate::gate::Watched;
use crate::gateway::Folder;
use crate::patience;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// One record, as an answer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME: answers whatever is asked for.
    Alias(String),
    /// SRV: priority, weight, port, target.
    Srv(u16, u16, u16, String),
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => 1,
            Self::Address(IpAddr::V6(_)) => 28,
            Self::Alias(_) => 5,
            Self::Srv(..) => 33,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(address)) => address.octets().to_vec(),
            Self::Address(IpAddr::V6(address)) => address.octets().to_vec(),
            Self::Alias(target) => wire_name(target),
            Self::Srv(priority, weight, port, target) => {
                let numbers = [priority, weight, port].map(|number| number.to_be_bytes());
                [numbers.concat(), wire_name(target)].concat()
            }
        }
    }
}

/// How it treats questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It answers SERVFAIL.
    Failing,
    /// It answers nothing.
    Silent,
}

struct State {
    table: HashMap<String, (u32, Vec<Record>)>,
    mood: Mood,
    asked: Vec<(String, u16)>,
    ended: bool,
}

/// A running name server; ends when dropped.
pub struct Names {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    folder: Folder,
}

impl Names {
    /// One that knows nothing yet.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
        let address = socket.local_addr().expect("bound");
        let state =
            State { table: HashMap::new(), mood: Mood::Well, asked: Vec::new(), ended: false };
        let state = Arc::new(Watched::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || serve(&socket, &shared));
        let folder = Folder::new();
        let conf =
            format!("nameserver [127.0.0.1]:{}\noptions timeout:1 attempts:1\n", address.port());
        folder.write("resolv.conf", &conf);
        Self { address, state, folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `resolv.conf` that names it, for `FLEETFOOT_RESOLV_CONF`.
    pub fn resolv_conf(&self) -> PathBuf {
        self.folder.path().join("resolv.conf")
    }

    /// From now on these are all records of a name, with this TTL in seconds.
    pub fn put(&self, name: &str, ttl: u32, records: Vec<Record>) {
        self.state.change(|state| state.table.insert(name.to_owned(), (ttl, records)));
    }

    /// The same for addresses alone.
    pub fn put_addresses(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        self.put(name, ttl, addresses.iter().copied().map(Record::Address).collect());
    }

    /// From now on there is no such name.
    pub fn remove(&self, name: &str) {
        self.state.change(|state| state.table.remove(name));
    }

    /// Changes how it treats questions.
    pub fn mood(&self, mood: Mood) {
        self.state.change(|state| state.mood = mood);
    }

    /// How often it was asked for records of this kind (A is 1, SRV is 33).
    pub fn asked(&self, name: &str, kind: u16) -> usize {
        let asked = &self.state.lock().asked;
        asked.iter().filter(|(asked, k)| asked == name && *k == kind).count()
    }

    /// Waits until it was asked `n` times more for records of this kind.
    #[track_caller]
    pub fn wait_asked(&self, name: &str, kind: u16, n: usize) {
        let goal = self.asked(name, kind) + n;
        let asked = self.state.wait(patience(), |state| {
            let asked = state.asked.iter().filter(|(asked, k)| asked == name && *k == kind);
            (asked.count() >= goal).then_some(())
        });
        assert!(asked.is_some(), "nobody asked for {name}");
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.state.change(|state| state.ended = true);
    }
}

fn serve(socket: &UdpSocket, state: &Watched<State>) {
    let mut buffer = [0; 4096];
    while !state.lock().ended {
        let Ok((size, from)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = answer(&buffer[..size], state) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The answer to a query; `None` where there is none to be given.
fn answer(query: &[u8], state: &Watched<State>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    let question = query.get(12..at + 4)?;
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    let name = labels.join(".");
    let (mood, found) = state.change(|state| {
        state.asked.push((name.clone(), kind));
        (state.mood, state.table.get(&name).cloned())
    });
    let code = match (mood, &found) {
        (Mood::Silent, _) => return None,
        (Mood::Failing, _) => 2,
        (Mood::Well, None) => 3,
        (Mood::Well, Some(_)) => 0,
    };
    let (ttl, records) = found.filter(|_| code == 0).unwrap_or_default();
    let records: Vec<_> = records.iter().filter(|r| [kind, 5].contains(&r.kind())).collect();
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x85, 0x80 | code, 0, 1]);
    answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    answer.extend([0, 0, 0, 0]);
    answer.extend(question);
    for record in records {
        let data = record.data();
        answer.extend([0xc0, 12]); // the question's name
        answer.extend(record.kind().to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).expect("a short label"));
        out.extend(label.bytes());
    }
    out.push(0);
    out
}
