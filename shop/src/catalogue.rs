//! The catalogue service: categories, products, lists of products.
//!
//! Sins here: `unbounded-list` (a category is sent whole), `missing-index` (`product.category`),
//! `n-plus-one` (a list of products reads the name of each one's category), `fat-json`.

use crate::answer::{Answer, Keep, Refusal};
use crate::database::{Row, Statement, places};
use crate::sin::Sin;
use crate::visit::{Visit, number, numbers};
use http::header;
use serde_json::{Value, json};

/// Rows of a list that has an end.
pub(crate) const LIST_MAX: i64 = 24;
const FRESH_SECONDS: u32 = 5;
const COLUMNS: &str = "p.id, p.sku, p.name, p.description, p.category, p.price, p.stock, p.updated";

/// `GET /catalogue/categories`
pub(crate) async fn categories(visit: &Visit) -> Result<Answer, Refusal> {
    let rows = visit.read("SELECT id, name FROM category ORDER BY id", vec![]).await?;
    let list: Vec<Value> =
        rows.iter().map(|row| json!({ "id": row.integer(0), "name": row.text(1) })).collect();
    Ok(Answer::new(Keep::Public(60), json!({ "categories": list })))
}

/// `GET /catalogue/products/{id}`
pub(crate) async fn product(visit: &Visit, id: &str) -> Result<Answer, Refusal> {
    let id = number("id", id)?;
    let sql = format!("SELECT {COLUMNS} FROM product p WHERE p.id = $1");
    let rows = visit.read(sql, vec![id.into()]).await?;
    let row = rows.first().ok_or_else(|| Refusal::not_found("product", id))?;
    let name = category_name(visit, row.integer(4)).await?;
    let mut answer = Answer::new(Keep::Public(FRESH_SECONDS), product_json(visit, row, &name));
    answer.modified = Some(row.integer(7));
    Ok(answer)
}

/// `PUT /catalogue/products/{id}`: a new price or stock.
pub(crate) async fn change(visit: &Visit, id: &str) -> Result<Answer, Refusal> {
    let id = number("id", id)?;
    let body = visit.asked.json()?;
    let price = body.get("price_cents").and_then(Value::as_i64);
    let stock = body.get("stock").and_then(Value::as_i64);
    if price.or(stock).is_none() || [price, stock].into_iter().flatten().any(|value| value < 0) {
        let hint = "a change of a product has `price_cents` or `stock`, whole numbers from 0";
        return Err(Refusal::Unprocessable(hint.to_owned()));
    }
    let mut list = Vec::new();
    for (column, value) in [("price", price), ("stock", stock)] {
        let Some(value) = value else { continue };
        let sql = format!("UPDATE product SET {column} = $1, updated = $2 WHERE id = $3");
        let now = crate::answer::unix_now();
        list.push(Statement::required(sql, vec![value.into(), now.into(), id.into()]));
    }
    if !visit.write(list).await? {
        return Err(Refusal::not_found("product", id));
    }
    let mut answer = product(visit, &id.to_string()).await?;
    answer.keep = Keep::Private;
    Ok(answer)
}

