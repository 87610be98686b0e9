//! The recommendation service: what was bought together with a product.
//!
//! Sins here: `missing-index` (`line.product`), `n-plus-one` (each product read by itself).

use crate::answer::{Answer, Keep, Refusal};
use crate::sin::Sin;
use crate::visit::{Visit, number};
use serde_json::{Value, json};

const SHOWN_MAX: i64 = 6;

/// `GET /recommendations/{product}`
pub(crate) async fn recommendations(visit: &Visit, product: &str) -> Result<Answer, Refusal> {
    let product = number("product", product)?;
    let together = "SELECT o.product AS product, COUNT(*) AS times FROM line m \
        JOIN line o ON o.purchase = m.purchase AND o.product <> m.product \
        WHERE m.product = $1 GROUP BY o.product ORDER BY times DESC, o.product LIMIT $2";
    let cells = vec![product.into(), SHOWN_MAX.into()];
    let list: Vec<Value> = if visit.commits(Sin::NPlusOne) {
        let mut list = Vec::new();
        for row in visit.read(together, cells).await? {
            let sql = "SELECT name, price FROM product WHERE id = $1";
            let found = visit.read(sql, vec![row.integer(0).into()]).await?;
            let (name, price) =
                found.first().map_or(("", 0), |product| (product.text(0), product.integer(1)));
            list.push(one(row.integer(0), row.integer(1), name, price));
        }
        list
    } else {
        let sql = format!(
            "SELECT t.product, t.times, p.name, p.price FROM ({together}) t \
             JOIN product p ON p.id = t.product ORDER BY t.times DESC, t.product"
        );
        let rows = visit.read(sql, cells).await?;
        let json = |row: &crate::database::Row| {
            one(row.integer(0), row.integer(1), row.text(2), row.integer(3))
        };
        rows.iter().map(json).collect()
    };
    Ok(Answer::new(Keep::Public(30), json!({ "product": product, "together": list })))
}

fn one(product: i64, times: i64, name: &str, price: i64) -> Value {
    json!({ "product": product, "times": times, "name": name, "price_cents": price })
}
