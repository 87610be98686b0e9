//! `[cache]`, and a route's `cache`.

mod rules;
pub(super) mod shared;

pub(super) use rules::known_parameter;

use super::value;
use crate::model::Pattern;
use crate::reader::{At, Reader, Scope, Table};
use base::ByteSize;
use cache::settings::{Disk, Rules, Settings};

/// Less memory than this is of no use.
const MEMORY_MIN: ByteSize = ByteSize::mib(1);
/// One object takes at most this part of memory: it cannot flush all others.
const PART_MAX: u64 = 4;

/// `[cache]`.
pub(super) fn settings<'s>(reader: &mut Reader<'s>, root: &Table<'s>) -> Settings {
    let standard = Settings::standard();
    let table = match reader.switch(root, "cache", Scope::Section("cache".to_owned())) {
        Some(Ok(table)) => table,
        Some(Err(enabled)) => {
            return Settings { rules: Rules { enabled, ..standard.rules }, ..standard };
        }
        None => return standard,
    };
    let (memory, object_max) = sizes(reader, &table, &standard);
    let shared_object_max = reader.size(&table, "shared_object_max");
    let targeted = reader.parsed_all(&table, "targeted", rules::field);
    Settings {
        memory,
        object_max,
        disk: disk(reader, &table),
        shared: shared::shared(reader, &table),
        shared_time: value(reader.time(&table, "shared_time"), standard.shared_time),
        shared_object_max: shared_object_max
            .and_then(|found| found.value)
            .unwrap_or(standard.shared_object_max),
        fence: reader.flag(&table, "fence").unwrap_or(standard.fence),
        targeted: targeted.map_or(standard.targeted, rules::values),
        wait_time: value(reader.time(&table, "wait_time"), standard.wait_time),
        purge_token: reader.parsed(&table, "purge_token", shared::token).map(|token| token.value),
        rules: rules::rules(reader, &table, None, &standard.rules),
    }
}

/// `cache` of a route whose rules start from `rules`.
pub(super) fn of_route<'s>(
    reader: &mut Reader<'s>,
    route: &Table<'s>,
    label: &str,
    pattern: Option<&At<Pattern>>,
    rules: &Rules,
) -> Rules {
    match reader.switch(route, "cache", Scope::InRoute(label.to_owned(), "cache")) {
        Some(Ok(table)) => rules::rules(reader, &table, Some((label, pattern)), rules),
        Some(Err(enabled)) => Rules { enabled, ..rules.clone() },
        None => rules.clone(),
    }
}

/// `memory` and `object_max`.
fn sizes<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    standard: &Settings,
) -> (ByteSize, ByteSize) {
    let found = reader.size(table, "memory");
    let memory = found.as_ref().and_then(|found| found.value).unwrap_or(standard.memory);
    if let Some(found) = found.as_ref().filter(|_| memory.0 > 0 && memory < MEMORY_MIN) {
        let what = format!("{}{memory} is too small", table.scope.key("memory"));
        let hint = Some("\"0 B\" switches memory off".to_owned());
        reader.note(found.span.clone(), what, format!("at least {MEMORY_MIN}, or 0 B"), hint);
    }
    let most = if memory.0 == 0 { ByteSize(u64::MAX) } else { ByteSize(memory.0 / PART_MAX) };
    let object = reader.size(table, "object_max");
    let Some(At { value: Some(object), span }) = object else {
        return (memory, standard.object_max.min(most));
    };
    if object > most {
        let what =
            format!("{}{object} is more than a quarter of memory", table.scope.key("object_max"));
        let label = format!("at most {most}, a quarter of memory");
        if let Some(there) = found {
            let other = (&there.span, "memory is set here".to_owned());
            reader.note_pair(what, (&span, label), other, None);
        } else {
            let hint = format!("memory is {memory} unless it is set");
            reader.note(span, what, label, Some(hint));
        }
    }
    (memory, object)
}

fn disk<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<Disk> {
    let table = reader.table(table, "disk", Scope::Section("cache.disk".to_owned()))?;
    let path = reader.text(&table, "path");
    let size = reader.size(&table, "size").and_then(|found| found.value);
    let path = path?;
    if path.value.is_empty() {
        let what = format!("{}an empty path", table.scope.key("path"));
        let hint = Some("path = \"/var/cache/fleetfoot\"".to_owned());
        reader.note(path.span, what, "a folder's path".to_owned(), hint);
        return None;
    }
    Some(Disk { path: reader.path(&path), size: size? })
}
