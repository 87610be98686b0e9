//! What the shop answers, and that each sin changes the work it does.

#![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

#[path = "shop/asking.rs"]
mod asking;
#[path = "shop/postgres.rs"]
mod postgres;

use asking::{Answer, ask, counters, get, open};
use serde_json::{Value, json};
use shop::{Ill, Options, ShopError, Sin, Sins, Storage, serve};

#[tokio::test]
async fn routes_answer_with_the_fields_of_an_ordinary_backend() {
    let shop = open(|_| {}).await;
    for (path, cache) in [
        ("/home", "public, max-age=5"),
        ("/products/7", "public, max-age=5"),
        ("/catalogue/categories", "public, max-age=60"),
        ("/catalogue/products?category=3", "public, max-age=5"),
        ("/catalogue/products?ids=5,3", "public, max-age=5"),
        ("/catalogue/products/7", "public, max-age=5"),
        ("/search?q=oak+lamp", "public, max-age=5"),
        ("/reviews/1", "public, max-age=10"),
        ("/reviews/1/summary", "public, max-age=10"),
        ("/reviews/summaries?products=1,2", "public, max-age=10"),
        ("/recommendations/1", "public, max-age=30"),
        ("/cart/1", "private, no-store"),
        ("/orders/1", "private, no-store"),
        ("/orders/report", "private, no-store"),
        ("/health", "no-store"),
        ("/sins", "no-store"),
        ("/counters", "no-store"),
    ] {
        let answer = get(&shop, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.field("cache-control"), Some(cache), "{path}");
        assert_eq!(answer.field("content-type"), Some("application/json"), "{path}");
        assert!(answer.field("server-timing").is_some_and(|t| t.contains("db;dur=")), "{path}");
        assert_eq!(answer.field("etag").is_some(), cache.starts_with("public"), "{path}");
    }
    shop.stop().await;
}

