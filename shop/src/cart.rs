//! The cart service: one cart for each customer, never stored by anyone.

use crate::answer::{Answer, Keep, Refusal};
use crate::database::Statement;
use crate::sin::Sin;
use crate::visit::{Visit, number};
use serde_json::{Value, json};

const QUANTITY_MAX: i64 = 99;

/// `GET /cart/{customer}`
pub(crate) async fn cart(visit: &Visit, customer: &str) -> Result<Answer, Refusal> {
    let customer = number("customer", customer)?;
    let mut lines = Vec::new();
    if visit.commits(Sin::NPlusOne) {
        let sql = "SELECT product, quantity FROM basket WHERE customer = $1 ORDER BY product";
        for row in visit.read(sql, vec![customer.into()]).await? {
            let sql = "SELECT name, price FROM product WHERE id = $1";
            let found = visit.read(sql, vec![row.integer(0).into()]).await?;
            let (name, price) =
                found.first().map_or(("", 0), |product| (product.text(0), product.integer(1)));
            lines.push((row.integer(0), row.integer(1), name.to_owned(), price));
        }
    } else {
        let sql = "SELECT b.product, b.quantity, p.name, p.price FROM basket b \
            JOIN product p ON p.id = b.product WHERE b.customer = $1 ORDER BY b.product";
        let rows = visit.read(sql, vec![customer.into()]).await?;
        let line = |row: &crate::database::Row| {
            (row.integer(0), row.integer(1), row.text(2).to_owned(), row.integer(3))
        };
        lines.extend(rows.iter().map(line));
    }
    let total: i64 = lines.iter().map(|(_, quantity, _, price)| quantity * price).sum();
    let lines: Vec<Value> = lines
        .iter()
        .map(|(product, quantity, name, price)| {
            json!({ "product": product, "quantity": quantity, "name": name, "price_cents": price })
        })
        .collect();
    let body = json!({ "customer": customer, "lines": lines, "total_cents": total });
    Ok(Answer::new(Keep::Private, body))
}

/// `PUT /cart/{customer}`, `{"product": 7, "quantity": 2}`: so many of this product; 0 takes it out.
pub(crate) async fn put(visit: &Visit, customer: &str) -> Result<Answer, Refusal> {
    let id = number("customer", customer)?;
    let body = visit.asked.json()?;
    let field = |name: &str| body.get(name).and_then(Value::as_i64);
    let (Some(product), Some(quantity @ 0..=QUANTITY_MAX)) = (field("product"), field("quantity"))
    else {
        let hint = format!("a line has a `product` and a `quantity` from 0 to {QUANTITY_MAX}");
        return Err(Refusal::Unprocessable(hint));
    };
    let sql = "DELETE FROM basket WHERE customer = $1 AND product = $2";
    let mut list = vec![Statement::new(sql, vec![id.into(), product.into()])];
    if quantity > 0 {
        let sql = "INSERT INTO basket (customer, product, quantity) \
            SELECT CAST($1 AS BIGINT), id, CAST($2 AS BIGINT) FROM product WHERE id = $3";
        let cells = vec![id.into(), quantity.into(), product.into()];
        list.push(Statement::required(sql, cells));
    }
    if !visit.write(list).await? {
        return Err(Refusal::not_found("product", product));
    }
    cart(visit, customer).await
}

/// `DELETE /cart/{customer}`: empties it.
pub(crate) async fn clear(visit: &Visit, customer: &str) -> Result<Answer, Refusal> {
    let id = number("customer", customer)?;
    let sql = "DELETE FROM basket WHERE customer = $1";
    visit.write(vec![Statement::new(sql, vec![id.into()])]).await?;
    cart(visit, customer).await
}
