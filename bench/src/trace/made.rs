//! Traces made here, the same on every machine: what a web cache and a shop's cache see.

use super::{Request, Trace};
use fastrand::Rng;

/// How many requests a made trace has.
pub const LENGTH: usize = 1_000_000;

const OBJECTS: u64 = 200_000;

/// All of them.
pub fn all() -> Vec<Trace> {
    vec![
        zipf("made: Zipf 0.8", 0.8, 0.0, LENGTH),
        zipf("made: Zipf 1.0", 1.0, 0.0, LENGTH),
        zipf("made: Zipf 1.0, half scan", 1.0, 0.5, LENGTH),
        zipf("made: Zipf 0.9, 30 % once only", 0.9, 0.3, LENGTH),
        shop("made: shop", LENGTH),
    ]
}

/// Requests by popularity; a share of them are for objects that nobody asks for again.
pub fn zipf(name: &str, exponent: f64, once: f64, length: usize) -> Trace {
    let mut rng = Rng::with_seed(11);
    let popular = Zipf::new(OBJECTS, exponent);
    let mut fresh = 1 << 40;
    let requests = (0..length).map(|_| {
        let key = if rng.f64() < once {
            fresh += 1;
            fresh
        } else {
            popular.draw(&mut rng)
        };
        Request { key, size: web_size(key, 10_000.0) }
    });
    Trace::new(name.to_owned(), requests.collect())
}

/// Sessions of a shop: the start page, categories with pages, products with their pictures, searches
/// that few repeat; what is popular changes all the time, and a crawler walks through everything.
pub fn shop(name: &str, length: usize) -> Trace {
    const CATEGORIES: u64 = 300;
    const PRODUCTS: u64 = 60_000;
    const START: u64 = 0;
    const CATEGORY: u64 = 1 << 32;
    const PRODUCT: u64 = 2 << 32;
    const PICTURE: u64 = 3 << 32;
    const SEARCH: u64 = 4 << 32;
    let mut rng = Rng::with_seed(12);
    let (category, product) = (Zipf::new(CATEGORIES, 0.8), Zipf::new(PRODUCTS / CATEGORIES, 0.7));
    let (search, pages) = (Zipf::new(1_000_000, 0.9), Zipf::new(10, 1.2));
    let mut requests = Vec::with_capacity(length + 16);
    let mut crawled = 0;
    while requests.len() < length {
        let drift = requests.len() as u64 / 5_000;
        let mut ask = |key: u64, median: f64| {
            requests.push(Request { key, size: web_size(key, median) });
        };
        if rng.f64() < 0.25 {
            // The crawler: a burst of products in order, without pictures.
            for _ in 0..rng.u32(5..30) {
                crawled = (crawled + 1) % PRODUCTS;
                ask(PRODUCT + crawled, 6_000.0);
            }
            continue;
        }
        ask(START, 30_000.0);
        for _ in 0..rng.u32(1..8) {
            if rng.f64() < 0.2 {
                ask(SEARCH + search.draw(&mut rng), 8_000.0);
            }
            let shelf = category.draw(&mut rng);
            ask(CATEGORY + shelf * 16 + pages.draw(&mut rng), 15_000.0);
            for _ in 0..rng.u32(0..4) {
                // One rank of each shelf is another product every 5,000 requests.
                let rank = product.draw(&mut rng);
                let moved = if rank % 8 == 0 { drift } else { drift / 8 };
                let item = (rank * 7 + moved) % (PRODUCTS / CATEGORIES) * CATEGORIES + shelf;
                ask(PRODUCT + item, 6_000.0);
                ask(PICTURE + item * 4, 40_000.0);
                if rng.f64() < 0.4 {
                    ask(PICTURE + item * 4 + 1, 120_000.0);
                }
            }
        }
    }
    requests.truncate(length);
    Trace::new(name.to_owned(), requests)
}

/// A size for a key: lognormal around a median, of 200 bytes to 2 MiB.
pub fn web_size(key: u64, median: f64) -> u32 {
    let mut rng = Rng::with_seed(key ^ 0x5eed);
    let (radius, angle) = ((-2.0 * rng.f64().max(1e-12).ln()).sqrt(), rng.f64());
    let normal = radius * (std::f64::consts::TAU * angle).cos();
    #[expect(clippy::cast_sign_loss, reason = "within its bounds")]
    let size = (median * (1.4 * normal).exp()).clamp(200.0, 2_097_152.0) as u32;
    size
}

/// Ranks from 0 with probabilities that fall as a power of the rank.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(ranks: u64, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { sums: sums.collect() }
    }

    fn draw(&self, rng: &mut Rng) -> u64 {
        let at = rng.f64() * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|sum| *sum < at) as u64
    }
}
