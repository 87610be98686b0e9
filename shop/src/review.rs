//! The review service.
//!
//! Sins here: `missing-index` (`review.product`: every request scans all reviews), `n-plus-one` (the
//! name of each reviewer), `unbounded-list`, `fat-json` (each reviewer's whole record).

use crate::answer::{Answer, Keep, Refusal};
use crate::database::{Row, places};
use crate::sin::Sin;
use crate::visit::{Visit, number, numbers};
use serde_json::{Value, json};

const REVIEWS_MAX: i64 = 10;
const FRESH_SECONDS: u32 = 10;

/// `GET /reviews/{product}`: its reviews and their summary.
pub(crate) async fn reviews(visit: &Visit, product: &str) -> Result<Answer, Refusal> {
    let product = number("product", product)?;
    let bounded = !visit.commits(Sin::UnboundedList);
    let limit = if bounded { REVIEWS_MAX } else { i64::MAX };
    let columns = "r.id, r.customer, r.stars, r.title, r.body, r.written";
    let cells = vec![product.into(), limit.into()];
    let rows = if visit.commits(Sin::NPlusOne) {
        let sql = format!(
            "SELECT {columns} FROM review r WHERE r.product = $1 \
             ORDER BY r.written DESC, r.id LIMIT $2"
        );
        let mut rows = visit.read(sql, cells).await?;
        for row in &mut rows {
            let sql = "SELECT name, email FROM customer WHERE id = $1";
            let found = visit.read(sql, vec![row.integer(1).into()]).await?;
            row.0.extend(found.into_iter().next().map(|customer| customer.0).unwrap_or_default());
        }
        rows
    } else {
        let sql = format!(
            "SELECT {columns}, c.name, c.email FROM review r JOIN customer c ON c.id = r.customer \
             WHERE r.product = $1 ORDER BY r.written DESC, r.id LIMIT $2"
        );
        visit.read(sql, cells).await?
    };
    let list: Vec<Value> = rows.iter().map(|row| review_json(visit, row)).collect();
    let summary = summaries_of(visit, &[product]).await?;
    let body = json!({ "product": product, "summary": summary.first(), "reviews": list });
    Ok(Answer::new(Keep::Public(FRESH_SECONDS), body))
}

/// `GET /reviews/{product}/summary`: how many, and how good.
pub(crate) async fn summary(visit: &Visit, product: &str) -> Result<Answer, Refusal> {
    let product = number("product", product)?;
    let list = summaries_of(visit, &[product]).await?;
    Ok(Answer::new(Keep::Public(FRESH_SECONDS), list.into_iter().next().unwrap_or_default()))
}

/// `GET /reviews/summaries?products=1,2,3`: those of several products at once.
pub(crate) async fn summaries(visit: &Visit) -> Result<Answer, Refusal> {
    let hint = || Refusal::Bad("name the products: /reviews/summaries?products=1,2".to_owned());
    let products = numbers("products", visit.asked.parameter("products").ok_or_else(hint)?)?;
    let list = summaries_of(visit, &products).await?;
    Ok(Answer::new(Keep::Public(FRESH_SECONDS), json!({ "summaries": list })))
}

async fn summaries_of(visit: &Visit, products: &[i64]) -> Result<Vec<Value>, Refusal> {
    let select = "SELECT product, COUNT(*), CAST(AVG(stars) AS DOUBLE PRECISION) FROM review";
    let mut rows = Vec::new();
    if visit.commits(Sin::NPlusOne) {
        for product in products {
            let sql = format!("{select} WHERE product = $1 GROUP BY product");
            rows.extend(visit.read(sql, vec![(*product).into()]).await?);
        }
    } else {
        let places = places(1, products.len());
        let sql = format!("{select} WHERE product IN ({places}) GROUP BY product");
        rows = visit.read(sql, products.iter().map(|id| (*id).into()).collect()).await?;
    }
    Ok(products
        .iter()
        .map(|product| {
            let row = rows.iter().find(|row| row.integer(0) == *product);
            let (count, stars) = row.map_or((0, 0.0), |row| (row.integer(1), row.real(2)));
            json!({ "product": product, "count": count, "stars": (stars * 100.0).round() / 100.0 })
        })
        .collect())
}

/// One review; `row` has id, customer, stars, title, body, written, name, email.
fn review_json(visit: &Visit, row: &Row) -> Value {
    let mut review = json!({
        "id": row.integer(0),
        "by": row.text(6),
        "stars": row.integer(2),
        "title": row.text(3),
        "body": row.text(4),
        "written": row.integer(5),
    });
    if visit.commits(Sin::FatJson) {
        review["author"] = json!({
            "customerIdentifier": row.integer(1),
            "displayName": { "full": row.text(6), "short": row.text(6), "sortable": row.text(6) },
            "contact": { "electronicMailDomain": row.text(7).split('@').nth(1) },
            "permissions": { "mayReview": true, "mayComment": true, "isModerator": false },
        });
        review["rendered"] = json!({
            "html": format!("<article><h3>{}</h3><p>{}</p></article>", row.text(3), row.text(4)),
            "markdown": format!("### {}\n\n{}", row.text(3), row.text(4)),
            "plainText": row.text(4),
        });
    }
    review
}
