//! Requests that break the grammar, or bend it where two parsers might differ.
//!
//! RFC 9112 §2 to §5, RFC 9110 §5 and §7.2. See [`crate::smuggling`] for what each row checks.

use crate::stage::Fate::{Either, Forwarded, Last, Refused};
use crate::stage::{Fate, bare, contains, rows, sized, stage};

/// A GET with these lines among its fields.
fn get(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /case HTTP/1.1\r\nHost: shop.test\r\n", lines.as_ref(), b"\r\n\r\n"].concat()
}

/// This request line and a Host.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: shop.test\r\n\r\n"].concat()
}

/// A GET for this target.
fn target(target: impl AsRef<[u8]>) -> Vec<u8> {
    line([b"GET ", target.as_ref(), b" HTTP/1.1"].concat())
}

/// A GET whose only field is this Host.
fn host(host: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /case HTTP/1.1\r\nHost: ", host.as_ref(), b"\r\n\r\n"].concat()
}

/// A GET with a line that becomes, or stays, this field.
fn passes(field: &str) -> Fate {
    Forwarded(bare(&format!("GET /case HTTP/1.1\r\nHost: shop.test\r\n{field}")))
}

/// A request line that stays as it is.
fn same(line: &str) -> crate::stage::Form {
    bare(&format!("{line}\r\nHost: shop.test\r\n"))
}

// Line ends of heads.
rows! {
    head_all_of_bare_lf: "GET /case HTTP/1.1\nHost: shop.test\n\n" => Refused(&[400]);
    request_line_of_bare_lf: "GET /case HTTP/1.1\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    request_line_of_bare_cr: "GET /case HTTP/1.1\rHost: shop.test\r\n\r\n" => Refused(&[400]);
    request_line_of_cr_cr_lf: "GET /case HTTP/1.1\r\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    field_line_of_bare_lf: "GET /case HTTP/1.1\r\nHost: shop.test\nA: b\r\n\r\n" => Refused(&[400]);
    field_line_of_bare_cr: "GET /case HTTP/1.1\r\nHost: shop.test\rA: b\r\n\r\n" => Refused(&[400]);
    field_line_of_cr_cr_lf: get("A: b\r") => Refused(&[400]);
    last_line_of_bare_lf: "GET /case HTTP/1.1\r\nHost: shop.test\r\n\n" => Refused(&[400]);
    last_field_of_bare_lf: "GET /case HTTP/1.1\r\nHost: shop.test\n\r\n" => Refused(&[400]);
    head_ended_by_lf_lf: "GET /case HTTP/1.1\r\nHost: shop.test\r\nA: b\n\n" => Refused(&[400]);
    head_ended_by_cr_cr: "GET /case HTTP/1.1\r\nHost: shop.test\r\nA: b\r\r" => Refused(&[400]);
    one_leading_crlf: "\r\nGET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n" => Forwarded(same("GET /case HTTP/1.1"));
    several_leading_crlfs: "\r\n\r\n\r\nGET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        => Either(&[400], same("GET /case HTTP/1.1"));
    leading_lf: "\nGET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    leading_cr: "\rGET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    leading_space: " GET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    leading_nul: "\0GET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    leading_byte_order_mark: "\u{feff}GET /case HTTP/1.1\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    space_before_first_field: "GET /case HTTP/1.1\r\n Host: shop.test\r\n\r\n" => Refused(&[400]);
    tab_before_first_field: "GET /case HTTP/1.1\r\n\tHost: shop.test\r\n\r\n" => Refused(&[400]);
    blank_line_of_spaces_before_fields: "GET /case HTTP/1.1\r\n \r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    folded_in_the_middle: get("A: b\r\n c\r\nD: e") => Refused(&[400]);
    folded_by_tab: get("A: b\r\n\tc") => Refused(&[400]);
    folded_with_nothing: get("A: b\r\n ") => Refused(&[400]);
    folded_host: "GET /case HTTP/1.1\r\nHost: shop\r\n .test\r\n\r\n" => Refused(&[400]);
}

