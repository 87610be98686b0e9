//! Connections to a Redis deployment: one server, a cluster, or the master that sentinels name.
//!
//! A [`Door`] makes connections; a [`Lane`] keeps one and makes the next when it breaks, with pauses
//! that grow. Nobody waits for a lane: without a connection the answer is "no connection".

use crate::settings::{Redis, RedisMode};
use crate::tier::{CONNECT_TIME, Meter, Say, WRITE_TIME, backoff};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, Pipeline, RedisError, RedisResult, TlsCertificates, Value, cmd,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Makes connections.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    settings: Redis,
}

/// A connection; clones are the same one.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Many(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// The answer to one command.
    pub(crate) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Many(connection) => command.query_async(connection).await,
        }
    }

    /// The answers to commands, all on keys of one slot.
    pub(crate) async fn ask_all(&mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::One(connection) => commands.query_async(connection).await,
            Self::Many(connection) => commands.query_async(connection).await,
        }
    }
}

impl Door {
    pub(crate) fn new(settings: Redis) -> Self {
        Self { settings }
    }

    /// The servers, without the secrets in their URLs.
    pub(crate) fn names(&self) -> String {
        let names =
            self.settings.urls.iter().map(|url| match url.as_str().into_connection_info() {
                Ok(info) => info.addr().to_string(),
                Err(_) => "(not a redis URL)".to_owned(),
            });
        names.collect::<Vec<_>>().join(", ")
    }

    /// Certificates are read anew each time: they are renewed while we run.
    async fn trust(&self) -> RedisResult<Option<TlsCertificates>> {
        let Some(file) = &self.settings.trust else { return Ok(None) };
        let pem = tokio::fs::read(file).await?;
        Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
    }

    fn client(info: ConnectionInfo, trust: Option<TlsCertificates>) -> RedisResult<Client> {
        match trust {
            Some(trust) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
                Client::build_with_tls(info, trust)
            }
            _ => Client::open(info),
        }
    }

    /// Who to connect to for a single connection: the server, or the master, or any node.
    async fn clients(&self) -> RedisResult<Vec<Client>> {
        let trust = self.trust().await?;
        let infos = self.settings.urls.iter().map(|url| url.as_str().into_connection_info());
        let mut infos = infos.collect::<RedisResult<Vec<_>>>()?;
        if let RedisMode::Sentinel(name) = &self.settings.mode {
            infos = vec![master(name, &infos, trust.as_ref()).await?];
        }
        infos.into_iter().map(|info| Self::client(info, trust.clone())).collect()
    }

    /// A connection that has answered.
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        let made = timeout(2 * CONNECT_TIME, self.connect_patiently()).await;
        made.unwrap_or_else(|_| Err(too_late("no connection in time")))
    }

    async fn connect_patiently(&self) -> RedisResult<Connection> {
        if self.settings.mode == RedisMode::Cluster {
            let urls = self.settings.urls.iter().map(String::as_str);
            let mut builder = ClusterClient::builder(urls)
                .connection_timeout(CONNECT_TIME)
                .response_timeout(WRITE_TIME)
                .retries(2);
            if let Some(trust) = self.trust().await? {
                builder = builder.certs(trust);
            }
            return Ok(Connection::Many(builder.build()?.get_async_connection().await?));
        }
        let mut connection = self.connect_one().await?;
        if let RedisMode::Sentinel(_) = self.settings.mode {
            // Sentinels lag behind: a master that was deposed may still be named.
            let role = connection.ask(&cmd("ROLE")).await?;
            if role_of(&role).as_deref() != Some("master") {
                return Err(too_late("the server that the sentinels name is no master"));
            }
        } else {
            connection.ask(&cmd("PING")).await?;
        }
        Ok(connection)
    }

    /// A connection to the first server that has one.
    async fn connect_one(&self) -> RedisResult<Connection> {
        let mut error = too_late("no servers");
        for client in self.clients().await? {
            match client.get_multiplexed_async_connection_with_config(&config()).await {
                Ok(connection) => return Ok(Connection::One(connection)),
                Err(why) => error = why,
            }
        }
        Err(error)
    }

    /// A connection that hears a channel.
    pub(crate) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let made = timeout(2 * CONNECT_TIME, self.subscribe_patiently(channel)).await;
        made.unwrap_or_else(|_| Err(too_late("no subscription in time")))
    }

    async fn subscribe_patiently(&self, channel: &str) -> RedisResult<PubSub> {
        let mut error = too_late("no servers");
        for client in self.clients().await? {
            match client.get_async_pubsub().await {
                Ok(mut ear) => {
                    ear.subscribe(channel).await?;
                    return Ok(ear);
                }
                Err(why) => error = why,
            }
        }
        Err(error)
    }
}

