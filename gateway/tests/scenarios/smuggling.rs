//! Requests whose end could be read in two ways, and field names and lines that hide it.
//!
//! RFC 9112 §6, §7 and §11.2; the rows follow the public literature on request smuggling: CL.TE,
//! TE.CL, TE.TE, CL.0, TE.0, chunk extensions and chunk line ends, trailers. Each case is followed,
//! in the same bytes, by a second request. Either the first is refused and nothing of either reaches
//! the origin, or both reach it separately.

use crate::stage::Fate::{Cut, Either, Forwarded, Refused};
use crate::stage::{Form, bare, chunked, rows, sized};

/// A POST with these lines among its fields, and what comes after the head.
fn post(lines: impl AsRef<[u8]>, rest: impl AsRef<[u8]>) -> Vec<u8> {
    let head = b"POST /case HTTP/1.1\r\nHost: shop.test\r\n";
    [head, lines.as_ref(), b"\r\n\r\n", rest.as_ref()].concat()
}

/// A chunked POST with this after the head.
fn chunks(rest: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked", rest)
}

const POST: &str = "POST /case HTTP/1.1\r\nHost: shop.test\r\n";
const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";
/// Both are right for a coding that is malformed rather than unknown.
const CODING: &[u16] = &[400, 501];

// Both Content-Length and Transfer-Encoding.
rows! {
    length_then_chunked: post("Content-Length: 5\r\nTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    chunked_then_length: post("Transfer-Encoding: chunked\r\nContent-Length: 5", HELLO) => Refused(&[400]);
    length_of_the_chunks_and_chunked:
        post("Content-Length: 15\r\nTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    length_zero_and_chunked: post("Content-Length: 0\r\nTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    chunked_and_length_zero: post("Transfer-Encoding: chunked\r\nContent-Length: 0", HELLO) => Refused(&[400]);
    length_and_chunked_in_lower_case:
        post("content-length: 5\r\ntransfer-encoding: chunked", HELLO) => Refused(&[400]);
    length_and_chunked_in_odd_case:
        post("cOnTeNt-LeNgTh: 5\r\ntRaNsFeR-eNcOdInG: ChUnKeD", HELLO) => Refused(&[400]);
    length_and_chunked_far_apart:
        post("Content-Length: 5\r\nA: b\r\nC: d\r\nTransfer-Encoding: chunked\r\nE: f", HELLO) => Refused(&[400]);
    length_and_unknown_coding: post("Content-Length: 5\r\nTransfer-Encoding: xchunked", "hello") => Refused(CODING);
    length_and_identity: post("Content-Length: 5\r\nTransfer-Encoding: identity", "hello") => Refused(CODING);
    length_and_empty_coding: post("Content-Length: 5\r\nTransfer-Encoding:", "hello") => Refused(CODING);
    malformed_length_and_chunked: post("Content-Length: x\r\nTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    length_and_chunked_on_a_get:
        "GET /case HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        => Refused(&[400]);
}

// Content-Length that is not one plain number.
rows! {
    length_twice_the_same: post("Content-Length: 5\r\nContent-Length: 5", "hello") => Refused(&[400]);
    length_twice_different: post("Content-Length: 5\r\nContent-Length: 0", "hello") => Refused(&[400]);
    length_twice_different_reversed: post("Content-Length: 0\r\nContent-Length: 5", "hello") => Refused(&[400]);
    length_twice_in_different_case: post("Content-Length: 5\r\ncontent-length: 6", "hello") => Refused(&[400]);
    length_twice_far_apart: post("Content-Length: 5\r\nA: b\r\nContent-Length: 5", "hello") => Refused(&[400]);
    length_three_times: post("Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6", "hello") => Refused(&[400]);
    length_as_a_list: post("Content-Length: 5, 5", "hello") => Refused(&[400]);
    length_as_a_list_without_space: post("Content-Length: 5,5", "hello") => Refused(&[400]);
    length_as_a_list_that_differs: post("Content-Length: 5, 6", "hello") => Refused(&[400]);
    length_with_a_comma_after: post("Content-Length: 5,", "hello") => Refused(&[400]);
    length_with_a_comma_before: post("Content-Length: ,5", "hello") => Refused(&[400]);
    length_with_plus: post("Content-Length: +5", "hello") => Refused(&[400]);
    length_with_minus: post("Content-Length: -5", "hello") => Refused(&[400]);
    length_minus_zero: post("Content-Length: -0", "") => Refused(&[400]);
    length_in_hexadecimal: post("Content-Length: 0x5", "hello") => Refused(&[400]);
    length_with_letters: post("Content-Length: a", "hello12345") => Refused(&[400]);
    length_with_fraction: post("Content-Length: 5.0", "hello") => Refused(&[400]);
    length_with_exponent: post("Content-Length: 5e0", "hello") => Refused(&[400]);
    length_with_underscore: post("Content-Length: 1_0", "hello12345") => Refused(&[400]);
    length_with_space_inside: post("Content-Length: 1 0", "hello12345") => Refused(&[400]);
    length_with_tab_inside: post("Content-Length: 1\t0", "hello12345") => Refused(&[400]);
    length_blank: post("Content-Length:", "") => Refused(&[400]);
    length_of_spaces: post("Content-Length:    ", "") => Refused(&[400]);
    length_as_a_word: post("Content-Length: five", "hello") => Refused(&[400]);
    length_quoted: post("Content-Length: \"5\"", "hello") => Refused(&[400]);
    length_with_parameter: post("Content-Length: 5;a=b", "hello") => Refused(&[400]);
    length_one_past_64_bits: post("Content-Length: 18446744073709551616", "hello") => Refused(&[400, 413]);
    length_wrapped_to_five: post("Content-Length: 18446744073709551621", "hello") => Refused(&[400, 413]);
    length_wrapped_to_five_at_32_bits_and_listed: post("Content-Length: 4294967301,5", "hello") => Refused(&[400]);
    length_of_forty_digits:
        post("Content-Length: 5000000000000000000000000000000000000000", "hello") => Refused(&[400, 413]);
    length_with_vertical_tab: post("Content-Length: \x0b5", "hello") => Refused(&[400]);
    length_with_form_feed: post("Content-Length: 5\x0c", "hello") => Refused(&[400]);
    length_with_nul: post("Content-Length: 5\0", "hello") => Refused(&[400]);
    length_in_arabic_digits: post("Content-Length: \u{665}", "hello") => Refused(&[400]);
    length_with_no_break_space: post(b"Content-Length: \xa05", "hello") => Refused(&[400]);
    length_folded: post("Content-Length:\r\n 5", "hello") => Refused(&[400]);
    length_folded_into_another: post("A: b\r\n Content-Length: 5", "hello") => Refused(&[400]);
    length_with_space_before_colon: post("Content-Length : 5", "hello") => Refused(&[400]);
    length_with_tab_before_colon: post("Content-Length\t: 5", "hello") => Refused(&[400]);
    length_after_a_bare_lf: post("A: b\nContent-Length: 5", "hello") => Refused(&[400]);
    length_after_a_bare_cr: post("A: b\rContent-Length: 5", "hello") => Refused(&[400]);
    length_plain: post("Content-Length: 5", "hello") => Forwarded(sized(POST, "hello"));
    length_without_space: post("Content-Length:5", "hello") => Forwarded(sized(POST, "hello"));
    length_with_white_space_around: post("Content-Length: \t 5 \t", "hello") => Forwarded(sized(POST, "hello"));
    length_with_leading_zeros: post("Content-Length: 0005", "hello")
        => Either(&[400], sized(POST, "hello"));
    length_zero: post("Content-Length: 0", "") => Forwarded(sized(POST, ""));
    length_on_a_get: "GET /case HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello"
        => Either(&[400], sized("GET /case HTTP/1.1\r\nHost: shop.test\r\n", "hello"));
    length_that_spans_a_request:
        post("Content-Length: 45", "GET /inner HTTP/1.1\r\nHost: shop.test\r\n\r\n12345")
        => Forwarded(sized(POST, "GET /inner HTTP/1.1\r\nHost: shop.test\r\n\r\n12345"));
    no_length_on_a_post: "POST /case HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        => Either(&[411], bare(POST));
}

// Transfer-Encoding that is not exactly one `chunked`.
rows! {
    coding_xchunked: post("Transfer-Encoding: xchunked", HELLO) => Refused(&[501]);
    coding_unknown: post("Transfer-Encoding: cow", HELLO) => Refused(&[501]);
    coding_chunked_with_dash: post("Transfer-Encoding: chunked-", HELLO) => Refused(CODING);
    coding_cut_short: post("Transfer-Encoding: chunke", HELLO) => Refused(CODING);
    coding_chunked_twice: post("Transfer-Encoding: chunked, chunked", HELLO) => Refused(CODING);
    coding_chunked_in_two_fields:
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HELLO) => Refused(CODING);
    coding_chunked_then_identity_field:
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", HELLO) => Refused(CODING);
    coding_identity_then_chunked_field:
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", HELLO) => Refused(CODING);
    coding_unknown_then_chunked_field:
        post("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", HELLO) => Refused(CODING);
    coding_empty_then_chunked_field:
        post("Transfer-Encoding:\r\nTransfer-Encoding: chunked", HELLO) => Refused(CODING);
    coding_gzip_chunked: post("Transfer-Encoding: gzip, chunked", HELLO) => Refused(CODING);
    coding_chunked_gzip: post("Transfer-Encoding: chunked, gzip", HELLO) => Refused(CODING);
    coding_gzip: post("Transfer-Encoding: gzip", HELLO) => Refused(CODING);
    coding_identity: post("Transfer-Encoding: identity", "") => Refused(CODING);
    coding_identity_chunked: post("Transfer-Encoding: identity, chunked", HELLO) => Refused(CODING);
    coding_chunked_identity: post("Transfer-Encoding: chunked, identity", HELLO) => Refused(CODING);
    coding_empty: post("Transfer-Encoding:", HELLO) => Refused(CODING);
    coding_comma_after: post("Transfer-Encoding: chunked,", HELLO) => Refused(CODING);
    coding_comma_before: post("Transfer-Encoding: ,chunked", HELLO) => Refused(CODING);
    coding_quoted: post("Transfer-Encoding: \"chunked\"", HELLO) => Refused(CODING);
    coding_in_single_quotes: post("Transfer-Encoding: 'chunked'", HELLO) => Refused(CODING);
    coding_with_parameter: post("Transfer-Encoding: chunked;q=1", HELLO) => Refused(CODING);
    coding_with_semicolon: post("Transfer-Encoding: chunked;", HELLO) => Refused(CODING);
    coding_with_space_inside: post("Transfer-Encoding: chun ked", HELLO) => Refused(CODING);
    coding_then_another_word: post("Transfer-Encoding: chunked chunked", HELLO) => Refused(CODING);
    coding_after_vertical_tab: post("Transfer-Encoding: \x0bchunked", HELLO) => Refused(&[400]);
    coding_before_vertical_tab: post("Transfer-Encoding: chunked\x0b", HELLO) => Refused(&[400]);
    coding_after_form_feed: post("Transfer-Encoding: \x0cchunked", HELLO) => Refused(&[400]);
    coding_after_nul: post("Transfer-Encoding: \0chunked", HELLO) => Refused(&[400]);
    coding_before_nul: post("Transfer-Encoding: chunked\0", HELLO) => Refused(&[400]);
    coding_after_no_break_space: post(b"Transfer-Encoding: \xa0chunked", HELLO) => Refused(CODING);
    coding_after_high_byte: post(b"Transfer-Encoding: \xffchunked", HELLO) => Refused(CODING);
    coding_with_kelvin_sign: post("Transfer-Encoding: chun\u{212a}ed", HELLO) => Refused(CODING);
    coding_folded: post("Transfer-Encoding:\r\n chunked", HELLO) => Refused(&[400]);
    coding_folded_by_tab: post("Transfer-Encoding:\r\n\tchunked", HELLO) => Refused(&[400]);
    coding_folded_after: post("Transfer-Encoding: chunked\r\n , identity", HELLO) => Refused(&[400]);
    coding_folded_into_another: post("A: b\r\n Transfer-Encoding: chunked", HELLO) => Refused(&[400]);
    coding_with_space_before_colon: post("Transfer-Encoding : chunked", HELLO) => Refused(&[400]);
    coding_with_tab_before_colon: post("Transfer-Encoding\t: chunked", HELLO) => Refused(&[400]);
    coding_with_nul_before_colon: post("Transfer-Encoding\0: chunked", HELLO) => Refused(&[400]);
    coding_with_cr_before_colon: post("Transfer-Encoding\r: chunked", HELLO) => Refused(&[400]);
    coding_with_lf_before_colon: post("Transfer-Encoding\n: chunked", HELLO) => Refused(&[400]);
    coding_with_double_colon: post("Transfer-Encoding:: chunked", HELLO) => Refused(CODING);
    coding_after_a_bare_lf: post("A: b\nTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    coding_after_a_bare_cr: post("A: b\rTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    coding_after_crlf_cr: post("A: b\r\n\rTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    coding_after_a_nul_line: post("A: b\r\n\0Transfer-Encoding: chunked", HELLO) => Refused(&[400]);
    coding_after_a_vertical_tab_line: post("A: b\r\n\x0bTransfer-Encoding: chunked", HELLO) => Refused(&[400]);
    coding_on_http_1_0:
        "POST /case HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        => Refused(&[400]);
    coding_on_http_1_0_kept_alive:
        "POST /case HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        => Refused(&[400]);
    coding_and_length_on_http_1_0:
        "POST /case HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        => Refused(&[400]);
    coding_plain: chunks(HELLO) => Forwarded(chunked(POST, "hello"));
    coding_in_capitals: post("TRANSFER-ENCODING: CHUNKED", HELLO) => Forwarded(chunked(POST, "hello"));
    coding_without_space: post("Transfer-Encoding:chunked", HELLO) => Forwarded(chunked(POST, "hello"));
    coding_with_white_space_around:
        post("Transfer-Encoding: \t chunked \t", HELLO) => Forwarded(chunked(POST, "hello"));
    coding_on_a_get:
        "GET /case HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        => Either(&[400], chunked("GET /case HTTP/1.1\r\nHost: shop.test\r\n", "hello"));
    coding_nominated_by_connection:
        post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked", HELLO)
        => Either(&[400], chunked(POST, "hello"));
    length_nominated_by_connection: post("Connection: content-length\r\nContent-Length: 5", "hello")
        => Either(&[400], sized(POST, "hello"));
    length_nominated_by_connection_on_a_get:
        "GET /case HTTP/1.1\r\nHost: shop.test\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello"
        => Either(&[400], sized("GET /case HTTP/1.1\r\nHost: shop.test\r\n", "hello"));
}

// Chunks: sizes.
rows! {
    chunk_size_with_0x: chunks("0x5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_plus: chunks("+5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_minus: chunks("-5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_after_a_space: chunks(" 5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_before_a_space: chunks("5 \r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_before_a_tab: chunks("5\t\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_space_inside: chunks("0 5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_no_digit: chunks("g\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_trash: chunks("5z\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_empty: chunks("\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_only_an_extension: chunks(";a=b\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_quoted: chunks("\"5\"\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_underscore: chunks("0_5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_comma: chunks("5,5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_nul: chunks("5\0\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_with_vertical_tab: chunks("\x0b5\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_size_of_17_digits: chunks("10000000000000005\r\nhello\r\n0\r\n\r\n") => Cut(&[400, 413]);
    chunk_size_past_64_bits: chunks("fffffffffffffffff\r\nhello\r\n0\r\n\r\n") => Cut(&[400, 413]);
    chunk_size_with_many_zeros: chunks("00000000000000000005\r\nhello\r\n0\r\n\r\n")
        => Either(&[400], chunked(POST, "hello"));
    chunk_size_minus_zero: chunks("5\r\nhello\r\n-0\r\n\r\n") => Cut(&[400]);
    chunk_size_0x0: chunks("5\r\nhello\r\n0x0\r\n\r\n") => Cut(&[400]);
    chunk_size_in_capitals: chunks("A\r\nhelloworld\r\n0\r\n\r\n") => Forwarded(chunked(POST, "helloworld"));
    chunk_size_several_zeros_at_last: chunks("5\r\nhello\r\n000\r\n\r\n")
        => Either(&[400], chunked(POST, "hello"));
    chunks_several: chunks("1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n") => Forwarded(chunked(POST, "hello"));
    chunks_none: chunks("0\r\n\r\n") => Forwarded(chunked(POST, ""));
}

// Chunks: line ends and extensions.
rows! {
    chunk_line_of_bare_lf: chunks("5\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_line_of_bare_cr: chunks("5\rhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_line_of_cr_cr_lf: chunks("5\r\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_end_of_bare_lf: chunks("5\r\nhello\n0\r\n\r\n") => Cut(&[400]);
    chunk_end_of_bare_cr: chunks("5\r\nhello\r0\r\n\r\n") => Cut(&[400]);
    chunk_end_missing: chunks("5\r\nhello0\r\n\r\n") => Cut(&[400]);
    chunk_end_of_two_other_bytes: chunks("5\r\nhelloXX0\r\n\r\n") => Cut(&[400]);
    chunk_longer_than_its_size: chunks("5\r\nhello!\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_shorter_than_its_size: chunks("5\r\nhell\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_last_of_bare_lf: chunks("5\r\nhello\r\n0\n\r\n") => Cut(&[400]);
    chunk_last_ended_by_bare_lf: chunks("5\r\nhello\r\n0\r\n\n") => Cut(&[400]);
    chunk_last_ended_by_bare_cr: chunks("5\r\nhello\r\n0\r\n\r") => Cut(&[400]);
    chunks_all_of_bare_lf: chunks("5\nhello\n0\n\n") => Cut(&[400]);
    chunk_last_followed_by_trash: chunks("5\r\nhello\r\n0\r\nXX") => Cut(&[400]);
    chunk_extension_with_lf: chunks("5;a\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_with_lf_and_more: chunks("2;\nxx\r\n4c\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_with_cr: chunks("5;a\rb\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_with_nul: chunks("5;a\0b\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_with_control: chunks("5;a\x01b\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_with_del: chunks("5;a\x7fb\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_quoted_lf: chunks("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n") => Cut(&[400]);
    chunk_extension_quoted_crlf: chunks("5;a=\"\r\nhello\r\n0\r\n\r\n")
        => Either(&[400], chunked(POST, "hello"));
    chunk_extension_too_long: chunks(format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(40 << 10))) => Cut(&[400, 413]);
    chunk_extensions_too_many:
        chunks("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nh\r\n".repeat(40_000) + "0\r\n\r\n") => Cut(&[400, 413]);
    chunk_extension_on_the_last: chunks("5\r\nhello\r\n0;a=b\r\n\r\n") => Forwarded(chunked(POST, "hello"));
    chunk_extension_dropped: chunks("5;name=value\r\nhello\r\n0\r\n\r\n") => Forwarded(chunked(POST, "hello"));
    chunk_extension_quoted_dropped:
        chunks("5;a=\"b;c\";d\r\nhello\r\n0\r\n\r\n") => Forwarded(chunked(POST, "hello"));
}

/// Trailers that were passed on.
fn with_trailers(trailers: &'static str) -> Form {
    Form { trailers, ..chunked(POST, "hello") }
}

/// A chunked body with this trailer section.
fn trailed(trailers: impl AsRef<[u8]>) -> Vec<u8> {
    chunks([b"5\r\nhello\r\n0\r\n", trailers.as_ref(), b"\r\n\r\n"].concat())
}

// Trailers: malformed ones are refused, those that would change the message are dropped or refused
// (RFC 9110 §6.5.1), others are passed on.
rows! {
    trailer_passed_on: trailed("Check: 1\r\nX-Sum: 2") => Forwarded(with_trailers("Check: 1\r\nX-Sum: 2\r\n"));
    trailer_line_of_bare_lf: trailed("Check: 1\nX: 2") => Cut(&[400]);
    trailer_line_of_bare_cr: trailed("Check: 1\rX: 2") => Cut(&[400]);
    trailer_with_space_before_colon: trailed("Check : 1") => Cut(&[400]);
    trailer_folded: trailed("Check: 1\r\n 2") => Cut(&[400]);
    trailer_without_name: trailed(": 1") => Cut(&[400]);
    trailer_without_colon: trailed("Check") => Cut(&[400]);
    trailer_with_nul: trailed("Check: \0") => Cut(&[400]);
    trailer_with_control: trailed("Check: \x1b") => Cut(&[400]);
    trailer_that_is_a_request: trailed("GET /inner HTTP/1.1") => Cut(&[400]);
    trailer_content_length: trailed("Check: 1\r\nContent-Length: 50") => Either(&[400], with_trailers("Check: 1\r\n"));
    trailer_transfer_encoding: trailed("Transfer-Encoding: chunked") => Either(&[400], with_trailers(""));
    trailer_host: trailed("Host: other.test\r\nCheck: 1") => Either(&[400], with_trailers("Check: 1\r\n"));
    trailer_authorization: trailed("Authorization: Basic eDp5") => Either(&[400], with_trailers(""));
    trailer_cookie: trailed("Cookie: a=b") => Either(&[400], with_trailers(""));
    trailer_connection: trailed("Connection: close") => Either(&[400], with_trailers(""));
    trailer_x_forwarded_for: trailed("X-Forwarded-For: 10.0.0.1") => Either(&[400], with_trailers(""));
    trailer_trailer: trailed("Trailer: x") => Either(&[400], with_trailers(""));
    trailer_te: trailed("TE: trailers") => Either(&[400], with_trailers(""));
    trailer_content_type: trailed("Content-Type: a/b") => Either(&[400], with_trailers(""));
    trailer_content_encoding: trailed("Content-Encoding: gzip") => Either(&[400], with_trailers(""));
    trailer_expect: trailed("Expect: 100-continue") => Either(&[400], with_trailers(""));
    trailer_too_long: trailed(format!("Check: {}", "a".repeat(64 << 10))) => Cut(&[400, 413, 431]);
    trailers_too_many: trailed("A: b\r\n".repeat(1_000) + "C: d") => Cut(&[400, 413, 431]);
}
