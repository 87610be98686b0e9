//! How long one put takes, one after another, and how many a second go through in batches:
//! `cargo run --release -p broker --example put -- kafka://127.0.0.1:9092 2000`.

use base::Moment;
use broker::{Options, open};
use offload::queue::{Channel, Message};
use std::time::Duration;

const USAGE: &str = "put URL [COUNT]";
const BY: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or(USAGE)?;
    let count: usize = arguments.next().map_or(Ok(1000), |count| count.parse())?;
    let count = count.max(1);
    let queue = open(&url, &Options::new("measure", "measure"))?;
    let begun = Moment::now();
    println!("ready: {:?}, {:?}", queue.ready().await?, Moment::now().since(begun));
    let message = |number: usize| Message {
        id: format!("{number}"),
        key: String::new(),
        fields: Vec::new(),
        payload: vec![b'x'; 1024].into(),
    };
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let begun = Moment::now();
        for answer in queue.put(&Channel::Jobs, vec![message(number)], BY).await {
            answer?;
        }
        times.push(Moment::now().since(begun));
    }
    println!("first: {:?}", times[0]);
    times.sort_unstable();
    let at = |permille: usize| times[(count - 1) * permille / 1000];
    println!("one at a time: p50 {:?}, p99 {:?}, most {:?}", at(500), at(990), at(1000));
    let begun = Moment::now();
    for batch in 0..count.div_ceil(100) {
        let all = (0..100).map(|number| message(batch * 100 + number)).collect();
        for answer in queue.put(&Channel::Jobs, all, BY).await {
            answer?;
        }
    }
    let lasted = Moment::now().since(begun).as_secs_f64();
    println!("batches of 100: {:.0} a second", count.div_ceil(100) as f64 * 100.0 / lasted);
    queue.close().await;
    Ok(())
}