// Field names.
rows! {
    name_empty: get(": b") => Refused(&[400]);
    name_before_a_space: get("A : b") => Refused(&[400]);
    name_before_a_tab: get("A\t: b") => Refused(&[400]);
    name_with_space_inside: get("A B: c") => Refused(&[400]);
    name_with_nul: get("A\0: b") => Refused(&[400]);
    name_with_control: get("A\x01B: c") => Refused(&[400]);
    name_with_del: get("A\x7f: b") => Refused(&[400]);
    name_with_high_byte: get(b"A\xe9: b") => Refused(&[400]);
    name_with_parenthesis: get("A(: b") => Refused(&[400]);
    name_with_slash: get("A/B: c") => Refused(&[400]);
    name_with_quote: get("\"A\": b") => Refused(&[400]);
    name_with_at: get("A@B: c") => Refused(&[400]);
    name_with_brackets: get("[A]: b") => Refused(&[400]);
    name_with_comma: get("A,B: c") => Refused(&[400]);
    name_with_equals: get("A=B: c") => Refused(&[400]);
    line_without_colon: get("Nonsense") => Refused(&[400]);
    line_that_is_a_request: get("GET /inner HTTP/1.1") => Refused(&[400]);
    name_of_every_token_byte: get("!#$%&'*+-.^_`|~0Az: b") => passes("!#$%&'*+-.^_`|~0Az: b\r\n");
}

// Field values.
rows! {
    value_with_nul: get("A: b\0c") => Refused(&[400]);
    value_with_nul_last: get("A: b\0") => Refused(&[400]);
    value_with_start_of_heading: get("A: \x01") => Refused(&[400]);
    value_with_backspace: get("A: b\x08c") => Refused(&[400]);
    value_with_vertical_tab: get("A: b\x0bc") => Refused(&[400]);
    value_with_form_feed: get("A: b\x0cc") => Refused(&[400]);
    value_with_escape: get("A: \x1b[31m") => Refused(&[400]);
    value_with_del: get("A: b\x7fc") => Refused(&[400]);
    value_with_bare_cr: get("A: b\rc") => Refused(&[400]);
    value_with_bare_cr_and_field: get("A: b\rX-Forwarded-For: 10.0.0.1") => Refused(&[400]);
    value_with_bare_lf: get("A: b\nC: d") => Refused(&[400]);
    value_empty: get("A:") => passes("A: \r\n");
    value_with_tab_inside: get("A: b\tc") => passes("A: b\tc\r\n");
    value_with_white_space_around: get("A: \t b c \t ") => passes("A: b c\r\n");
    value_with_colons: get("A: b: c: d") => passes("A: b: c: d\r\n");
    value_with_high_bytes: get(b"A: caf\xe9") => passes("A: caf\u{e9}\r\n");
    fields_repeated_keep_their_order: get("A: 1\r\nB: 2\r\na: 3") => passes("A: 1\r\nB: 2\r\na: 3\r\n");
}

// The request line.
rows! {
    two_spaces_after_the_method: line("GET  /case HTTP/1.1") => Refused(&[400]);
    two_spaces_before_the_version: line("GET /case  HTTP/1.1") => Refused(&[400, 505]);
    tab_after_the_method: line("GET\t/case HTTP/1.1") => Refused(&[400]);
    tab_before_the_version: line("GET /case\tHTTP/1.1") => Refused(&[400, 505]);
    vertical_tab_after_the_method: line("GET\x0b/case HTTP/1.1") => Refused(&[400]);
    space_after_the_version: line("GET /case HTTP/1.1 ") => Refused(&[400, 505]);
    word_after_the_version: line("GET /case HTTP/1.1 x") => Refused(&[400, 505]);
    method_missing: line(" /case HTTP/1.1") => Refused(&[400]);
    method_only: line("GET") => Refused(&[400, 505]);
    target_missing: line("GET HTTP/1.1") => Refused(&[400, 505]);
    target_empty: line("GET  HTTP/1.1") => Refused(&[400, 505]);
    version_missing: line("GET /case") => Refused(&[400, 505]);
    version_of_http_0_9: "GET /case\r\n\r\n" => Refused(&[400, 505]);
    version_named_0_9: line("GET /case HTTP/0.9") => Refused(&[400, 505]);
    version_2_0: line("GET /case HTTP/2.0") => Refused(&[400, 505]);
    version_3_0: line("GET /case HTTP/3.0") => Refused(&[400, 505]);
    version_1_2: line("GET /case HTTP/1.2") => Either(&[400, 505], same("GET /case HTTP/1.1"));
    version_1_10: line("GET /case HTTP/1.10") => Refused(&[400, 505]);
    version_01_1: line("GET /case HTTP/01.1") => Refused(&[400, 505]);
    version_without_minor: line("GET /case HTTP/1") => Refused(&[400, 505]);
    version_with_letters: line("GET /case HTTP/1.x") => Refused(&[400, 505]);
    version_in_lower_case: line("GET /case http/1.1") => Refused(&[400, 505]);
    version_in_mixed_case: line("GET /case HtTP/1.1") => Refused(&[400, 505]);
    version_of_another_protocol: line("GET /case RTSP/1.0") => Refused(&[400, 505]);
    version_with_space_inside: line("GET /case HTTP/ 1.1") => Refused(&[400, 505]);
    version_minus: line("GET /case HTTP/-1.1") => Refused(&[400, 505]);
    version_with_comma: line("GET /case HTTP/1,1") => Refused(&[400, 505]);
}

