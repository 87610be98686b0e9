//! The pages: built from calls of the services, over HTTP, as by a front end of several teams.
//!
//! Sin here: `chatty` (one call after another, and one for each thing shown). Without it a page asks
//! for all it knows it needs at once, and for lists by one call. Both ways answer the same page.

use crate::answer::{Answer, Keep, Refusal};
use crate::sin::Sin;
use crate::visit::{Visit, number};
use http::header;
use serde_json::{Value, json};

const SHOWN_MAX: usize = 8;
const RATED_MAX: usize = 4;
const FRESH_SECONDS: u32 = 5;
/// What is in the shop window: the category on the home page.
const WINDOW: i64 = 1;

/// `GET /products/{id}`: a product with its reviews, and what goes with it.
pub(crate) async fn product(visit: &Visit, id: &str) -> Result<Answer, Refusal> {
    let id = number("id", id)?;
    let chatty = visit.commits(Sin::Chatty);
    let parts =
        if chatty { product_chatty(visit, id).await } else { product_at_once(visit, id).await };
    let Parts { product, categories, reviews, together } = parts?;
    let category = product["category"]["id"].clone();
    let body = json!({
        "page": "product",
        "breadcrumb": breadcrumb(&categories, &category),
        "product": product,
        "rating": reviews["summary"],
        "reviews": reviews["reviews"],
        "together": together,
    });
    // No Last-Modified: a page is as new as the newest of its many parts, which nobody knows.
    Ok(Answer::new(Keep::Public(FRESH_SECONDS), body))
}

struct Parts {
    product: Value,
    categories: Value,
    reviews: Value,
    together: Vec<Value>,
}

async fn product_chatty(visit: &Visit, id: i64) -> Result<Parts, Refusal> {
    let product = visit.get(&format!("/catalogue/products/{id}")).await?;
    let categories = visit.get("/catalogue/categories").await?;
    let summary = visit.get(&format!("/reviews/{id}/summary")).await?;
    let mut reviews = visit.get(&format!("/reviews/{id}")).await?;
    reviews["summary"] = summary;
    let together = visit.get(&format!("/recommendations/{id}")).await?;
    let mut list = Vec::new();
    for other in ids(&together["together"], "product") {
        let product = visit.get(&format!("/catalogue/products/{other}")).await?;
        list.push(tile(&product));
    }
    Ok(Parts { product, categories, reviews, together: list })
}

async fn product_at_once(visit: &Visit, id: i64) -> Result<Parts, Refusal> {
    let paths = [
        format!("/catalogue/products/{id}"),
        "/catalogue/categories".to_owned(),
        format!("/reviews/{id}"),
        format!("/recommendations/{id}"),
    ];
    let (product, categories, reviews, together) = tokio::try_join!(
        visit.get(&paths[0]),
        visit.get(&paths[1]),
        visit.get(&paths[2]),
        visit.get(&paths[3]),
    )?;
    let others = ids(&together["together"], "product");
    let list = if others.is_empty() {
        Vec::new()
    } else {
        let found = visit.get(&format!("/catalogue/products?ids={}", list_of(&others))).await?;
        tiles(&found["products"], SHOWN_MAX)
    };
    Ok(Parts { product, categories, reviews, together: list })
}

/// `GET /home`: the shop window; with a cookie `customer=7`, that customer's cart too.
pub(crate) async fn home(visit: &Visit) -> Result<Answer, Refusal> {
    let window = format!("/catalogue/products?category={WINDOW}&limit={SHOWN_MAX}");
    let customer = customer(visit)?;
    let chatty = visit.commits(Sin::Chatty);
    let (categories, listed) = if chatty {
        (visit.get("/catalogue/categories").await?, visit.get(&window).await?)
    } else {
        tokio::try_join!(visit.get("/catalogue/categories"), visit.get(&window))?
    };
    let shown = tiles(&listed["products"], SHOWN_MAX);
    let rated: Vec<i64> = shown.iter().filter_map(|t| t["id"].as_i64()).take(RATED_MAX).collect();
    let (ratings, together) = if chatty {
        home_rest_chatty(visit, &rated).await?
    } else {
        home_rest_at_once(visit, &rated).await?
    };
    let mut body = json!({
        "page": "home",
        "categories": categories["categories"],
        "window": shown,
        "ratings": ratings,
        "together": together["together"],
    });
    let mut keep = Keep::Public(FRESH_SECONDS);
    if let Some(customer) = customer {
        body["cart"] = visit.get(&format!("/cart/{customer}")).await?;
        keep = Keep::Private;
    }
    let mut answer = Answer::new(keep, body);
    answer.fields.push((header::VARY, "Cookie".to_owned()));
    Ok(answer)
}

async fn home_rest_chatty(visit: &Visit, rated: &[i64]) -> Result<(Value, Value), Refusal> {
    let mut ratings = Vec::new();
    for product in rated {
        ratings.push(visit.get(&format!("/reviews/{product}/summary")).await?);
    }
    let first = rated.first().copied().unwrap_or(1);
    let together = visit.get(&format!("/recommendations/{first}")).await?;
    Ok((Value::Array(ratings), together))
}

async fn home_rest_at_once(visit: &Visit, rated: &[i64]) -> Result<(Value, Value), Refusal> {
    let first = rated.first().copied().unwrap_or(1);
    let together = format!("/recommendations/{first}");
    if rated.is_empty() {
        return Ok((json!([]), visit.get(&together).await?));
    }
    let ratings = format!("/reviews/summaries?products={}", list_of(rated));
    let (mut ratings, together) = tokio::try_join!(visit.get(&ratings), visit.get(&together))?;
    Ok((ratings["summaries"].take(), together))
}

/// Who is there, by the cookie `customer`.
fn customer(visit: &Visit) -> Result<Option<i64>, Refusal> {
    let cookies = visit.asked.fields.get_all(header::COOKIE);
    let text = cookies.iter().filter_map(|value| value.to_str().ok());
    let named = text
        .flat_map(|value| value.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("customer="));
    named.map(|text| number("customer", text)).transpose()
}

fn breadcrumb(categories: &Value, category: &Value) -> Value {
    let list = categories["categories"].as_array();
    let found = list.and_then(|list| list.iter().find(|one| one["id"] == *category));
    json!(["Home", found.map(|one| one["name"].clone()).unwrap_or_default()])
}

/// What a page shows of a product in a list.
fn tile(product: &Value) -> Value {
    json!({ "id": product["id"], "name": product["name"], "price_cents": product["price_cents"] })
}

fn tiles(products: &Value, count: usize) -> Vec<Value> {
    products.as_array().into_iter().flatten().take(count).map(tile).collect()
}

fn ids(list: &Value, name: &str) -> Vec<i64> {
    list.as_array().into_iter().flatten().filter_map(|one| one[name].as_i64()).collect()
}

fn list_of(numbers: &[i64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