/// Asks the sentinels, which need not have the master's password, for the master.
async fn master(
    name: &str,
    sentinels: &[ConnectionInfo],
    trust: Option<&TlsCertificates>,
) -> RedisResult<ConnectionInfo> {
    let mut error = too_late("no sentinels");
    for sentinel in sentinels {
        let open = sentinel.clone().set_redis_settings(redis::RedisConnectionInfo::default());
        for info in [sentinel, &open] {
            let asked = timeout(CONNECT_TIME / 2, ask_master(name, info.clone(), trust.cloned()));
            match asked.await {
                Ok(Ok((host, port))) => {
                    let addr = match sentinel.addr().clone() {
                        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
                        }
                        _ => ConnectionAddr::Tcp(host, port),
                    };
                    return Ok(sentinel.clone().set_addr(addr));
                }
                Ok(Err(why)) => error = why,
                Err(_) => error = too_late("no answer from a sentinel"),
            }
        }
    }
    Err(error)
}

async fn ask_master(
    name: &str,
    sentinel: ConnectionInfo,
    trust: Option<TlsCertificates>,
) -> RedisResult<(String, u16)> {
    // A database number is the master's affair.
    let settings = sentinel.redis_settings().clone().set_db(0);
    let client = Door::client(sentinel.set_redis_settings(settings), trust)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config()).await?;
    cmd("SENTINEL").arg("get-master-addr-by-name").arg(name).query_async(&mut connection).await
}

fn role_of(role: &Value) -> Option<String> {
    match role {
        Value::Array(parts) => redis::from_redis_value(parts.first()?.clone()).ok(),
        _ => None,
    }
}

/// Timeouts of the client library are a second line: each use has a deadline of its own.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIME))
        .set_response_timeout(Some(WRITE_TIME))
}

fn too_late(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}

/// Is a connection of no use after this error?
pub(crate) fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_connection_dropped()
        || error.is_io_error() && !error.is_timeout()
        || matches!(error.code(), Some("READONLY" | "NOAUTH" | "MASTERDOWN"))
}

/// A connection that is made anew when it breaks.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    slot: Mutex<Slot>,
    broken: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    number: u64,
}

impl Lane {
    /// The connection, if there is one, and its number.
    pub(crate) fn connection(&self) -> Option<(Connection, u64)> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        Some((slot.connection.clone()?, slot.number))
    }

    /// Gives up connection `number`, or whichever there is.
    pub(crate) fn break_off(&self, number: Option<u64>) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if number.is_none_or(|number| number == slot.number) && slot.connection.take().is_some() {
            self.broken.notify_one();
        }
    }

    fn fill(&self, connection: Connection) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.connection = Some(connection);
        slot.number += 1;
    }

    /// Keeps a connection, for ever. Says when it cannot and when it can again, if told to whom.
    pub(crate) async fn keep(&self, door: &Door, meter: &Meter, say: Option<&Say>) {
        let mut failures = 0;
        loop {
            match door.connect().await {
                Ok(connection) => {
                    meter.connects.add(1);
                    self.fill(connection);
                    if let Some(say) = say.filter(|_| failures > 0) {
                        say(&format!("redis: connected to {} again", door.names()));
                    }
                    failures = 0;
                    self.broken.notified().await;
                    // A server that accepts and hangs up at once must not make us spin.
                    sleep(Duration::from_millis(10)).await;
                }
                Err(error) => {
                    if let Some(say) = say.filter(|_| failures == 0) {
                        say(&format!(
                            "redis: no connection to {}: {error}; the shared cache is left out \
                             until there is one",
                            door.names()
                        ));
                    }
                    sleep(backoff(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }
}

/// Lanes side by side, so that what is large does not stand before what is small.
pub(crate) type Lanes = Arc<[Lane]>;