// Methods.
rows! {
    method_in_lower_case: line("get /case HTTP/1.1") => Forwarded(same("get /case HTTP/1.1"));
    method_in_mixed_case: line("Post /case HTTP/1.1") => Either(&[411], same("Post /case HTTP/1.1"));
    method_unknown: line("FROBNICATE /case HTTP/1.1") => Forwarded(same("FROBNICATE /case HTTP/1.1"));
    method_with_dash: line("M-SEARCH /case HTTP/1.1") => Forwarded(same("M-SEARCH /case HTTP/1.1"));
    method_of_every_token_byte: line("!#$%&'*+-.^_`|~0Az /case HTTP/1.1")
        => Forwarded(same("!#$%&'*+-.^_`|~0Az /case HTTP/1.1"));
    method_report: line("REPORT /case HTTP/1.1") => Forwarded(same("REPORT /case HTTP/1.1"));
    method_with_colon: line("GET: /case HTTP/1.1") => Refused(&[400]);
    method_with_parenthesis: line("G(T /case HTTP/1.1") => Refused(&[400]);
    method_with_nul: line("GE\0T /case HTTP/1.1") => Refused(&[400]);
    method_with_high_byte: line(b"G\xc9T /case HTTP/1.1") => Refused(&[400]);
    method_with_control: line("GE\x1bT /case HTTP/1.1") => Refused(&[400]);
    method_with_quote: line("\"GET\" /case HTTP/1.1") => Refused(&[400]);
    method_very_long: line(format!("{} /case HTTP/1.1", "G".repeat(40 << 10))) => Refused(&[400, 414, 431, 501]);
    connect_authority: "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n" => Refused(&[400, 405, 501]);
    connect_loopback: "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n" => Refused(&[400, 405, 501]);
    connect_path: line("CONNECT /case HTTP/1.1") => Refused(&[400, 405, 501]);
    trace_with_body: "TRACE /case HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello"
        => Refused(&[400, 405, 413]);
    trace_with_chunked_body:
        "TRACE /case HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        => Refused(&[400, 405, 413]);
}

