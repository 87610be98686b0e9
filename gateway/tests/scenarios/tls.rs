//! TLS on both sides: certificates by name, versions, ALPN, tickets, reload, trust.

use crate::responses::check_problem;
use crate::stage::{FLEETFOOT, one_thread, start};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig};
use scenario::gateway::Folder;
use scenario::{Client, Gateway, Origin, Text};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// An authority of our own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Pair {
    chain: String,
    key: KeyPair,
    leaf: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn issue(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).expect("legal names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        Pair { chain: certificate.pem(), key, leaf: certificate.der().clone() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        roots
    }

    fn config(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().expect("both versions");
        builder.with_root_certificates(self.roots()).with_no_client_auth()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A gateway with a listener for TLS, its certificates in a folder of our own.
struct House {
    authority: Authority,
    folder: Folder,
    gateway: Gateway,
    origin: Origin,
}

fn write(folder: &Folder, name: &str, pair: &Pair) -> String {
    let chain = folder.write(&format!("{name}.pem"), &pair.chain);
    let key = folder.write(&format!("{name}.key"), &pair.key.serialize_pem());
    format!(
        "{{ chain = {:?}, key = {:?} }}",
        chain.display().to_string(),
        key.display().to_string()
    )
}

fn house(more: &str) -> House {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), Origin::start());
    let first = write(&folder, "first", &authority.issue(&["shop.test", "www.shop.test"]));
    let second = write(&folder, "second", &authority.issue(&["other.test", "*.wild.test"]));
    let section = format!("[tls]\ncertificates = [{first}, {second}]\n{more}\n");
    let settings =
        one_thread(&origin).listen("[\"https://127.0.0.1:0\", \"127.0.0.1:0\"]").rest(&section);
    let gateway = start(&settings);
    House { authority, folder, gateway, origin }
}

impl House {
    /// The listener for TLS; the other one is plain.
    fn address(&self) -> SocketAddr {
        let line = self.gateway.wait_line("listening on https://");
        let (_, address) = line.rsplit_once('/').expect("a URL");
        address.parse().expect("an address")
    }

    fn shake(&self, config: &Arc<ClientConfig>, name: &str) -> Result<Shaken, rustls::Error> {
        shake(self.address(), config, name)
    }
}

type Tls = rustls::StreamOwned<ClientConnection, TcpStream>;

struct Shaken {
    tls: Tls,
}

/// A handshake, done to its end.
fn shake(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<Shaken, rustls::Error> {
    let mut tcp = TcpStream::connect(address).expect("the gateway listens");
    tcp.set_read_timeout(Some(scenario::PATIENCE)).expect("not zero");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut session = ClientConnection::new(Arc::clone(config), name)?;
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut tcp) {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            return Err(inner.cloned().unwrap_or(rustls::Error::General(error.to_string())));
        }
    }
    Ok(Shaken { tls: Tls::new(session, tcp) })
}

impl Shaken {
    fn leaf(&self) -> CertificateDer<'static> {
        let chain = self.tls.conn.peer_certificates().expect("it has one");
        chain[0].clone().into_owned()
    }

    fn client(self) -> Client {
        let tcp = self.tls.sock.try_clone().expect("a socket can be shared");
        Client::over(tcp, Box::new(self.tls)).expect("a socket")
    }
}

#[test]
fn requests_pass_over_tls() {
    let house = house("");
    let config = Arc::new(house.authority.config());
    let shaken = house.shake(&config, "shop.test").expect("a handshake");
    assert_eq!(shaken.tls.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let mut client = shaken.client();
    for _ in 0..5 {
        assert_eq!(client.get("/x").text(), "GET /x HTTP/1.1");
    }
    let head = house.origin.request(1).head;
    assert_eq!(head.one("x-forwarded-proto"), Some("https"));
    // The plain listener beside it says what is true of it.
    let plain = house.gateway.listeners().iter().find(|&&a| a != house.address()).expect("two");
    Client::connect(*plain).get("/y");
    assert_eq!(house.origin.request(6).head.one("x-forwarded-proto"), Some("http"));
}

#[test]
fn large_bodies_pass_over_tls() {
    let house = house("");
    let config = Arc::new(house.authority.config());
    let mut client = house.shake(&config, "shop.test").expect("a handshake").client();
    let body = "x".repeat(3_000_000);
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    assert_eq!(client.response("PUT").status, 200);
    assert_eq!(house.origin.request(1).body.len(), body.len());
}

#[test]
fn certificates_are_chosen_by_name() {
    let house = house("");
    let config = Arc::new(house.authority.config());
    let leaf = |name: &str| house.shake(&config, name).map(|shaken| shaken.leaf());
    let first = leaf("shop.test").expect("a handshake");
    let second = leaf("other.test").expect("a handshake");
    assert_ne!(first, second);
    assert_eq!(leaf("www.shop.test"), Ok(first));
    assert_eq!(leaf("a.wild.test"), Ok(second.clone()));
    assert_eq!(leaf("OTHER.test"), Ok(second));
    // The first certificate is shown, and the client sees that it is not the right one.
    assert!(matches!(leaf("unknown.test"), Err(rustls::Error::InvalidCertificate(_))));
}

#[test]
fn the_protocol_is_agreed_upon() {
    let house = house("");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut config = house.authority.config();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let shaken = house.shake(&Arc::new(config), "shop.test").expect("a handshake");
        assert_eq!(shaken.tls.conn.alpn_protocol(), agreed, "{offered:?}");
        if agreed != Some(b"h2") {
            assert_eq!(shaken.client().get("/").status, 200);
        }
    }
}

