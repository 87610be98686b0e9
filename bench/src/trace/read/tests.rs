//! Each format, by a few lines of it.

use super::{Format, lines, name};

fn check(format: Format, text: &str) -> Result<Vec<(u64, u32)>, usize> {
    let requests = lines(text.as_bytes(), format).map_err(|(line, _)| line)?;
    Ok(requests.iter().map(|request| (request.key, request.size)).collect())
}

#[test]
fn text_formats_are_read() {
    assert_eq!(check(Format::Csv, "time,key,size\n1,5,100\n2,6,7\n"), Ok(vec![(5, 100), (6, 7)]));
    let twitter = "0,abc,3,100,1,get,0\n0,abc,3,100,1,set,60\n";
    assert_eq!(check(Format::Csv, twitter), Ok(vec![(name("abc"), 103)]));
    assert_eq!(check(Format::Cdn, "1 5 100\n2 6 7 1 2\n"), Ok(vec![(5, 100), (6, 7)]));
    assert_eq!(check(Format::Arc, "7 2 0 1\n"), Ok(vec![(7, 512), (8, 512)]));
    assert_eq!(check(Format::Plain, "7\n*\n8\n"), Ok(vec![(7, 4096), (8, 4096)]));
}

#[test]
fn only_whole_answers_to_get_count_in_a_log() {
    let log = "1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 100 \"-\" \"-\"\n\
               1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"POST /a HTTP/1.1\" 200 100 \"-\" \"-\"\n\
               1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 304 - \"-\" \"-\"\n";
    assert_eq!(check(Format::Log, log), Ok(vec![(name("/a"), 100)]));
}

#[test]
fn a_line_of_another_format_is_named() {
    assert_eq!(check(Format::Cdn, "1 5 100\n2,6,7\n"), Err(2));
    assert_eq!(check(Format::Csv, "1,5,100\n\n2 6 7\n"), Err(3));
}