// Targets.
rows! {
    target_with_space: target("/a b") => Refused(&[400, 505]);
    target_with_tab: target("/a\tb") => Refused(&[400]);
    target_with_nul: target("/a\0b") => Refused(&[400]);
    target_with_control: target("/a\x01b") => Refused(&[400]);
    target_with_del: target("/a\x7fb") => Refused(&[400]);
    target_with_bare_cr: target("/a\rb") => Refused(&[400]);
    target_with_high_byte: target(b"/caf\xe9") => Refused(&[400]);
    target_with_utf_8: target("/caf\u{e9}") => Refused(&[400]);
    target_with_fragment: target("/a#b") => Refused(&[400]);
    target_with_fragment_in_query: target("/a?b#c") => Refused(&[400]);
    target_with_backslash: target("/a\\b") => Refused(&[400]);
    target_with_backslash_in_query: target("/a?b\\c") => Refused(&[400]);
    target_that_starts_with_backslash: target("\\\\other.test/a") => Refused(&[400]);
    target_without_slash: target("case") => Refused(&[400]);
    target_that_is_a_query: target("?a=b") => Refused(&[400]);
    target_that_is_an_authority: target("shop.test") => Refused(&[400]);
    target_that_is_an_authority_with_port: target("shop.test:80") => Refused(&[400]);
    target_asterisk_with_get: target("*") => Refused(&[400]);
    target_asterisk_with_path: line("OPTIONS */case HTTP/1.1") => Refused(&[400]);
    target_too_long: target(format!("/{}", "a".repeat(40 << 10))) => Refused(&[414]);
    target_query_too_long: target(format!("/a?{}", "b".repeat(40 << 10))) => Refused(&[414]);
    target_with_escapes: target("/%41%2f%2e%2E/b?c=%00%0d%0a") => Either(&[400], same("GET /%41%2f%2e%2E/b?c=%00%0d%0a HTTP/1.1"));
    target_with_broken_escape: target("/a%zz%4") => Either(&[400], same("GET /a%zz%4 HTTP/1.1"));
    target_with_every_legal_mark: target("/-._~!$&'()*+,;=:@/a?-._~!$&'()*+,;=:@/?")
        => Forwarded(same("GET /-._~!$&'()*+,;=:@/a?-._~!$&'()*+,;=:@/? HTTP/1.1"));
    target_with_empty_query: target("/a?") => Forwarded(same("GET /a? HTTP/1.1"));
}

// Absolute and authority form against Host (RFC 9112 §3.2.2).
rows! {
    absolute_that_agrees: target("http://shop.test/case?a=b") => Forwarded(same("GET /case?a=b HTTP/1.1"));
    absolute_in_other_case: target("HTTP://SHOP.Test/Case") => Either(&[400], same("GET /Case HTTP/1.1"));
    absolute_without_path: target("http://shop.test") => Forwarded(same("GET / HTTP/1.1"));
    absolute_with_query_only: target("http://shop.test?a=b") => Forwarded(same("GET /?a=b HTTP/1.1"));
    absolute_with_default_port: target("http://shop.test:80/case") => Either(&[400], same("GET /case HTTP/1.1"));
    absolute_that_contradicts: target("http://other.test/case") => Refused(&[400]);
    absolute_that_contradicts_by_port: target("http://shop.test:8080/case") => Refused(&[400]);
    absolute_that_contradicts_by_prefix: target("http://shop.test.evil.test/case") => Refused(&[400]);
    absolute_with_userinfo: target("http://shop.test@other.test/case") => Refused(&[400]);
    absolute_with_own_userinfo: target("http://user:pass@shop.test/case") => Refused(&[400]);
    absolute_without_host: target("http:///case") => Refused(&[400]);
    absolute_of_one_slash: target("http:/shop.test/case") => Refused(&[400]);
    absolute_of_another_scheme: target("ftp://shop.test/case") => Refused(&[400]);
    absolute_of_a_file: target("file:///etc/passwd") => Refused(&[400]);
    absolute_with_fragment: target("http://shop.test/case#a") => Refused(&[400]);
    absolute_with_backslash: target("http://shop.test\\@other.test/case") => Refused(&[400]);
    absolute_without_host_field: "GET http://shop.test/case HTTP/1.1\r\n\r\n" => Refused(&[400]);
    absolute_with_two_hosts:
        "GET http://shop.test/case HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test\r\n\r\n" => Refused(&[400]);
    path_that_looks_absolute: target("//other.test/case") => Either(&[400], same("GET //other.test/case HTTP/1.1"));
    path_that_holds_a_url: target("/http://other.test/") => Forwarded(same("GET /http://other.test/ HTTP/1.1"));
}