#[test]
fn http2_is_spoken_when_agreed_upon() {
    let house = house("");
    let mut config = house.authority.config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    crate::http2::play(async {
        let tcp = tokio::net::TcpStream::connect(house.address()).await.expect("it listens");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("shop.test").expect("a name");
        let tls = connector.connect(name, tcp).await.expect("a handshake");
        let (send, connection) = h2::client::handshake(tls).await.expect("a handshake");
        tokio::spawn(connection);
        let mut send: h2::client::SendRequest<bytes::Bytes> = send.ready().await.expect("room");
        let request = http::Request::get("https://shop.test/").body(()).expect("well-formed");
        let (response, _) = send.send_request(request, true).expect("sent");
        assert_eq!(response.await.expect("an answer").status(), 200);
    });
    assert_eq!(house.origin.request(1).head.one("x-forwarded-proto"), Some("https"));
}

#[test]
fn tls_1_2_is_spoken_unless_the_settings_forbid_it() {
    for (more, allowed) in [("", true), ("minimum = \"1.3\"", false)] {
        let house = house(more);
        let builder = ClientConfig::builder_with_provider(provider());
        let builder =
            builder.with_protocol_versions(&[&rustls::version::TLS12]).expect("supported");
        let config = builder.with_root_certificates(house.authority.roots()).with_no_client_auth();
        let shaken = house.shake(&Arc::new(config), "shop.test");
        assert_eq!(shaken.is_ok(), allowed, "{more}");
    }
}

#[test]
fn sessions_are_resumed() {
    let house = house("");
    let config = Arc::new(house.authority.config());
    let kind = || {
        let shaken = house.shake(&config, "shop.test").expect("a handshake");
        let kind = shaken.tls.conn.handshake_kind();
        // Tickets come after the handshake; they have been read with the answer.
        assert_eq!(shaken.client().get("/").status, 200);
        kind
    };
    assert_eq!(kind(), Some(HandshakeKind::Full));
    assert_eq!(kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn plain_text_on_a_tls_port_is_closed() {
    let house = house("");
    let mut client = Client::connect(house.address());
    client.request("GET", "/");
    client.rest();
    assert!(house.origin.requests().is_empty());
}

#[test]
fn a_handshake_that_stops_is_given_up() {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), Origin::start());
    let pair = write(&folder, "first", &authority.issue(&["shop.test"]));
    let settings = one_thread(&origin)
        .listen("[\"https://127.0.0.1:0\"]")
        .limits("head_time = \"300ms\"\nidle_time = \"300ms\"")
        .rest(&format!("[tls]\ncertificates = [{pair}]\n"));
    let gateway = start(&settings);
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut client = gateway.client();
        client.send(bytes);
        client.rest();
    }
}

