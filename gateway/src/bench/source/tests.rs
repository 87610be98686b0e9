//! What the flags, files and logs come to.

use super::*;
use clap::Parser;
use proptest::prelude::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

fn flags(arguments: &[&str]) -> Flags {
    Line::try_parse_from(["bench"].iter().chain(arguments)).expect("legal flags").flags
}

fn made(arguments: &[&str]) -> Source {
    source(&flags(arguments)).expect("a source")
}

#[track_caller]
fn refused(arguments: &[&str], part: &str) {
    let error = source(&flags(arguments)).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

struct File(std::path::PathBuf);

impl File {
    fn of(text: &str) -> Self {
        let name = format!("fleetfoot-bench-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_url_says_where_and_what() {
    let place = |url| super::place(url).unwrap();
    let one = place("http://127.0.0.1:3000/a?b=c#d");
    assert_eq!((one.origin.port, one.path.as_str()), (3_000, "/a?b=c"));
    let one = place("https://[::1]");
    assert_eq!((one.origin.host.as_str(), one.origin.port, one.origin.tls), ("::1", 443, true));
    assert_eq!((one.origin.authority.as_str(), one.path.as_str()), ("[::1]", "/"));
    assert_eq!(place("http://shop.test?q={n}").path, "/?q={n}");
}

#[test]
fn a_wrong_url_is_told_what_is_wrong() {
    for (url, part) in [
        ("localhost:3000", "begins with http://"),
        ("ftp://a/", "only http"),
        ("http://", "host"),
        ("http://a:0/", "port"),
        ("http://a:70000/", "port"),
        ("http://a b/", "not legal"),
        ("http://u:p@a/", "Authorization"),
        ("http://a/ b", "%XX"),
    ] {
        refused(&[url], part);
    }
}

#[test]
fn urls_have_weights() {
    let two = made(&["http://a/x*3", "http://b/y"]);
    let of =
        |source: &Source| source.requests.iter().map(|r| (r.weight, r.target)).collect::<Vec<_>>();
    assert_eq!(of(&two), [(3, Some(0)), (1, Some(1))]);
    let two = made(&["http://a/x", "http://a/y", "--weight", "5,2"]);
    assert_eq!((of(&two), two.origins.len()), (vec![(5, Some(0)), (2, Some(0))], 1));
    refused(&["http://a/x", "--weight", "5,2"], "2 weights for 1 URLs");
    assert_eq!(weighted("http://a/*"), ("http://a/*", 1));
}

#[test]
fn a_file_of_many_urls_is_one_kind_and_keeps_its_weights() {
    let lines: Vec<_> = (0..40).map(|n| format!("/p/{n}*{}", n % 3 + 1)).collect();
    let file = File::of(&format!("# pages\n\n{}", lines.join("\n")));
    let source = made(&["--urls", file.path(), "--to", "http://a"]);
    assert_eq!((source.requests.len(), source.requests[0].paths.len()), (1, 40));
    let sequence = source.sequence.unwrap();
    let times = |path: u32| sequence.iter().filter(|pick| pick.1 == path).count();
    assert_eq!((times(0), times(1), times(2)), (1, 2, 3));
    let file = File::of("http://a/\nnonsense\n");
    refused(&["--urls", file.path()], ":2: ");
    refused(&["--urls", "/nowhere/urls"], "/nowhere/urls");
}

#[test]
fn a_log_is_sent_in_its_order_and_at_its_times() {
    let line = |second: u32, method: &str, path: &str| {
        format!("h - - [10/Oct/2000:13:55:{second:02} +0000] \"{method} {path} HTTP/1.1\" 200 1\n")
    };
    let log =
        [line(5, "GET", "/b"), line(1, "GET", "/a"), line(2, "POST", "/c"), line(9, "HEAD", "/b")];
    let file = File::of(&(log.concat() + "nonsense\n"));
    let arguments = ["--log", file.path(), "--to", "http://a", "--recorded", "2"];
    let source = made(&arguments);
    let names: Vec<_> = source.requests.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["GET", "HEAD"]);
    let sent: Vec<_> = source
        .sequence
        .unwrap()
        .iter()
        .map(|&(kind, path)| source.requests[kind as usize].paths[path as usize].clone())
        .collect();
    assert_eq!(sent, ["/a", "/b", "/b"]);
    let times = source.times.unwrap();
    assert!(times[0].is_zero() && times[2] > Duration::from_millis(3_400));
    assert!(
        source.notes[0].contains("1 of other methods, 1 lines not understood"),
        "{:?}",
        source.notes
    );
    assert!(source.notes[1].contains("whole seconds"));
    let all = made(&[&arguments[..], &["--any-method"]].concat());
    assert_eq!(all.requests.len(), 3);
    let file = File::of("nonsense\n");
    refused(&["--log", file.path(), "--to", "http://a"], "no request to send");
}

#[test]
fn method_fields_and_body_are_taken() {
    let file = File::of("from a file");
    let at = format!("@{}", file.path());
    let source = made(&["http://a/", "-d", &at, "-H", "Accept: text/html", "-X", "PUT"]);
    let request = &source.requests[0];
    assert_eq!((request.method.as_str(), &request.body[..]), ("PUT", &b"from a file"[..]));
    assert_eq!(request.fields, [("Accept".to_owned(), "text/html".to_owned())]);
    assert_eq!(made(&["http://a/", "-d", "x"]).requests[0].method, Method::POST);
    refused(&["http://a/", "-H", "nonsense"], "Name: value");
    refused(&["http://a/", "-H", "Content-Length: 5"], "itself");
    refused(&["http://a/", "-X", "G T"], "no method");
    refused(&["http://a/", "-d", "@/nowhere/body"], "/nowhere/body");
}

proptest! {
    #[test]
    fn no_url_makes_it_panic(text in "\\PC{0,60}") {
        let _either = place(&text);
        let _either = place(&format!("http://{text}"));
    }
}
