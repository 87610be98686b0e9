//! The tests' only way to the shop: open one, and ask it over a socket.

use serde_json::Value;
use shop::{Options, Running, serve};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A small shop with all sins, on a port of its own, changed by `change`.
pub(crate) async fn open(change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::standard("127.0.0.1:0".parse().unwrap());
    options.products = 2_000;
    options.mail_time = Duration::from_millis(100);
    change(&mut options);
    serve(options).await.unwrap()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) async fn get(shop: &Running, path: &str) -> Answer {
    ask(shop, "GET", path, &[], "").await
}

pub(crate) async fn counters(shop: &Running) -> Value {
    get(shop, "/counters").await.json()
}

pub(crate) async fn ask(
    shop: &Running,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(shop.address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n");
    for (name, value) in fields {
        head = format!("{head}{name}: {value}\r\n");
    }
    head = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer { status, fields, body: body.to_owned() }
}
