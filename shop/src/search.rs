//! The search service: products by the words of their names.
//!
//! Sins here: `missing-index` (the words are scanned), `n-plus-one` and `unbounded-list`.

use crate::answer::{Answer, Keep, Refusal};
use crate::catalogue;
use crate::sin::Sin;
use crate::visit::Visit;
use serde_json::json;
use std::fmt::Write as _;

const WORDS_MAX: usize = 4;

/// `GET /search?q=oak+lamp`: products whose names have all the words.
pub(crate) async fn search(visit: &Visit) -> Result<Answer, Refusal> {
    let asked = visit.asked.parameter("q").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = asked.split_whitespace().take(WORDS_MAX).collect();
    // The last word is the thing itself, and names the fewest products.
    let Some((thing, others)) = words.split_last() else {
        return Err(Refusal::Bad("a search needs words: /search?q=oak+lamp".to_owned()));
    };
    let mut sql =
        "SELECT t.product FROM term t JOIN product p ON p.id = t.product WHERE t.word = $1"
            .to_owned();
    let mut cells = vec![(*thing).into()];
    for word in others {
        cells.push(format!("%{word}%").into());
        let _ = write!(sql, " AND lower(p.name) LIKE ${}", cells.len());
    }
    sql.push_str(" ORDER BY t.product");
    if !visit.commits(Sin::UnboundedList) {
        cells.push(catalogue::LIST_MAX.into());
        let _ = write!(sql, " LIMIT ${}", cells.len());
    }
    let rows = visit.read(sql, cells).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.integer(0)).collect();
    let products = catalogue::by_ids(visit, &ids).await?;
    let body = json!({ "query": asked, "found": products.len(), "products": products });
    Ok(Answer::new(Keep::Public(5), body))
}
