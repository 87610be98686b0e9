//! A catalogue out of a number: the same products, reviews and orders for the same seed.
//!
//! Pure: rows are handed to a callback in the order of [`schema`](crate::database::schema)'s tables,
//! and the database writes them. Popularity is uneven, as in a real shop: a few products have most
//! of the reviews and orders.

use crate::database::Cell;
use fastrand::Rng;

/// How big a catalogue, and which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Catalogue {
    /// Products; reviews, customers and orders are in proportion.
    pub products: u32,
    /// Which one.
    pub seed: u64,
}

/// Categories of every catalogue: each department has each shelf.
const SHELVES: [&str; 4] = ["Essentials", "Classics", "New", "Outlet"];
const DEPARTMENTS: [&str; 40] = [
    "Lighting",
    "Tables",
    "Chairs",
    "Shelves",
    "Beds",
    "Textiles",
    "Rugs",
    "Kitchen",
    "Tableware",
    "Bath",
    "Garden",
    "Tools",
    "Toys",
    "Games",
    "Books",
    "Stationery",
    "Bags",
    "Shoes",
    "Coats",
    "Shirts",
    "Trousers",
    "Knitwear",
    "Hats",
    "Jewellery",
    "Watches",
    "Audio",
    "Cameras",
    "Phones",
    "Computers",
    "Cables",
    "Bicycles",
    "Camping",
    "Climbing",
    "Running",
    "Swimming",
    "Pets",
    "Plants",
    "Food",
    "Drinks",
    "Gifts",
];

const CATEGORIES: usize = DEPARTMENTS.len() * SHELVES.len();

const QUALITIES: [&str; 40] = [
    "quiet",
    "bright",
    "sturdy",
    "slender",
    "folding",
    "compact",
    "classic",
    "modern",
    "rustic",
    "gentle",
    "woven",
    "polished",
    "brushed",
    "matte",
    "glossy",
    "round",
    "square",
    "tall",
    "low",
    "wide",
    "narrow",
    "light",
    "heavy",
    "soft",
    "crisp",
    "warm",
    "cool",
    "plain",
    "striped",
    "speckled",
    "northern",
    "coastal",
    "alpine",
    "urban",
    "everyday",
    "festive",
    "travelling",
    "stacking",
    "hanging",
    "standing",
];

const MATERIALS: [&str; 20] = [
    "oak", "walnut", "birch", "ash", "steel", "brass", "copper", "glass", "ceramic", "linen",
    "cotton", "wool", "leather", "cork", "bamboo", "rattan", "marble", "felt", "canvas", "paper",
];

const THINGS: [&str; 60] = [
    "lamp", "table", "chair", "shelf", "bench", "stool", "basket", "blanket", "cushion", "curtain",
    "mirror", "vase", "bowl", "plate", "cup", "jug", "kettle", "pan", "knife", "board", "towel",
    "soap", "brush", "planter", "spade", "rake", "hammer", "saw", "puzzle", "kite", "notebook",
    "pen", "folder", "satchel", "wallet", "boot", "slipper", "jacket", "scarf", "glove", "cap",
    "ring", "clock", "speaker", "radio", "tripod", "stand", "cable", "bell", "tent", "mat", "rope",
    "bottle", "leash", "feeder", "pot", "tray", "box", "candle", "frame",
];

const SENTENCES: [&str; 12] = [
    "Made in small numbers by people who have done it for thirty years.",
    "The finish is oiled by hand and can be renewed at home.",
    "It arrives assembled; only the packaging is left to you.",
    "Every part can be ordered on its own should it ever break.",
    "Tested for ten thousand hours in our workshop by the harbour.",
    "It folds flat, so that it fits behind a door when not in use.",
    "The colour deepens over the years and no two pieces look alike.",
    "Wipe it with a damp cloth; do not put it in the dishwasher.",
    "Our longest seller, and for good reason.",
    "Designed together with the people who use it every day.",
    "The edges are rounded, the feet are felted, the screws are hidden.",
    "Delivered within three days, and taken back within a hundred.",
];

const OPINIONS: [&str; 12] = [
    "I bought it as a gift and ended up keeping it for myself.",
    "The delivery was on time and the packaging was all paper.",
    "After four months of daily use it still looks like new.",
    "A little smaller than I had imagined from the pictures.",
    "My neighbour asked where it came from, so there is that.",
    "The instructions could be clearer, the second page above all.",
    "It does what it says, no more and no less.",
    "One screw was missing and a new one came within two days.",
    "The colour is warmer than on my screen, which I like.",
    "I would buy it again, and probably will.",
    "Heavier than it looks; have somebody help with the stairs.",
    "For the price I had expected a better finish at the back.",
];

const TITLES: [&str; 8] = [
    "Just right",
    "Good value",
    "Better than expected",
    "Not bad",
    "Would buy again",
    "Has its faults",
    "A lovely thing",
    "It will do",
];

const FIRST: [&str; 24] = [
    "Ada", "Bela", "Chidi", "Dora", "Emil", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kaya",
    "Lena", "Milan", "Nora", "Omar", "Petra", "Quinn", "Rosa", "Samir", "Tilda", "Uma", "Viktor",
    "Wanda", "Yusuf",
];

const LAST: [&str; 24] = [
    "Acker", "Berg", "Costa", "Dahl", "Eriksen", "Fontana", "Garcia", "Haddad", "Ito", "Jensen",
    "Kowalski", "Lindt", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Sato", "Toth",
    "Ueda", "Varga", "Weber", "Zeman",
];

/// The first second of the shop's calendar, 2026-01-01T00:00:00Z.
const OPENED: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

impl Catalogue {
    /// How many customers it has.
    pub(crate) fn customers(self) -> u32 {
        (self.products / 4).max(10)
    }

