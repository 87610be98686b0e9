//! What `service` reads of clients, files and servers: deadlines, lists of servers, answers of checks.

use crate::show;
use base::{RequestHead, Version};
use service::settings::Deadlines;
use service::{check, deadline, discover};
use std::time::Duration;

/// A deadline that is read, handed on and read again never grows; a list of servers is taken whole or
/// not at all, and what is taken can be named again; a gRPC answer is read or refused.
pub fn services(data: &[u8]) {
    for time in [deadline::grpc_timeout(data), deadline::plain_timeout(data, true)] {
        let Some(time) = time else { continue };
        let rules = Deadlines::standard();
        let mut head = RequestHead::build(Version::Http11, b"POST", b"/");
        head.fields.push(b"Content-Type", b"application/grpc");
        deadline::write(&mut head, Some(time), true, &rules);
        match deadline::told(&head.fields, &rules) {
            deadline::Told::For(told) => assert!(told <= time, "{}", show(data)),
            other => assert!(time < Duration::from_millis(2), "{other:?}: {}", show(data)),
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(spots) = discover::file::parse(text)
    {
        for spot in spots {
            assert!(spot.weight > 0 && !spot.server.host.is_empty(), "{}", show(data));
            let url = balance::settings::url(&spot.server);
            assert_eq!(discover::file::server(&url), Ok(spot.server), "{}", show(data));
        }
    }
    let _read_or_refused = check::grpc_status(data);
}
