//! The origin and the client of the scenes, without a gateway between them.
#![expect(clippy::unwrap_used, reason = "the helpers of a test are tests too")]

use std::time::Duration;

use bench::scene::{Client, Life, Origin, Page};

fn origin() -> Origin {
    let page = Page {
        delay: Duration::ZERO,
        bytes: |number| if number == 7 { 100_000 } else { 10 },
        fields: |number| format!("Cache-Control: max-age={number}\r\n"),
    };
    Origin::start(page).unwrap()
}

#[tokio::test]
async fn what_is_fetched_is_counted() {
    let origin = origin();
    let mut client = Client::connect(origin.address).await.unwrap();
    for (number, bytes) in [(1, 10), (7, 100_000)] {
        let answer = client.get(&format!("/o/{number}")).await.unwrap();
        assert_eq!((answer.status, answer.bytes), (200, bytes));
    }
    assert_eq!((origin.fetches(), origin.connections()), (2, 1));
    assert!(origin.tries().is_empty(), "nobody tries an origin that is well");
}

/// Tries by key of an origin that turned `life`: one by an old connection, then one by a new one.
async fn check(life: Life, expected: &[(u64, usize)]) {
    let origin = origin();
    let mut old = Client::connect(origin.address).await.unwrap();
    old.get("/o/1").await.unwrap();
    origin.turns(life);
    old.get("/o/2").await.unwrap_err();
    let mut new = Client::connect(origin.address).await.unwrap();
    new.get("/o/3").await.unwrap_err();
    let tries = origin.tries();
    let mut counts: Vec<_> = tries.iter().map(|(&key, moments)| (key, moments.len())).collect();
    counts.sort_unstable();
    assert_eq!(counts, expected, "{life:?}");
}

#[tokio::test]
async fn tries_of_an_ill_origin_are_noted() {
    // The old connection ends without a try of its own; refused ones do not say their key.
    check(Life::Refuses, &[(0, 1)]).await;
    check(Life::Breaks, &[(3, 1)]).await;
}