// Host.
rows! {
    host_missing: "GET /case HTTP/1.1\r\nA: b\r\n\r\n" => Refused(&[400]);
    host_missing_and_no_fields: "GET /case HTTP/1.1\r\n\r\n" => Refused(&[400]);
    host_empty: host("") => Refused(&[400]);
    host_twice_the_same: host("shop.test\r\nHost: shop.test") => Refused(&[400]);
    host_twice_different: host("shop.test\r\nHost: other.test") => Refused(&[400]);
    host_twice_in_other_case: host("shop.test\r\nhOsT: other.test") => Refused(&[400]);
    host_twice_far_apart: host("shop.test\r\nA: b\r\nHost: other.test") => Refused(&[400]);
    host_twice_one_empty: host("shop.test\r\nHost:") => Refused(&[400]);
    host_list: host("shop.test, other.test") => Refused(&[400]);
    host_with_userinfo: host("user@shop.test") => Refused(&[400]);
    host_with_space: host("shop.test other.test") => Refused(&[400]);
    host_with_tab: host("shop.test\tother.test") => Refused(&[400]);
    host_with_path: host("shop.test/case") => Refused(&[400]);
    host_with_query: host("shop.test?a") => Refused(&[400]);
    host_with_fragment: host("shop.test#a") => Refused(&[400]);
    host_with_backslash: host("shop.test\\a") => Refused(&[400]);
    host_with_scheme: host("http://shop.test") => Refused(&[400]);
    host_with_quote: host("\"shop.test\"") => Refused(&[400]);
    host_with_angle_brackets: host("<shop.test>") => Refused(&[400]);
    host_with_nul: host("shop\0.test") => Refused(&[400]);
    host_with_high_byte: host(b"caf\xe9.test") => Refused(&[400]);
    host_with_word_for_port: host("shop.test:http") => Refused(&[400]);
    host_with_port_too_high: host("shop.test:65536")
        => Either(&[400], bare("GET /case HTTP/1.1\r\nHost: shop.test:65536\r\n"));
    host_with_signed_port: host("shop.test:+80") => Refused(&[400]);
    host_with_two_ports: host("shop.test:80:81") => Refused(&[400]);
    host_of_a_port_only: host(":80") => Refused(&[400]);
    host_of_an_open_bracket: host("[::1") => Refused(&[400]);
    host_of_bad_brackets: host("[shop.test]") => Refused(&[400]);
    host_with_trash_after_brackets: host("[::1]x") => Refused(&[400]);
    host_with_space_before_colon: "GET /case HTTP/1.1\r\nHost : shop.test\r\n\r\n" => Refused(&[400]);
    host_of_ipv6: host("[::1]:8080") => Forwarded(bare("GET /case HTTP/1.1\r\nHost: [::1]:8080\r\n"));
    host_with_port: host("shop.test:8080") => Forwarded(bare("GET /case HTTP/1.1\r\nHost: shop.test:8080\r\n"));
    host_of_ipv4: host("127.0.0.1") => Forwarded(bare("GET /case HTTP/1.1\r\nHost: 127.0.0.1\r\n"));
    host_not_first: "GET /case HTTP/1.1\r\nA: b\r\nhost: shop.test\r\nC: d\r\n\r\n"
        => Forwarded(bare("GET /case HTTP/1.1\r\nA: b\r\nhost: shop.test\r\nC: d\r\n"));
    host_nominated_by_connection: get("Connection: host") => Either(&[400], same("GET /case HTTP/1.1"));
    host_and_close_nominated: get("Connection: close, Host") => Either(&[400], same("GET /case HTTP/1.1"));
}

