//! The mail service, the sales report, and the clerk who does both when nobody waits.
//!
//! The mail server is the outside world and is imitated: a letter takes `mail_time`, asleep. It is
//! the only sleep in the shop, and the answer says so. The report is real: every line of every
//! order is summed up by category.

use crate::answer::{Answer, Keep, Refusal, unix_now};
use crate::count::Counts;
use crate::database::Statement;
use crate::visit::{Shop, Visit};
use base::Moment;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

const CHORES_MAX: usize = 1_024;

/// Something to do after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Send this letter.
    Letter(i64),
    /// Write the sales report.
    Report,
}

/// Takes chores, as many as `CHORES_MAX`.
pub(crate) struct Clerk(Sender<Chore>);

impl Clerk {
    /// A clerk, and what the clerk is given.
    pub(crate) fn new() -> (Self, Receiver<Chore>) {
        let (give, take) = channel(CHORES_MAX);
        (Self(give), take)
    }

    /// Leaves a chore; `false` when the clerk has too many, and it must be done now.
    pub(crate) fn give(&self, chore: Chore) -> bool {
        self.0.try_send(chore).is_ok()
    }
}

/// Does chores until the shop is `stopped` and none is left. Reports that pile up are written once.
pub(crate) async fn work(
    shop: Arc<Shop>,
    mut take: Receiver<Chore>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut chores = Vec::new();
    loop {
        let count = tokio::select! {
            biased;
            // A closed queue takes no more, and yields what it has.
            Ok(()) = stopped.changed() => {
                take.close();
                continue;
            }
            count = take.recv_many(&mut chores, CHORES_MAX) => count,
        };
        if count == 0 {
            return;
        }
        if chores.contains(&Chore::Report)
            && let Err(error) = write_report(&shop).await
        {
            eprintln!("fleetfoot: shop: the sales report was not written: {error}");
        }
        for chore in chores.drain(..) {
            if let Chore::Letter(letter) = chore
                && let Err(error) = deliver(&shop, letter).await
            {
                eprintln!("fleetfoot: shop: letter {letter} was not sent: {error}");
            }
        }
    }
}

/// `POST /mail`, `{"letter": 7}` for one that is written, or `{"to": …, "subject": …, "body": …}`.
pub(crate) async fn mail(visit: &Visit) -> Result<Answer, Refusal> {
    let body = visit.asked.json()?;
    let letter = match body.get("letter").and_then(Value::as_i64) {
        Some(letter) => letter,
        None => write_letter(visit, &body).await?,
    };
    deliver(&visit.shop, letter).await?;
    let body = json!({
        "letter": letter,
        "delivered": true,
        "imitated": "no mail is sent: the mail server is imitated by a pause",
        "pause_ms": visit.shop.mail_time.as_millis() as u64,
    });
    Ok(Answer::new(Keep::Never, body))
}

async fn write_letter(visit: &Visit, body: &Value) -> Result<i64, Refusal> {
    let word = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(to), Some(subject), Some(text)) = (word("to"), word("subject"), word("body")) else {
        let hint = "a letter has `to`, `subject` and `body`, or the number of one in `letter`";
        return Err(Refusal::Unprocessable(hint.to_owned()));
    };
    let id = fastrand::i64(1 << 40..1 << 52);
    let sql = "INSERT INTO letter (id, recipient, subject, body, sent) VALUES ($1, $2, $3, $4, 0)";
    let cells = vec![id.into(), to.into(), subject.into(), text.into()];
    visit.write(vec![Statement::new(sql, cells)]).await?;
    Ok(id)
}

/// Hands a letter to the imitated mail server and notes when it was sent.
async fn deliver(shop: &Shop, letter: i64) -> Result<(), Refusal> {
    tokio::time::sleep(shop.mail_time).await;
    let sql = "UPDATE letter SET sent = $1 WHERE id = $2";
    let change = Statement::required(sql, vec![unix_now().into(), letter.into()]);
    let start = Moment::now();
    let known = shop.database.write(vec![change]).await?;
    shop.counts.query(0, Moment::now().since(start));
    if !known {
        return Err(Refusal::not_found("letter", letter));
    }
    Counts::add(&shop.counts.letters, 1);
    Ok(())
}

/// Sums up every line of every order by category, and stores the sums.
pub(crate) async fn write_report(shop: &Shop) -> Result<(), Refusal> {
    let sql = "SELECT p.category, CAST(SUM(l.quantity) AS BIGINT), \
        CAST(SUM(l.quantity * l.price) AS BIGINT) \
        FROM line l JOIN product p ON p.id = l.product GROUP BY p.category ORDER BY p.category";
    let start = Moment::now();
    let rows = shop.database.read(Statement::new(sql, vec![])).await?;
    shop.counts.query(rows.len() as u64, Moment::now().since(start));
    let upsert = "INSERT INTO report (category, sold, revenue, written) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (category) DO UPDATE SET sold = excluded.sold, revenue = excluded.revenue, \
        written = excluded.written";
    let change = |row: &crate::database::Row| {
        let cells = [row.integer(0), row.integer(1), row.integer(2), unix_now()];
        Statement::new(upsert, cells.into_iter().map(Into::into).collect())
    };
    let start = Moment::now();
    shop.database.write(rows.iter().map(change).collect()).await?;
    shop.counts.query(0, Moment::now().since(start));
    Counts::add(&shop.counts.reports, 1);
    Ok(())
}

/// `GET /orders/report`: the sales report as it was last written.
pub(crate) async fn report(visit: &Visit) -> Result<Answer, Refusal> {
    let sql = "SELECT category, sold, revenue, written FROM report ORDER BY category";
    let rows = visit.read(sql, vec![]).await?;
    let list: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "category": row.integer(0),
                "sold": row.integer(1),
                "revenue_cents": row.integer(2),
                "written": row.integer(3),
            })
        })
        .collect();
    Ok(Answer::new(Keep::Private, json!({ "report": list })))
}
