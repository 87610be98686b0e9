//! Where the requests of a route go: `to`, `shadow`, and `class`, by which they go.

use super::services::Service;
use super::tries;
use crate::address::own_field;
use crate::model::{Pattern, Segment};
use crate::options::duration;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::closest;
use balance::settings::{Hash, HashBy, Policy};
use base::Share;
use service::settings::Class;
use std::time::Duration;

/// The services of a route: the first one, and all of them with their weights where there are several.
pub(super) struct Targets {
    pub(super) service: usize,
    pub(super) split: Vec<(usize, u32)>,
}

impl Targets {
    /// The services that requests go to.
    fn all(&self) -> impl Iterator<Item = usize> {
        let alone = self.split.is_empty().then_some(self.service);
        alone.into_iter().chain(self.split.iter().map(|(service, _)| *service))
    }
}

/// `to`.
pub(super) fn targets<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    services: &[Service<'s>],
) -> Option<Targets> {
    let found = reader.weights(table, "to")?;
    let place = table.place("to")?;
    let start = table.scope.table();
    let key = table.scope.key("to");
    let written = table.get("to")?.get_ref().as_table();
    if written.is_some_and(toml::map::Map::is_empty) {
        let hint = services.first().map(|service| format!("to = \"{}\"", service.name));
        let allowed = "at least one service and its weight".to_owned();
        reader.note(place, format!("{key}an empty table"), allowed, hint);
        return None;
    }
    let sum: u64 = found.iter().map(|(_, weight)| weight).sum();
    let known: Vec<_> = found
        .iter()
        .map(|(name, weight)| Some((resolve(reader, &start, name, services)?, *weight as u32)))
        .collect();
    if sum == 0 && !found.is_empty() {
        let what = format!("{key}all weights are 0");
        reader.note(place, what, "at least one above 0".to_owned(), None);
        return None;
    }
    let mut split = known.into_iter().collect::<Option<Vec<_>>>()?;
    split.retain(|(_, weight)| *weight > 0);
    let (service, _) = *split.first()?;
    if split.len() == 1 {
        split.clear();
    }
    Some(Targets { service, split })
}

/// The service of this name.
fn resolve<'s>(
    reader: &mut Reader<'s>,
    start: &str,
    name: &At<String>,
    services: &[Service<'s>],
) -> Option<usize> {
    let known = services.iter().map(|service| service.name);
    if let Some(index) = known.clone().position(|known| known == name.value) {
        return Some(index);
    }
    if reader.torn() {
        return None; // Its header may be what is lost.
    }
    let what = format!("{start}unknown service \"{}\"", name.value);
    let names = known.clone().collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "none".to_owned() } else { names };
    let hint = closest(&name.value, known).map(|name| format!("did you mean \"{name}\"?"));
    let url = name.value.contains("://");
    let hint = hint.or_else(|| {
        url.then(|| format!("name the service: [service.NAME] servers = [\"{}\"]", name.value))
    });
    reader.note(name.span.clone(), what, format!("known services: {names}"), hint);
    None
}

/// `shadow`.
pub(super) fn shadow<'s>(
    reader: &mut Reader<'s>,
    route: &Table<'s>,
    label: &str,
    services: &[Service<'s>],
    targets: Option<&Targets>,
) -> Option<(usize, Share)> {
    let table = reader.short(route, "shadow", Scope::InRoute(label.to_owned(), "shadow"))?;
    let share = reader.share(&table, "share").map_or(Share::percent(100), |found| found.value);
    let text = reader.text(&table, "to")?;
    let name = At { value: text.value, span: text.span };
    let service = resolve(reader, &route.scope.key("shadow"), &name, services)?;
    if targets.is_some_and(|targets| targets.all().any(|target| target == service)) {
        let what =
            format!("{}requests go to \"{}\" already", route.scope.key("shadow"), name.value);
        let label = "another service than the route's own".to_owned();
        let there = route.place("to").unwrap_or(route.span.clone());
        reader.note_pair(what, (&name.span, label), (&there, "it is here".to_owned()), None);
    }
    Some((service, share))
}

/// `class`: the class, and the field that may say otherwise.
pub(super) fn class<'s>(
    reader: &mut Reader<'s>,
    route: &Table<'s>,
    label: &str,
) -> (Class, Option<String>) {
    let scope = Scope::InRoute(label.to_owned(), "class");
    let Some(table) = reader.short(route, "class", scope) else { return (Class::Normal, None) };
    let class = match reader.choice(&table, "default") {
        Some(Ok("critical")) => Class::Critical,
        Some(Ok("background")) => Class::Background,
        _ => Class::Normal,
    };
    let field = reader.parsed(&table, "field", |text| own_field(text, "X-Priority"));
    (class, field.map(|found| found.value))
}

/// Notes a timeout that the tries of a service do not fit into.
pub(super) fn check_timeout<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    timeout: Option<&At<Duration>>,
    services: &[Service<'s>],
    targets: &Targets,
) {
    let Some(timeout) = timeout else { return };
    for service in targets.all().map(|index| &services[index]) {
        let Some((settings, place)) = service.settings.as_ref().zip(service.try_place.as_ref())
        else {
            continue;
        };
        let Some((longest, sum)) = tries::longest(&settings.retry) else { continue };
        // Where it does not fit into the service's own time, that was noted.
        if longest > timeout.value && longest <= settings.total_time {
            let shown = duration(timeout.value);
            let what = format!("{}{sum} is more than {shown}", table.scope.key("timeout"));
            let label = format!("at least {}, or fewer or shorter tries", duration(longest));
            let there = (place, format!("the tries of service \"{}\"", service.name));
            reader.note_pair(what, (&timeout.span, label), there, None);
        }
    }
}

/// Notes a service that is balanced by a parameter which the route's pattern lacks.
pub(super) fn check_hash<'s>(
    reader: &mut Reader<'s>,
    start: &str,
    pattern: &At<Pattern>,
    services: &[Service<'s>],
    targets: &Targets,
) {
    for service in targets.all().map(|index| &services[index]) {
        let Some((settings, place)) = service.settings.as_ref().zip(service.by_place.as_ref())
        else {
            continue;
        };
        let Policy::Hash(Hash { by: HashBy::Parameter(name), .. }) = &settings.balance.policy
        else {
            continue;
        };
        let has = |segment: &Segment| match segment {
            Segment::Parameter(own) | Segment::Rest(own) => own == name,
            Segment::Literal(_) => false,
        };
        if pattern.value.path.iter().any(has) {
            continue;
        }
        let what = format!("{start}{} has no {{{name}}}", pattern.value);
        let label = format!("service \"{}\" hashes requests by it", service.name);
        let hint = "name it in match, or hash by something that every route has: path, client";
        if pattern.span == *place {
            reader.note(place.clone(), what, label, Some(hint.to_owned()));
            continue;
        }
        let there = (place, "by is set here".to_owned());
        reader.note_pair(what, (&pattern.span, label), there, Some(hint.to_owned()));
    }
}
