//! Sockets to listen on: one of each address for every thread, so that no thread waits for another.
//!
//! `SO_REUSEPORT` lets our threads share an address, and would let a second gateway join unnoticed.
//! So each address is first bound without it: a port that is taken is an error that says by whom.

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that may wait to be accepted, for each thread.
const BACKLOG: i32 = 4_096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{}", holder.as_deref().map(|h| format!(" (held by {h})")).unwrap_or_default())]
pub struct ListenError {
    address: SocketAddr,
    holder: Option<String>,
    source: io::Error,
}

/// `count` listening sockets that share an address; port 0 lets the system choose one for all.
///
/// # Errors
/// The address is taken, or not ours.
pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let fail = |source: io::Error| {
        let taken = source.kind() == io::ErrorKind::AddrInUse;
        ListenError { address, holder: if taken { holder(address) } else { None }, source }
    };
    let probe = socket(address, false).map_err(fail)?;
    // Where the system chose the port, it is ours again a moment later: it hands out others first.
    let address = probe.local_addr().map_err(fail)?.as_socket().unwrap_or(address);
    drop(probe);
    let shared = (0..count).map(|_| {
        let socket = socket(address, true)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    });
    shared.collect::<io::Result<_>>().map_err(fail)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    if !shared {
        // Binding alone is allowed beside a listener that set SO_REUSEADDR; listening is not.
        socket.listen(1)?;
    }
    Ok(socket)
}

/// Refuses connections that have not begun yet, so that those already waiting or shaking hands can be
/// accepted and the socket then be closed without resetting anybody.
///
/// # Errors
/// The kernel does not take the filter.
pub fn refuse_new(listener: &tokio::net::TcpListener) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS_AT: u32 = 13; // of the TCP header, which is where a filter on a TCP socket begins
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(JUMP_IF_SET, 1, 0, ACK), // part of a handshake: keep
        SockFilter::new(JUMP_IF_SET, 1, 0, SYN), // the first of one: drop
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

/// The process that listens on an address, if the kernel lets us see it: `nginx (pid 123)`.
fn holder(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            let listening = *fields.get(3)? == "0A";
            (listening && port == address.port()).then(|| fields.get(9).map(|i| (*i).to_owned()))?
        })
    })?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let holds = fs::read_dir(process.path().join("fd")).ok()?.flatten().any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy() == wanted)
        });
        if !holds {
            return None;
        }
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} (pid {})", name.trim(), process.file_name().to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_an_error_that_says_by_whom() {
        let ours = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
        let address = ours[0].local_addr().unwrap();
        assert_eq!(ours[1].local_addr().unwrap(), address);
        let error = bind(address, 1).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("pid"), "{error}");
    }
}