#[test]
fn certificates_are_renewed_without_a_restart() {
    let house = house("");
    let config = Arc::new(house.authority.config());
    let old = house.shake(&config, "shop.test").expect("a handshake");
    let fresh = house.authority.issue(&["shop.test"]);
    write(&house.folder, "first", &fresh);
    let answer = house.gateway.ask("POST", "/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A new store of sessions: a resumed one shows the certificate it began with.
    let config = Arc::new(house.authority.config());
    let new = house.shake(&config, "shop.test").expect("a handshake");
    assert_ne!(old.leaf(), new.leaf());
    assert_eq!(new.leaf(), fresh.leaf);
    assert_eq!(old.client().get("/").status, 200, "old connections live on");
    assert_eq!(new.client().get("/").status, 200);
}

#[test]
fn a_broken_certificate_leaves_the_old_one_in_force() {
    let house = house("");
    let config = Arc::new(house.authority.config());
    house
        .folder
        .write("first.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    let answer = house.gateway.ask("POST", "/reload");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("first.pem"), "{}", answer.text());
    let mut client = house.shake(&config, "shop.test").expect("a handshake").client();
    assert_eq!(client.get("/").status, 200);
}

/// An origin that speaks TLS and answers everything with `secret`.
fn origin(pair: &Pair) -> SocketAddr {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().expect("both");
    let config = builder.with_no_client_auth().with_single_cert(vec![pair.leaf.clone()], key);
    let config = Arc::new(config.expect("a matching key"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        while let Ok((tcp, _)) = listener.accept() {
            let config = Arc::clone(&config);
            thread::spawn(move || serve(config, tcp));
        }
    });
    address
}

fn serve(config: Arc<ServerConfig>, tcp: TcpStream) {
    use std::io::{Read, Write};
    let session = rustls::ServerConnection::new(config).expect("a session");
    let mut tls = rustls::StreamOwned::new(session, tcp);
    let mut heard = Vec::new();
    let mut block = [0; 4096];
    while let Ok(n @ 1..) = tls.read(&mut block) {
        heard.extend_from_slice(&block[..n]);
        if heard.ends_with(b"\r\n\r\n") {
            heard.clear();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
            if tls.write_all(answer).and_then(|()| tls.flush()).is_err() {
                return;
            }
        }
    }
}

/// A gateway before an origin whose certificate is for `name`, with these lines for the service.
fn before_tls(name: &str, authority: &Authority, lines: &str) -> Gateway {
    let address = origin(&authority.issue(&[name]));
    let server = format!("https://{address}");
    start(&Text::to_servers(&[&server]).top("threads = 1").service(lines))
}

fn trust(folder: &Folder, authority: &Authority, name: &str) -> String {
    let file = folder.write("trust.pem", &authority.0.pem());
    format!("tls = {{ trust = {:?}, name = {name:?} }}", file.display().to_string())
}

#[test]
fn services_are_spoken_to_over_tls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let gateway =
        before_tls("shop.internal", &authority, &trust(&folder, &authority, "shop.internal"));
    for _ in 0..3 {
        assert_eq!(gateway.get("/").text(), "secret");
    }
}

#[track_caller]
fn distrusted(gateway: &Gateway) {
    let response = gateway.get("/");
    assert_eq!(response.status, 502, "{}", response.text());
    check_problem(&response, "GET");
    assert!(response.text().contains("bad_tls"), "{}", response.text());
}

#[test]
fn a_service_of_an_unknown_authority_is_not_believed() {
    let (ours, theirs, folder) = (Authority::new(), Authority::new(), Folder::new());
    distrusted(&before_tls("shop.internal", &theirs, &trust(&folder, &ours, "shop.internal")));
    distrusted(&before_tls("shop.internal", &theirs, "tls = { name = \"shop.internal\" }"));
}

#[test]
fn a_service_of_another_name_is_not_believed() {
    let (authority, folder) = (Authority::new(), Folder::new());
    distrusted(&before_tls(
        "other.internal",
        &authority,
        &trust(&folder, &authority, "shop.internal"),
    ));
}

#[test]
fn a_service_that_does_not_speak_tls_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = format!("https://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        use std::io::{Read, Write};
        while let Ok((mut tcp, _)) = listener.accept() {
            // What a plain server says to a handshake.
            let said = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            let _ = said.and_then(|()| tcp.read(&mut [0; 4096]));
        }
    });
    distrusted(&start(&Text::to_servers(&[&server])));
}

#[test]
fn bench_speaks_tls_and_either_protocol_and_believes_whom_it_is_told() {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), Origin::start());
    let pair = write(&folder, "local", &authority.issue(&["localhost"]));
    let section = format!("[tls]\ncertificates = [{pair}]\n");
    let gateway = start(&one_thread(&origin).listen("[\"https://127.0.0.1:0\"]").rest(&section));
    let line = gateway.wait_line("listening on https://");
    let (_, port) = line.rsplit_once(':').expect("an address");
    let url = format!("https://localhost:{port}/");
    let trusted = folder.write("authority.pem", &authority.0.pem()).display().to_string();
    let bench = |more: &[&str]| {
        let always = ["bench", &url, "--rate", "50", "--duration", "300ms", "--warm-up", "0s"];
        scenario::gateway::run(&FLEETFOOT, &[&always, more].concat())
    };
    for more in [&["--cacert", &trusted][..], &["--insecure"], &["--insecure", "--http2"]] {
        let ended = bench(more);
        assert_eq!(ended.code, Some(0), "{more:?}: {ended:?}");
        assert!(!ended.stdout.contains("failed:"), "{more:?}: {}", ended.stdout);
    }
    let ended = bench(&[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("--cacert FILE names whom to believe"), "{}", ended.stderr);
}