// Expect and Connection.
rows! {
    expect_another: get("Expect: 200-ok") => Refused(&[417]);
    expect_continue_and_another: get("Expect: 100-continue, 200-ok") => Refused(&[417]);
    expect_empty: get("Expect:") => Either(&[400, 417], same("GET /case HTTP/1.1"));
    expect_close_to_it: get("Expect: 100-continues") => Refused(&[417]);
    connection_close: get("Connection: close") => Last(same("GET /case HTTP/1.1"));
    connection_close_in_capitals: get("Connection: CLOSE") => Last(same("GET /case HTTP/1.1"));
    connection_close_in_a_list: get("Connection: keep-alive, close") => Last(same("GET /case HTTP/1.1"));
    connection_close_in_a_second_field:
        get("Connection: keep-alive\r\nConnection: close") => Last(same("GET /case HTTP/1.1"));
    http_1_0_closes: line("GET /case HTTP/1.0") => Last(same("GET /case HTTP/1.1"));
    http_1_0_with_length: "POST /case HTTP/1.0\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello"
        => Last(sized("POST /case HTTP/1.1\r\nHost: shop.test\r\n", "hello"));
    connection_nominates_x_forwarded_for: get("Connection: X-Forwarded-For\r\nX-Forwarded-For: 10.0.0.1")
        => passes("");
    connection_nominates_a_stranger: get("Connection: A\r\nA: b\r\nC: d") => passes("C: d\r\n");
    connection_nominates_an_absent_field: get("Connection: nothing\r\nC: d") => passes("C: d\r\n");
    connection_with_invalid_member: get("Connection: a b\r\nC: d")
        => Either(&[400], bare("GET /case HTTP/1.1\r\nHost: shop.test\r\nC: d\r\n"));
    upgrade_h2c_is_ignored:
        get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__")
        => Either(&[400], same("GET /case HTTP/1.1"));
    upgrade_h2c_without_settings: get("Connection: Upgrade\r\nUpgrade: h2c") => Either(&[400], same("GET /case HTTP/1.1"));
    upgrade_not_nominated: get("Upgrade: websocket\r\nC: d") => passes("C: d\r\n");
    proxy_connection_is_dropped: get("Proxy-Connection: keep-alive\r\nC: d") => passes("C: d\r\n");
    keep_alive_is_dropped: get("Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nC: d") => passes("C: d\r\n");
}

// Sizes.
rows! {
    head_too_large: get(format!("A: {}", "b".repeat(40 << 10))) => Refused(&[431]);
    name_too_long: get(format!("{}: b", "A".repeat(40 << 10))) => Refused(&[431, 400]);
    fields_too_many: get("A: b\r\n".repeat(200) + "C: d") => Refused(&[431]);
    fields_just_enough: get(["A: b"; 100].join("\r\n")) => passes(&"A: b\r\n".repeat(100));
}

/// `OPTIONS *` asks about the server in general (RFC 9110 §9.3.7): the gateway may answer for it.
#[test]
fn target_asterisk_with_options() {
    let stage = stage();
    let mut client = stage.gateway.client();
    client.send("OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    let status = client.response("OPTIONS").status;
    assert!(matches!(status, 200 | 204), "{status}");
    assert_eq!(client.get("/next").text(), "GET /next HTTP/1.1");
    let seen: Vec<_> = stage.origin.requests().into_iter().map(|r| r.head.line).collect();
    assert!(seen[0] == "OPTIONS * HTTP/1.1" || seen.len() == 1, "{seen:?}");
}

/// Nothing of a preface of HTTP/2 that is broken off is taken for a request of HTTP/1.1.
#[track_caller]
fn preface(bytes: &str) {
    let stage = stage();
    let mut client = stage.gateway.client();
    client.send(format!("{bytes}GET /followed HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
    client.finish();
    // An answer in either language, or none: what counts is that it ends, and what the origin saw.
    client.rest();
    assert_eq!(stage.gateway.get("/fence").status, 200);
    let targets: Vec<_> = stage.origin.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(targets, ["/fence"], "{}", stage.origin.report());
    assert!(!contains(&stage.origin.bytes(), b"/followed"), "{}", stage.origin.report());
}

#[test]
fn preface_of_http2_cut_after_its_head() {
    preface("PRI * HTTP/2.0\r\n\r\n");
}

#[test]
fn preface_of_http2_cut_in_its_body() {
    preface("PRI * HTTP/2.0\r\n\r\nSM\r\n");
}

#[test]
fn preface_of_http2_with_a_field() {
    preface("PRI * HTTP/2.0\r\nHost: shop.test\r\n\r\nSM\r\n\r\n");
}

#[test]
fn preface_of_http2_in_http1() {
    preface("PRI * HTTP/1.1\r\nHost: shop.test\r\n\r\nSM\r\n\r\n");
}

#[test]
fn tls_on_a_plain_port_is_refused() {
    preface("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03");
}
