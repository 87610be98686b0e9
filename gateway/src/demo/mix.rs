//! What the demo's customers do: the same mix in every phase.

use fastrand::Rng;
use load::{Arrivals, Pace, Plan, Protocol, Request, Target};
use std::net::SocketAddr;
use std::time::Duration;

/// An answer within this time is "in time".
pub(super) const OBJECTIVE: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 512;
const SEED: u64 = 1;
/// Different products looked at; the popular ones more often.
const PATHS: usize = 2_000;

/// A plan of the mix. `run` keeps the orders of different runs apart.
pub(super) fn plan(
    targets: Vec<SocketAddr>,
    rate: f64,
    duration: Duration,
    products: u32,
    run: &str,
) -> Plan {
    Plan {
        targets: targets.into_iter().map(Target::from).collect(),
        pace: Pace::Open { rate, arrivals: Arrivals::Poisson },
        seed: SEED,
        warm_up: Duration::ZERO,
        duration,
        timeout: TIMEOUT,
        objective: OBJECTIVE,
        connections_max: CONNECTIONS_MAX,
        reuse: true,
        protocol: Protocol::Http1,
        threads: 1,
        requests: requests(products, run),
        sequence: None,
    }
}

fn requests(products: u32, run: &str) -> Vec<Request> {
    let mut rng = Rng::with_seed(SEED);
    let mut popular = |before: &str, after: &str| -> Vec<String> {
        let one = |_| format!("{before}{}{after}", product(&mut rng, products));
        (0..PATHS).map(one).collect()
    };
    let numbered = |before: &str, last: u32| (1..=last).map(|id| format!("{before}{id}")).collect();
    let things = ["lamp", "chair", "kettle", "notebook", "tent", "scarf", "clock", "bowl"];
    let materials = ["oak", "steel", "wool", "glass", "cork"];
    let searches = things
        .iter()
        .flat_map(|thing| materials.map(|material| format!("/search?q={material}+{thing}")));
    let body = |body: &'static str, mut request: Request| {
        request.body = body.into();
        request.fields.push(("Content-Type".to_owned(), "application/json".to_owned()));
        request
    };
    let mut cart = Request::get("cart put", 3, numbered("/cart/", 500));
    cart.method = http::Method::PUT;
    let mut order = Request::get("order", 2, vec!["/orders".to_owned()]);
    order.method = http::Method::POST;
    order.fields.push(("Idempotency-Key".to_owned(), format!("\"{}-{{n}}\"", token(run))));
    vec![
        Request::get("product page", 45, popular("/products/", "")),
        Request::get("home page", 10, vec!["/home".to_owned()]),
        Request::get("search", 10, searches.collect()),
        Request::get("category", 5, numbered("/catalogue/products?category=", 160)),
        Request::get("product", 15, popular("/catalogue/products/", "")),
        Request::get("reviews", 5, popular("/reviews/", "")),
        Request::get("cart", 5, numbered("/cart/", 500)),
        body(r#"{"product": 3, "quantity": 2}"#, cart),
        body(
            r#"{"customer": 7, "lines": [{"product": 3, "quantity": 1}, {"product": 4, "quantity": 2}]}"#,
            order,
        ),
    ]
}

/// As unevenly popular as in the shop's own catalogue.
fn product(rng: &mut Rng, products: u32) -> u32 {
    let at = rng.f64();
    #[expect(clippy::cast_sign_loss, reason = "a cube of 0..1 is not negative")]
    let index = (at * at * at * f64::from(products)) as u32;
    index.min(products - 1) + 1
}

/// `run` as part of an idempotency key: letters and digits, and a number that no other demo has.
fn token(run: &str) -> String {
    let plain: String = run.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{plain}-{:08x}", fastrand::u32(..))
}
