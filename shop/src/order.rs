//! The order service: takes an order once, whatever the number of tries.
//!
//! Sins here: `n-plus-one` (each line's price by itself), `slow-mail` and `slow-report` (both done
//! before the answer). Without them, the clerk does both after it.
//!
//! An `Idempotency-Key` is stored in the transaction that stores the order: a second try finds it,
//! gets the first one's answer and is not mailed again. The same key with another body is refused.

use crate::answer::{Answer, Keep, Refusal, hash, unix_now};
use crate::database::{Cell, Statement, places};
use crate::mail::{self, Chore};
use crate::sin::Sin;
use crate::visit::{Visit, number};
use http::{StatusCode, header};
use serde_json::{Value, json};

const LINES_MAX: usize = 50;
const QUANTITY_MAX: i64 = 99;

struct Wanted {
    customer: i64,
    /// Product and quantity, each product once.
    lines: Vec<(i64, i64)>,
}

/// `POST /orders`, `{"customer": 7, "lines": [{"product": 1, "quantity": 2}]}`
pub(crate) async fn place(visit: &Visit) -> Result<Answer, Refusal> {
    let wanted = wanted(&visit.asked.json()?)?;
    let key = key(visit)?;
    if let Some((token, fingerprint)) = &key
        && let Some(answer) = replay(visit, token, fingerprint).await?
    {
        return Ok(answer);
    }
    let id = fastrand::i64(1 << 40..1 << 52);
    let letter = fastrand::i64(1 << 40..1 << 52);
    let Some(changes) = changes(visit, id, letter, &wanted, key.as_ref()).await? else {
        return Err(Refusal::Unprocessable("an order names products that exist".to_owned()));
    };
    if !visit.write(changes).await? {
        // Another try with the same key was first, between our look and our write.
        if let Some((token, fingerprint)) = &key
            && let Some(answer) = replay(visit, token, fingerprint).await?
        {
            return Ok(answer);
        }
        return Err(Refusal::Unprocessable("an order names products in stock".to_owned()));
    }
    follow_up(visit, letter).await?;
    let mut answer = order(visit, &id.to_string()).await?;
    answer.status = StatusCode::CREATED;
    answer.fields.push((header::LOCATION, format!("/orders/{id}")));
    Ok(answer)
}

/// `GET /orders/{id}`
pub(crate) async fn order(visit: &Visit, id: &str) -> Result<Answer, Refusal> {
    let id = number("id", id)?;
    let sql = "SELECT customer, placed, total, state FROM purchase WHERE id = $1";
    let rows = visit.read(sql, vec![id.into()]).await?;
    let row = rows.first().ok_or_else(|| Refusal::not_found("order", id))?;
    let sql = "SELECT product, quantity, price FROM line WHERE purchase = $1 ORDER BY product";
    let lines: Vec<Value> = visit
        .read(sql, vec![id.into()])
        .await?
        .iter()
        .map(|line| {
            json!({
                "product": line.integer(0),
                "quantity": line.integer(1),
                "price_cents": line.integer(2),
            })
        })
        .collect();
    let body = json!({
        "id": id,
        "customer": row.integer(0),
        "placed": row.integer(1),
        "total_cents": row.integer(2),
        "state": row.text(3),
        "lines": lines,
    });
    Ok(Answer::new(Keep::Private, body))
}

fn wanted(body: &Value) -> Result<Wanted, Refusal> {
    let refuse = || {
        Refusal::Unprocessable(format!(
            "an order has a `customer` and 1 to {LINES_MAX} `lines`, each with a `product` and a \
             `quantity` from 1 to {QUANTITY_MAX}"
        ))
    };
    let positive = |value: Option<&Value>| value.and_then(Value::as_i64).filter(|id| *id > 0);
    let customer = positive(body.get("customer")).ok_or_else(refuse)?;
    let given = body.get("lines").and_then(Value::as_array).ok_or_else(refuse)?;
    let mut lines: Vec<(i64, i64)> = Vec::with_capacity(given.len());
    for line in given {
        let product = positive(line.get("product")).ok_or_else(refuse)?;
        let quantity = positive(line.get("quantity")).ok_or_else(refuse)?;
        match lines.iter_mut().find(|(known, _)| *known == product) {
            Some((_, sum)) => *sum += quantity.min(QUANTITY_MAX + 1),
            None => lines.push((product, quantity)),
        }
    }
    let legal = !lines.is_empty() && lines.len() <= LINES_MAX;
    if !legal || lines.iter().any(|(_, quantity)| *quantity > QUANTITY_MAX) {
        return Err(refuse());
    }
    // In one order everywhere, so that two orders never wait for each other in a circle.
    lines.sort_unstable();
    Ok(Wanted { customer, lines })
}

