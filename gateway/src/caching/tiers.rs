//! What lies behind memory: looked into by whoever leads a fetch, before the service is asked.

use super::Plan;
use crate::house::House;
use base::RequestHead;
use cache::entry::Entry;
use settings::Route;
use std::sync::Arc;

/// An entry from a tier that answers this request, put into memory.
pub async fn find(
    house: &House,
    route: &Route,
    plan: &Plan,
    head: &RequestHead,
) -> Option<Arc<Entry>> {
    let _ = (house, route, plan, head);
    std::future::ready(()).await;
    None
}
