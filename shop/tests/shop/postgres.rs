//! The shop on a real PostgreSQL server, started here on a free port.
//!
//! Left out, loudly, where there is no server to start.

use crate::asking::{ask, counters, get, open};
use shop::{Options, ShopError, Sin, Sins, Storage, serve};
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of ours; stopped and removed on drop.
struct Server {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Server {
    fn url(&self) -> String {
        format!("postgres://shop@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts one, or says why not.
    fn start() -> Result<Self, String> {
        let tools = tools().ok_or("no initdb in PATH or /usr/lib/postgresql/*/bin")?;
        let user = user()?;
        let directory = std::env::temp_dir().join(format!("shop-pg-{:x}", fastrand::u64(..)));
        fs::create_dir(&directory).map_err(|error| error.to_string())?;
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&directory, Some(user), Some(group))
                .map_err(|error| error.to_string())?;
        }
        let data = directory.join("data");
        let mut initdb = command(&tools.join("initdb"), user, &directory);
        let made = initdb
            .args(["-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let process = command(&tools.join("postgres"), user, &directory)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", directory.display()))
            .spawn()
            .map_err(|error| error.to_string())?;
        Ok(Self { process, directory, port })
    }
}

/// PostgreSQL refuses to run as root: then the user `postgres` must be there.
fn user() -> Result<Option<(u32, u32)>, String> {
    let own = Command::new("id").arg("-u").output().map_err(|error| error.to_string())?;
    if String::from_utf8_lossy(&own.stdout).trim() != "0" {
        return Ok(None);
    }
    let number = |flag: &str| {
        let found = Command::new("id").args([flag, "postgres"]).output().ok()?;
        String::from_utf8_lossy(&found.stdout).trim().parse().ok()
    };
    let ids = number("-u").zip(number("-g"));
    ids.map(Some).ok_or("run as root, and there is no user postgres to run the server".to_owned())
}

fn command(program: &Path, user: Option<(u32, u32)>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

fn tools() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    places.into_iter().find(|place| place.join("initdb").is_file())
}

#[tokio::test]
async fn the_shop_is_the_same_on_postgresql() {
    let server = match Server::start() {
        Ok(server) => server,
        Err(why) => {
            // Past the harness, which hides what passing tests print.
            let _ = writeln!(
                std::io::stderr(),
                "\nLEFT OUT: the_shop_is_the_same_on_postgresql: {why}.\n\
                 Install the Debian package postgresql to run it.\n"
            );
            return;
        }
    };
    let url = server.url();
    let any = "127.0.0.1:0".parse().unwrap();
    let options = Options {
        database: Storage::Postgres(url.clone()),
        products: 500,
        ..Options::standard(any)
    };
    let mut opened = serve(options.clone()).await;
    for _ in 0..200 {
        if !matches!(opened, Err(ShopError::Postgres(_))) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        opened = serve(options.clone()).await;
    }
    let on_postgres = opened.unwrap();
    let embedded = open(|options| options.products = 500).await;
    for path in [
        "/home",
        "/products/3",
        "/catalogue/products?category=2",
        "/search?q=oak+lamp",
        "/reviews/1",
        "/recommendations/1",
        "/orders/7",
        "/cart/1",
    ] {
        let (there, here) = (get(&on_postgres, path).await, get(&embedded, path).await);
        assert_eq!(there.status, 200, "{path}: {}", there.body);
        assert_eq!(there.json(), here.json(), "{path}");
        assert_eq!(there.field("etag"), here.field("etag"), "{path}");
    }
    let key = [("Idempotency-Key", "k")];
    let order = r#"{"customer":1,"lines":[{"product":1,"quantity":2}]}"#;
    let first = ask(&on_postgres, "POST", "/orders", &key, order).await;
    let again = ask(&on_postgres, "POST", "/orders", &key, order).await;
    assert_eq!((first.status, first.body), (201, again.body));
    let cart = ask(&on_postgres, "PUT", "/cart/5", &[], r#"{"product":1,"quantity":2}"#).await;
    assert_eq!(cart.json()["lines"][0]["quantity"], 2, "{}", cart.body);
    assert_eq!(counters(&on_postgres).await["reports"], 1);
    assert_eq!(get(&on_postgres, "/sins").await.json()["database"], "postgresql");
    on_postgres.stop().await;

    let saintly = Options { without: Sins::ALL, ..options.clone() };
    let second = serve(saintly).await.unwrap();
    for path in ["/home", "/products/3", "/reviews/1", "/search?q=lamp", "/cart/5"] {
        assert_eq!(get(&second, path).await.status, 200, "{path}");
    }
    second.stop().await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'fleetfoot_shop' \
        AND indexname IN ('review_product', 'line_product', 'term_word', 'product_category')";
    assert_eq!(client.query_one(indexes, &[]).await.unwrap().get::<_, i64>(0), 4);
    let plain = Options { without: Sins::of(&[Sin::SlowMail]), ..options.clone() };
    serve(plain).await.unwrap().stop().await;
    assert_eq!(client.query_one(indexes, &[]).await.unwrap().get::<_, i64>(0), 0);

    let other = serve(Options { seed: 2, ..options }).await.err().unwrap();
    assert!(matches!(other, ShopError::OtherCatalogue { .. }), "{other}");
    embedded.stop().await;
}