/// `GET /catalogue/products?ids=1,2` or `?category=3&after=17&limit=24`
pub(crate) async fn products(visit: &Visit) -> Result<Answer, Refusal> {
    if let Some(ids) = visit.asked.parameter("ids") {
        let ids = numbers("ids", ids)?;
        let list = by_ids(visit, &ids).await?;
        return Ok(Answer::new(Keep::Public(FRESH_SECONDS), json!({ "products": list })));
    }
    let category = visit.asked.number("category")?.unwrap_or(1);
    let after = visit.asked.number("after")?.unwrap_or(0);
    let mut sql = format!(
        "SELECT {COLUMNS} FROM product p WHERE p.category = $1 AND p.id > $2 ORDER BY p.id"
    );
    let mut cells = vec![category.into(), after.into()];
    let mut limit = None;
    if !visit.commits(Sin::UnboundedList) {
        let rows_max = visit.asked.number("limit")?.unwrap_or(LIST_MAX).min(LIST_MAX);
        sql.push_str(" LIMIT $3");
        cells.push(rows_max.into());
        limit = Some(rows_max);
    }
    let rows = visit.read(sql, cells).await?;
    let full = limit.is_some_and(|limit| i64::try_from(rows.len()) == Ok(limit));
    let next = rows
        .last()
        .filter(|_| full)
        .map(|last| format!("/catalogue/products?category={category}&after={}", last.integer(0)));
    let list = with_categories(visit, &rows).await?;
    let body = json!({ "category": category, "products": list, "next": &next });
    let mut answer = Answer::new(Keep::Public(FRESH_SECONDS), body);
    answer.modified = rows.iter().map(|row| row.integer(7)).max();
    if let Some(next) = next {
        answer.fields.push((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    Ok(answer)
}

/// The products of these ids, in the order asked for; those that do not exist are left out.
pub(crate) async fn by_ids(visit: &Visit, ids: &[i64]) -> Result<Vec<Value>, Refusal> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::with_capacity(ids.len());
    if visit.commits(Sin::NPlusOne) {
        for id in ids {
            let sql = format!("SELECT {COLUMNS} FROM product p WHERE p.id = $1");
            rows.extend(visit.read(sql, vec![(*id).into()]).await?);
        }
    } else {
        let places = places(1, ids.len());
        let sql = format!("SELECT {COLUMNS} FROM product p WHERE p.id IN ({places})");
        rows = visit.read(sql, ids.iter().map(|id| (*id).into()).collect()).await?;
        rows.sort_by_key(|row| ids.iter().position(|id| *id == row.integer(0)));
    }
    with_categories(visit, &rows).await
}

async fn with_categories(visit: &Visit, rows: &[Row]) -> Result<Vec<Value>, Refusal> {
    let mut list = Vec::with_capacity(rows.len());
    if visit.commits(Sin::NPlusOne) {
        for row in rows {
            let name = category_name(visit, row.integer(4)).await?;
            list.push(product_json(visit, row, &name));
        }
    } else {
        let names = visit.read("SELECT id, name FROM category", vec![]).await?;
        for row in rows {
            let category = names.iter().find(|name| name.integer(0) == row.integer(4));
            list.push(product_json(visit, row, category.map_or("", |name| name.text(1))));
        }
    }
    Ok(list)
}

async fn category_name(visit: &Visit, id: i64) -> Result<String, Refusal> {
    let rows = visit.read("SELECT name FROM category WHERE id = $1", vec![id.into()]).await?;
    Ok(rows.first().map(|row| row.text(0).to_owned()).unwrap_or_default())
}

/// One product; `row` has `COLUMNS`.
fn product_json(visit: &Visit, row: &Row, category: &str) -> Value {
    let mut product = json!({
        "id": row.integer(0),
        "sku": row.text(1),
        "name": row.text(2),
        "description": row.text(3),
        "category": { "id": row.integer(4), "name": category },
        "price_cents": row.integer(5),
        "stock": row.integer(6),
        "updated": row.integer(7),
    });
    if visit.commits(Sin::FatJson) {
        product["details"] = fat(row);
    }
    product
}

/// The sin `fat-json`: everything the database has, over and over, in every shape.
fn fat(row: &Row) -> Value {
    let (id, name, words) = (row.integer(0), row.text(2), row.text(3));
    let languages = ["en", "de", "fr", "es", "it", "nl"].map(|language| {
        json!({
            "languageCode": language,
            "isDefaultLanguage": language == "en",
            "translatedName": { "value": name, "isMachineTranslated": false },
            "translatedDescription": { "value": words, "isMachineTranslated": false },
        })
    });
    let pictures = [64, 128, 256, 512, 1024].map(|width| {
        json!({
            "assetType": "IMAGE",
            "renditionWidthInPixels": width,
            "renditionHeightInPixels": width,
            "absoluteUrl": format!("https://images.example.com/products/{id}/{width}.webp"),
            "alternativeText": name,
        })
    });
    json!({
        "localisations": languages,
        "mediaAssets": pictures,
        "pricing": {
            "basePrice": { "amount": row.integer(5), "currencyCode": "EUR", "fractionDigits": 2 },
            "effectivePrice": { "amount": row.integer(5), "currencyCode": "EUR", "fractionDigits": 2 },
            "discounts": [], "surcharges": [], "isPriceOnRequest": false,
        },
        "audit": {
            "createdBy": { "userName": "import", "displayName": "Nightly import" },
            "lastModifiedBy": { "userName": "import", "displayName": "Nightly import" },
            "lastModifiedAtEpochSeconds": row.integer(7),
        },
    })
}