/// The idempotency key and the fingerprint of what it stands for.
fn key(visit: &Visit) -> Result<Option<(String, String)>, Refusal> {
    let Some(value) = visit.asked.fields.get("idempotency-key") else {
        return Ok(None);
    };
    let token = value.to_str().ok().filter(|token| !token.is_empty() && token.len() <= 255);
    let refuse = || Refusal::Bad("Idempotency-Key must be 1 to 255 visible characters".to_owned());
    let token = token.ok_or_else(refuse)?;
    Ok(Some((token.to_owned(), format!("{:016x}", hash(&visit.asked.body)))))
}

async fn replay(visit: &Visit, token: &str, fingerprint: &str) -> Result<Option<Answer>, Refusal> {
    let sql = "SELECT purchase, fingerprint FROM receipt WHERE token = $1";
    let rows = visit.read(sql, vec![token.into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if row.text(1) != fingerprint {
        let hint = "this Idempotency-Key was used for another order; use a new one for each order";
        return Err(Refusal::Unprocessable(hint.to_owned()));
    }
    let id = row.integer(0);
    let mut answer = order(visit, &id.to_string()).await?;
    answer.status = StatusCode::CREATED;
    answer.fields.push((header::LOCATION, format!("/orders/{id}")));
    Ok(Some(answer))
}

/// What an order changes; `None` when one of its products does not exist.
async fn changes(
    visit: &Visit,
    id: i64,
    letter: i64,
    wanted: &Wanted,
    key: Option<&(String, String)>,
) -> Result<Option<Vec<Statement>>, Refusal> {
    let prices = prices(visit, &wanted.lines).await?;
    let mut list = Vec::new();
    if let Some((token, fingerprint)) = key {
        let sql = "INSERT INTO receipt (token, fingerprint, purchase) VALUES ($1, $2, $3) \
            ON CONFLICT (token) DO NOTHING";
        let cells = vec![token.as_str().into(), fingerprint.as_str().into(), id.into()];
        list.push(Statement::required(sql, cells));
    }
    let (mut total, now) = (0, unix_now());
    for (product, quantity) in &wanted.lines {
        let Some((_, price)) = prices.iter().find(|(known, _)| known == product) else {
            return Ok(None);
        };
        total += price * quantity;
        let sql = "INSERT INTO line (purchase, product, quantity, price) VALUES ($1, $2, $3, $4)";
        let cells = vec![id.into(), (*product).into(), (*quantity).into(), (*price).into()];
        list.push(Statement::new(sql, cells));
        let sql = "UPDATE product SET stock = stock - $1, updated = $2 WHERE id = $3 \
            AND stock >= $4";
        let cells = vec![(*quantity).into(), now.into(), (*product).into(), (*quantity).into()];
        list.push(Statement::required(sql, cells));
    }
    let sql =
        "INSERT INTO purchase (id, customer, placed, total, state) VALUES ($1, $2, $3, $4, $5)";
    let cells: Vec<Cell> =
        vec![id.into(), wanted.customer.into(), now.into(), total.into(), "placed".into()];
    list.push(Statement::new(sql, cells));
    let sql = "INSERT INTO letter (id, recipient, subject, body, sent) VALUES ($1, $2, $3, $4, 0)";
    let recipient = format!("customer-{}@example.com", wanted.customer);
    let subject = format!("Your order {id}");
    let body = format!("Thank you for your order of {} products.", wanted.lines.len());
    let cells = vec![letter.into(), recipient.into(), subject.into(), body.into()];
    list.push(Statement::new(sql, cells));
    Ok(Some(list))
}

async fn prices(visit: &Visit, lines: &[(i64, i64)]) -> Result<Vec<(i64, i64)>, Refusal> {
    let mut rows = Vec::new();
    if visit.commits(Sin::NPlusOne) {
        for (product, _) in lines {
            let sql = "SELECT id, price FROM product WHERE id = $1";
            rows.extend(visit.read(sql, vec![(*product).into()]).await?);
        }
    } else {
        let sql = format!("SELECT id, price FROM product WHERE id IN ({})", places(1, lines.len()));
        rows =
            visit.read(sql, lines.iter().map(|(product, _)| (*product).into()).collect()).await?;
    }
    Ok(rows.iter().map(|row| (row.integer(0), row.integer(1))).collect())
}

/// The confirmation and the report: now, by the sins, or by the clerk.
async fn follow_up(visit: &Visit, letter: i64) -> Result<(), Refusal> {
    let clerk = &visit.shop.clerk;
    if visit.commits(Sin::SlowMail) || !clerk.give(Chore::Letter(letter)) {
        visit.post("/mail", &json!({ "letter": letter })).await?;
    }
    if visit.commits(Sin::SlowReport) || !clerk.give(Chore::Report) {
        mail::write_report(&visit.shop).await?;
    }
    Ok(())
}