    /// Hands every row of every table to `row`, as table and cells. Deterministic.
    pub(crate) fn rows<E>(
        self,
        row: &mut impl FnMut(&'static str, Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        for index in 0..CATEGORIES {
            let shelf = SHELVES[index / DEPARTMENTS.len()];
            let name = format!("{} {shelf}", DEPARTMENTS[index % DEPARTMENTS.len()]);
            row("category", vec![integer(index + 1), text(name)])?;
        }
        self.product_rows(row)?;
        self.customer_rows(row)?;
        self.review_rows(row)?;
        self.purchase_rows(row)
    }

    fn rng(self, table: u64) -> Rng {
        Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(table))
    }

    fn product_rows<E>(
        self,
        row: &mut impl FnMut(&'static str, Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rng = self.rng(1);
        for id in 1..=self.products {
            let words =
                [pick(&mut rng, &QUALITIES), pick(&mut rng, &MATERIALS), pick(&mut rng, &THINGS)];
            let name = format!("{} {} {} no. {id}", capital(words[0]), words[1], words[2]);
            let description = sentences(&mut rng, &SENTENCES, 3..6);
            row(
                "product",
                vec![
                    integer(id),
                    text(format!("SKU-{:03}-{id:06}", rng.u32(0..1000))),
                    text(name),
                    text(description),
                    integer(id as usize % CATEGORIES + 1),
                    integer(rng.u32(190..49_900)),
                    integer(rng.u32(100_000..1_000_000)),
                    Cell::Integer(OPENED + i64::from(rng.u32(0..90)) * DAY),
                ],
            )?;
            for word in words {
                row("term", vec![text(word), integer(id)])?;
            }
        }
        Ok(())
    }

    fn customer_rows<E>(
        self,
        row: &mut impl FnMut(&'static str, Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rng = self.rng(2);
        for id in 1..=self.customers() {
            let (first, last) = (pick(&mut rng, &FIRST), pick(&mut rng, &LAST));
            let email =
                format!("{}.{}.{id}@example.com", first.to_lowercase(), last.to_lowercase());
            row("customer", vec![integer(id), text(format!("{first} {last}")), text(email)])?;
        }
        Ok(())
    }

    fn review_rows<E>(
        self,
        row: &mut impl FnMut(&'static str, Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rng = self.rng(3);
        for id in 1..=self.products.saturating_mul(3) {
            row(
                "review",
                vec![
                    integer(id),
                    integer(self.popular(&mut rng)),
                    integer(rng.u32(1..=self.customers())),
                    integer(5 - rng.u32(0..25).isqrt()),
                    text(pick(&mut rng, &TITLES)),
                    text(sentences(&mut rng, &OPINIONS, 2..5)),
                    Cell::Integer(OPENED + i64::from(rng.u32(0..7_776_000))),
                ],
            )?;
        }
        Ok(())
    }

    fn purchase_rows<E>(
        self,
        row: &mut impl FnMut(&'static str, Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rng = self.rng(4);
        for id in 1..=self.products {
            let mut lines: Vec<u32> = (0..3).map(|_| self.popular(&mut rng)).collect();
            lines.sort_unstable();
            lines.dedup();
            let customer = rng.u32(1..=self.customers());
            let placed = OPENED + i64::from(rng.u32(0..7_776_000));
            let mut total = 0;
            for product in lines {
                let (quantity, price) = (rng.u32(1..4), rng.u32(190..49_900));
                total += quantity * price;
                row(
                    "line",
                    vec![integer(id), integer(product), integer(quantity), integer(price)],
                )?;
            }
            row(
                "purchase",
                vec![
                    integer(id),
                    integer(customer),
                    Cell::Integer(placed),
                    integer(total),
                    text("delivered"),
                ],
            )?;
        }
        Ok(())
    }

    /// A product, the low numbers more often: half of all picks fall on an eighth of the products.
    fn popular(self, rng: &mut Rng) -> u32 {
        let at = rng.f64();
        #[expect(clippy::cast_sign_loss, reason = "a cube of 0..1 is not negative")]
        let index = (at * at * at * f64::from(self.products)) as u32;
        index.min(self.products - 1) + 1
    }
}

fn integer(number: impl TryInto<i64>) -> Cell {
    Cell::Integer(number.try_into().unwrap_or(i64::MAX))
}

fn text(words: impl Into<String>) -> Cell {
    Cell::Text(words.into())
}

fn pick<'w>(rng: &mut Rng, words: &[&'w str]) -> &'w str {
    words[rng.usize(0..words.len())]
}

fn sentences(rng: &mut Rng, from: &[&str], count: std::ops::Range<usize>) -> String {
    let mut all = String::with_capacity(320);
    for _ in 0..rng.usize(count) {
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(pick(rng, from));
    }
    all
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn rows(products: u32, seed: u64) -> Vec<(&'static str, Vec<Cell>)> {
        let mut all = Vec::new();
        let Ok(()) = Catalogue { products, seed }.rows(&mut |table, cells| {
            all.push((table, cells));
            Ok::<(), Infallible>(())
        });
        all
    }

    #[test]
    fn a_catalogue_is_the_same_for_the_same_seed_only() {
        assert_eq!(rows(200, 7), rows(200, 7));
        assert_ne!(rows(200, 7), rows(200, 8));
    }

    #[test]
    fn a_catalogue_has_what_it_was_asked_for() {
        for products in [1, 40, 333] {
            let all = rows(products, 1);
            let count = |name: &str| all.iter().filter(|(table, _)| *table == name).count() as u32;
            assert_eq!(count("product"), products);
            assert_eq!(count("review"), products * 3);
            assert_eq!(count("purchase"), products);
        }
    }
}
