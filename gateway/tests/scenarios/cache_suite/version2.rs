//! The client of the suite over HTTP/2, a connection for each request.

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::HeaderMap;
use scenario::PATIENCE;
use scenario::message::{Field, latin};
use scenario::suite::{Ask, Seen, Speak};
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use tokio::net::TcpStream;

/// HTTP/2 with prior knowledge.
pub(crate) struct Streams(pub(crate) SocketAddr);

impl Speak for Streams {
    fn speak(&self, ask: &Ask) -> Result<Seen, String> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().map_err(told)?;
        let exchange = async { tokio::time::timeout(PATIENCE, exchange(self.0, ask)).await };
        runtime.block_on(exchange).map_err(told)?
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn exchange(address: SocketAddr, ask: &Ask<'_>) -> Result<Seen, String> {
    let tcp = TcpStream::connect(address).await.map_err(told)?;
    let (send, connection) = h2::client::handshake(tcp).await.map_err(told)?;
    let driver = tokio::spawn(connection);
    let mut send = send.ready().await.map_err(told)?;
    let uri = format!("http://{address}{}", ask.target);
    let mut request = http::Request::builder().method(ask.method).uri(uri);
    for (name, value) in &ask.fields {
        let value: Vec<u8> = value.chars().map(|c| c as u8).collect();
        request = request.header(name, value);
    }
    if let Some(body) = ask.body {
        request = request.header("content-length", body.len());
    }
    let request = request.body(()).map_err(told)?;
    let (response, mut body) = send.send_request(request, ask.body.is_none()).map_err(told)?;
    if let Some(text) = ask.body {
        body.send_data(Bytes::copy_from_slice(text.as_bytes()), true).map_err(told)?;
    }
    let seen = read(response).await;
    driver.abort();
    seen
}

async fn read(mut response: ResponseFuture) -> Result<Seen, String> {
    let mut interim = Vec::new();
    let final_head = poll_fn(|cx| {
        // Interim responses first: polling for the final one may drop what stands before it.
        while let Poll::Ready(Some(head)) = response.poll_informational(cx) {
            match head {
                Ok(head) => interim.push((head.status().as_u16(), fields(head.headers()))),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(&mut response).poll(cx)
    });
    let (parts, mut stream) = final_head.await.map_err(told)?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(told)?;
        stream.flow_control().release_capacity(data.len()).map_err(told)?;
        body.extend_from_slice(&data);
    }
    Ok(Seen { status: parts.status.as_u16(), fields: fields(&parts.headers), interim, body })
}

fn fields(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| (name.to_string(), latin(value.as_bytes()))).collect()
}