#[tokio::test]
async fn mistakes_are_answered_as_problems() {
    let shop = open(|_| {}).await;
    for (method, path, body, status) in [
        ("GET", "/nowhere", "", 404),
        ("GET", "/products/999999", "", 404),
        ("GET", "/orders/999999", "", 404),
        ("GET", "/products/first", "", 400),
        ("GET", "/search", "", 400),
        ("GET", "/search?q=%zz", "", 400),
        ("GET", "/orders", "", 405),
        ("DELETE", "/home", "", 405),
        ("POST", "/orders", "{", 400),
        ("POST", "/orders", "{}", 422),
        ("POST", "/orders", r#"{"customer":1,"lines":[{"product":999999,"quantity":1}]}"#, 422),
        ("PUT", "/cart/1", r#"{"product":999999,"quantity":1}"#, 404),
        ("PUT", "/catalogue/products/1", r#"{"price_cents":-1}"#, 422),
        ("POST", "/mail", r#"{"letter":1}"#, 404),
    ] {
        let answer = ask(&shop, method, path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json()["status"], status, "{path}");
        assert_eq!(answer.field("allow").is_some(), status == 405, "{path}");
    }
    let large = "x".repeat(70_000);
    assert_eq!(ask(&shop, "POST", "/orders", &[], &large).await.status, 413);
    shop.stop().await;
}

#[tokio::test]
async fn a_copy_that_is_still_right_is_not_sent_again() {
    let shop = open(|_| {}).await;
    let page = get(&shop, "/products/7").await;
    let (tag, own) = (page.field("etag").unwrap(), get(&shop, "/catalogue/products/7").await);
    let date = own.field("last-modified").unwrap();
    for (path, name, value, status) in [
        ("/products/7", "If-None-Match", tag, 304),
        ("/products/7", "If-None-Match", "*", 304),
        ("/products/7", "If-None-Match", "\"other\"", 200),
        ("/catalogue/products/7", "If-None-Match", tag, 200),
        ("/catalogue/products/7", "If-Modified-Since", date, 304),
        ("/catalogue/products/7", "If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ] {
        let again = ask(&shop, "GET", path, &[(name, value)], "").await;
        assert_eq!(again.status, status, "{path} {name}: {value}");
        assert_eq!(again.body.is_empty(), status == 304);
        assert!(again.field("etag").is_some());
    }
    let order = ask(&shop, "POST", "/orders", &[], &ORDER.replace(":1,", ":7,")).await;
    assert_eq!(order.status, 201);
    let since = [("If-Modified-Since", date)];
    let sold = ask(&shop, "GET", "/catalogue/products/7", &since, "").await;
    assert_eq!(sold.status, 200, "an order changes the stock");
    let change = ask(&shop, "PUT", "/catalogue/products/7", &[], r#"{"price_cents":123}"#).await;
    assert_eq!(change.json()["price_cents"], 123);
    let changed = ask(&shop, "GET", "/products/7", &[("If-None-Match", tag)], "").await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["product"]["price_cents"], 123);
    shop.stop().await;
}

#[tokio::test]
async fn head_has_the_length_of_get_and_no_body() {
    let shop = open(|_| {}).await;
    let (get, head) =
        (get(&shop, "/products/7").await, ask(&shop, "HEAD", "/products/7", &[], "").await);
    assert_eq!(get.field("content-length"), head.field("content-length"));
    assert!(head.body.is_empty());
    shop.stop().await;
}

#[tokio::test]
async fn a_page_is_the_same_with_and_without_sins() {
    let (sinful, saintly) = (open(|_| {}).await, open(|o| o.without = Sins::ALL).await);
    for path in ["/home", "/products/3"] {
        let (mut with, without) =
            (get(&sinful, path).await.json(), get(&saintly, path).await.json());
        if let Some(product) = with["product"].as_object_mut() {
            product.remove("details");
        }
        for part in ["page", "product", "rating", "together", "window", "ratings", "breadcrumb"] {
            assert_eq!(with[part], without[part], "{path} {part}");
        }
    }
    sinful.stop().await;
    saintly.stop().await;
}

/// What one request costs in a shop with all sins, and in one without `sin`.
async fn cost(sin: Sin, method: &str, path: &str, body: &str) -> (Value, Value) {
    let mut both = Vec::new();
    for without in [Sins::NONE, Sins::of(&[sin])] {
        let shop = open(|options| {
            options.without = without;
            if sin == Sin::SlowInstance {
                options.ill = Ill::Slow;
            }
            options.products = 8_000;
        })
        .await;
        let answer = ask(&shop, method, path, &[], body).await;
        assert!(answer.status < 300, "{path}: {}", answer.body);
        both.push(counters(&shop).await);
        let state = get(&shop, "/sins").await.json();
        let listed = state["sins"].as_array().unwrap();
        for one in listed {
            let on = one["name"] != sin.name() || without == Sins::NONE;
            assert_eq!(one["on"], on, "{one}");
        }
        shop.stop().await;
    }
    let without = both.pop().unwrap();
    (both.pop().unwrap(), without)
}

const ORDER: &str =
    r#"{"customer":1,"lines":[{"product":1,"quantity":2},{"product":2,"quantity":1}]}"#;

#[tokio::test]
async fn chatty_pages_make_more_calls() {
    for path in ["/home", "/products/1"] {
        let (with, without) = cost(Sin::Chatty, "GET", path, "").await;
        assert!(with["calls"].as_u64() > without["calls"].as_u64(), "{path}: {with} {without}");
    }
}

#[tokio::test]
async fn n_plus_one_asks_more_often() {
    for path in ["/reviews/1", "/recommendations/1", "/search?q=lamp", "/catalogue/products"] {
        let (with, without) = cost(Sin::NPlusOne, "GET", path, "").await;
        let (many, few) = (with["queries"].as_u64().unwrap(), without["queries"].as_u64().unwrap());
        assert!(many > few && few <= 3, "{path}: {many} {few}");
    }
}

#[tokio::test]
async fn an_unbounded_list_reads_and_sends_more() {
    for path in ["/catalogue/products?category=1&limit=8", "/search?q=lamp"] {
        let (with, without) = cost(Sin::UnboundedList, "GET", path, "").await;
        assert!(with["rows"].as_u64() > without["rows"].as_u64(), "{path}: {with} {without}");
        assert!(with["bytes"].as_u64() > without["bytes"].as_u64(), "{path}: {with} {without}");
    }
}

#[tokio::test]
async fn a_bounded_list_goes_on_where_it_ended() {
    let shop = open(|options| {
        options.without = Sins::ALL;
        options.products = 8_000;
    })
    .await;
    let (mut path, mut seen) = ("/catalogue/products?category=1".to_owned(), Vec::new());
    loop {
        let page = get(&shop, &path).await.json();
        let list = page["products"].as_array().unwrap();
        assert!(list.len() <= 24);
        seen.extend(list.iter().map(|product| product["id"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut path);
    }
    assert_eq!(seen.len(), 50, "8,000 products in 160 categories");
    assert!(seen.is_sorted());
    shop.stop().await;
}

#[tokio::test]
async fn fat_json_sends_more_bytes_for_the_same_rows() {
    for path in ["/catalogue/products/1", "/reviews/1", "/products/1"] {
        let (with, without) = cost(Sin::FatJson, "GET", path, "").await;
        let (fat, slim) = (with["bytes"].as_u64().unwrap(), without["bytes"].as_u64().unwrap());
        assert!(fat > slim * 3 / 2, "{path}: {fat} {slim}");
        assert_eq!(with["rows"], without["rows"], "{path}");
    }
}

#[tokio::test]
async fn the_slow_instance_asks_several_times_over() {
    let (with, without) = cost(Sin::SlowInstance, "GET", "/catalogue/products/1", "").await;
    assert_eq!(with["queries"].as_u64().unwrap(), 4 * without["queries"].as_u64().unwrap());
}

#[tokio::test]
async fn an_instance_that_fails_answers_503_and_speaks_of_itself() {
    let shop = open(|options| options.ill = Ill::Fails).await;
    for path in ["/home", "/catalogue/products/1", "/nowhere"] {
        assert_eq!(get(&shop, path).await.status, 503, "{path}");
    }
    assert_eq!(ask(&shop, "POST", "/orders", &[], ORDER).await.status, 503);
    assert_eq!(get(&shop, "/health").await.status, 200);
    assert_eq!(get(&shop, "/sins").await.json()["ill"], "fails");
    let done = counters(&shop).await;
    assert_eq!((&done["requests"], &done["queries"]), (&json!(4), &json!(0)));
    shop.stop().await;
}

#[tokio::test]
async fn an_instance_that_stalls_holds_up_few_answers_and_loses_none() {
    let shop = open(|options| options.ill = Ill::Stalls).await;
    // Chance has it that 1,000 answers without a stall come once in 600 million.
    for number in 1.. {
        assert!(number <= 1_000, "none was held up");
        let answer = get(&shop, "/catalogue/products/1").await;
        assert_eq!(answer.status, 200);
        let timing = answer.field("server-timing").unwrap();
        let total: f64 = timing.rsplit("dur=").next().unwrap().parse().unwrap();
        if total >= 1_000.0 {
            break;
        }
    }
    shop.stop().await;
}

#[tokio::test]
async fn mail_waits_for_the_clerk_without_the_sin() {
    let (with, without) = cost(Sin::SlowMail, "POST", "/orders", ORDER).await;
    assert_eq!((&with["letters"], &with["calls"]), (&json!(1), &json!(1)));
    assert_eq!((&without["letters"], &without["calls"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn the_clerk_finishes_before_the_shop_closes() {
    let directory = std::env::temp_dir().join(format!("shop-clerk-{:x}", fastrand::u64(..)));
    let keep = |options: &mut Options| {
        options.database = Storage::Directory(directory.clone());
        options.without = Sins::of(&[Sin::SlowMail, Sin::SlowReport]);
    };
    let shop = open(keep).await;
    assert_eq!(ask(&shop, "POST", "/orders", &[], ORDER).await.status, 201);
    shop.stop().await;
    let shop = open(keep).await;
    let report = get(&shop, "/orders/report").await.json();
    assert_eq!(report["report"].as_array().map(Vec::len), Some(160));
    shop.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn the_report_is_computed_while_the_customer_waits_by_the_sin() {
    let shop = open(|options| options.without = Sins::of(&[Sin::SlowMail])).await;
    ask(&shop, "POST", "/orders", &[], ORDER).await;
    assert_eq!(counters(&shop).await["reports"], 1);
    shop.stop().await;
    let (with, without) = cost(Sin::SlowReport, "POST", "/orders", ORDER).await;
    assert_eq!(with["reports"], 1);
    // The clerk may have written it by now; the customer did not wait for it either way.
    assert!(without["queries"].as_u64() <= with["queries"].as_u64());
}

#[tokio::test]
async fn a_missing_index_is_really_missing() {
    let directory = std::env::temp_dir().join(format!("shop-index-{:x}", fastrand::u64(..)));
    for (without, file, index) in [
        (Sins::NONE, "shop-v1-2000-1-plain.sqlite", false),
        (Sins::of(&[Sin::MissingIndex]), "shop-v1-2000-1-indexed.sqlite", true),
    ] {
        let shop = open(|options| {
            options.database = Storage::Directory(directory.clone());
            options.without = without;
        })
        .await;
        shop.stop().await;
        let connection = rusqlite::Connection::open(directory.join(file)).unwrap();
        for sql in [
            "SELECT * FROM review WHERE product = 7",
            "SELECT * FROM line WHERE product = 7",
            "SELECT product FROM term WHERE word = 'oak'",
            "SELECT * FROM product WHERE category = 7",
        ] {
            let plan: String = connection
                .query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3))
                .unwrap();
            let start = if index { "SEARCH" } else { "SCAN" };
            assert!(plan.starts_with(start), "{sql}: {plan}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn an_order_is_taken_once_however_often_it_is_sent() {
    let shop = open(|_| {}).await;
    let key = [("Idempotency-Key", "k1")];
    let tries = futures_of(6, || ask(&shop, "POST", "/orders", &key, ORDER)).await;
    let first: &Answer = &tries[0];
    assert_eq!(first.status, 201);
    let place = first.field("location").unwrap();
    for other in &tries {
        assert_eq!((other.status, other.field("location")), (201, Some(place)));
    }
    assert_eq!(counters(&shop).await["letters"], 1);
    assert_eq!(get(&shop, place).await.json(), first.json());
    let other = ask(&shop, "POST", "/orders", &key, &ORDER.replace(":2", ":3")).await;
    assert_eq!(other.status, 422, "the same key for another order");
    let second = ask(&shop, "POST", "/orders", &[("Idempotency-Key", "k2")], ORDER).await;
    assert_ne!(second.field("location"), Some(place));
    shop.stop().await;
}

/// `count` of these at once.
async fn futures_of<F: Future<Output = Answer>>(count: usize, make: impl Fn() -> F) -> Vec<Answer> {
    let mut open: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done: Vec<Option<Answer>> = (0..count).map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in open.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(answer) = future.as_mut().poll(context)
            {
                *done = Some(answer);
            }
        }
        if done.iter().all(Option::is_some) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_cart_keeps_what_is_put_in() {
    let shop = open(|_| {}).await;
    ask(&shop, "PUT", "/cart/5", &[], r#"{"product":1,"quantity":2}"#).await;
    let cart = ask(&shop, "PUT", "/cart/5", &[], r#"{"product":2,"quantity":1}"#).await.json();
    assert_eq!(cart["lines"].as_array().map(Vec::len), Some(2));
    let home = ask(&shop, "GET", "/home", &[("Cookie", "a=b; customer=5")], "").await;
    assert_eq!(home.field("cache-control"), Some("private, no-store"));
    assert_eq!(home.json()["cart"], cart);
    ask(&shop, "PUT", "/cart/5", &[], r#"{"product":1,"quantity":0}"#).await;
    assert_eq!(get(&shop, "/cart/5").await.json()["lines"].as_array().map(Vec::len), Some(1));
    let empty = ask(&shop, "DELETE", "/cart/5", &[], "").await.json();
    assert_eq!(empty["lines"], json!([]));
    shop.stop().await;
}

#[tokio::test]
async fn instances_on_one_directory_have_one_shop() {
    let directory = std::env::temp_dir().join(format!("shop-shared-{:x}", fastrand::u64(..)));
    let share = |options: &mut Options| options.database = Storage::Directory(directory.clone());
    let (one, two) = tokio::join!(open(share), open(share));
    ask(&one, "PUT", "/cart/5", &[], r#"{"product":1,"quantity":2}"#).await;
    assert_eq!(get(&two, "/cart/5").await.json(), get(&one, "/cart/5").await.json());
    one.stop().await;
    two.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn only_requests_from_outside_count_as_requests() {
    let shop = open(|_| {}).await;
    get(&shop, "/products/1").await;
    get(&shop, "/health").await;
    let counts = counters(&shop).await;
    assert_eq!(counts["requests"], 1);
    assert!(counts["calls"].as_u64() >= Some(5), "{counts}");
    shop.stop().await;
}

#[tokio::test]
async fn errors_of_opening_name_the_remedy() {
    let shop = open(|_| {}).await;
    let taken = serve(Options::standard(shop.address)).await.err().unwrap();
    assert!(taken.to_string().contains("choose another port with --listen"), "{taken}");
    shop.stop().await;
    let any = "127.0.0.1:0".parse().unwrap();
    let of = |database: &str| Options {
        database: Storage::Postgres(database.to_owned()),
        ..Options::standard(any)
    };
    let nobody = serve(of("postgres://nobody@127.0.0.1:1/x")).await.err().unwrap();
    assert!(nobody.to_string().contains("see that the server runs"), "{nobody}");
    let nonsense = serve(of("nonsense://")).await.err().unwrap();
    assert!(matches!(nonsense, ShopError::DatabaseUrl(_)), "{nonsense}");
    let none = serve(Options { products: 0, ..Options::standard(any) }).await.err().unwrap();
    assert_eq!(none.to_string(), "--products must be from 1 to 1000000");
}

#[tokio::test]
async fn many_instances_may_open_on_one_directory_at_once() {
    let directory = std::env::temp_dir().join(format!("shop-many-{:x}", fastrand::u64(..)));
    for _ in 0..3 {
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let share = Options {
                database: Storage::Directory(directory.clone()),
                products: 50,
                ..Options::standard("127.0.0.1:0".parse().unwrap())
            };
            opening.spawn(serve(share));
        }
        while let Some(opened) = opening.join_next().await {
            opened.unwrap().unwrap().stop().await;
        }
    }
    let file = rusqlite::Connection::open(directory.join("shop-v1-50-1-plain.sqlite")).unwrap();
    let mode: String = file.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    std::fs::remove_dir_all(directory).unwrap();
}
