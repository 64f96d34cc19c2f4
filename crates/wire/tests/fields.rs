//! Fields as they pass on: byte for byte those that were received, but for the masked and the named.

use proptest::prelude::*;
use throome_wire::http1::fields::{HOP_BY_HOP, know};
use throome_wire::http1::{HeadLimits, Known, Mask, RequestHead};

fn written(head: &str, without: Mask) -> String {
    let mut request = RequestHead::default();
    request.parse(head.as_bytes(), HeadLimits::default()).unwrap().expect("the head is whole");
    let mut out = Vec::new();
    request.fields.write(without, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn hop_by_hop_fields_stay_here() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-One,x-TWO , absent\r\nX-One: 1\r\nA:  b \r\nx-two: 2\r\n\
                Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Three: 3\r\nX-ONE: 1\r\n\r\n";
    assert_eq!(written(head, HOP_BY_HOP), "Host: a\r\nA:  b \r\nX-Three: 3\r\n");
    // Without a mask, only what is named is left out.
    let all = written(head, Mask::default());
    assert!(all.contains("Keep-Alive: 5\r\n") && !all.contains("\r\nX-One: 1") && !all.contains("X-ONE: 1"));
}

#[test]
fn empty_lines_before_a_request_do_not_pass() {
    assert_eq!(written("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HOP_BY_HOP), "Host: a\r\n");
}

#[test]
fn names_are_known_in_any_case_and_identity_in_any_spelling() {
    for (name, known) in [
        ("HOST", Known::Host),
        ("content-LENGTH", Known::ContentLength),
        ("Content_Length", Known::FramingAlias),
        ("Transfer_Encoding", Known::FramingAlias),
        ("X-Forwarded-For", Known::XForwardedFor),
        ("x_forwarded_for", Known::Forwarded),
        ("X-Forwarded_For", Known::Forwarded),
        ("X-Forwarded-Prefix", Known::Forwarded),
        ("X_FORWARDED-anything", Known::Forwarded),
        ("X-Real-IP", Known::Forwarded),
        ("x_real_ip", Known::Forwarded),
        ("X-Real-IPs", Known::Other),
        ("Forwarded", Known::Forwarded),
        ("X-Request-ID", Known::RequestId),
        ("x_request_id", Known::RequestId),
        ("X-Request_Id", Known::RequestId),
        ("X_Request-Id", Known::RequestId),
        ("X-Request-Ids", Known::Other),
        ("X-Client-Cert-Subject", Known::ClientCert),
        ("x_client_cert_subject", Known::ClientCert),
        ("X", Known::Other),
        ("", Known::Other),
    ] {
        assert_eq!(know(name.as_bytes()), known, "{name}");
    }
}

const MASKED: &[&str] = &[
    "Keep-Alive",
    "TE",
    "Upgrade",
    "Proxy-Connection",
    "X-Forwarded-For",
    "x_forwarded_proto",
    "X-Request-Id",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_others_pass_byte_for_byte(
        lines in prop::collection::vec(
            (0..12_usize, prop_oneof![Just(""), Just(" "), Just("\t ")], "[!-~]{0,9}( [!-~]{1,5})?", prop_oneof![Just(""), Just(" ")]),
            0..40,
        ),
        named in prop::collection::vec(0..12_usize, 0..6),
        at in 0..40_usize,
    ) {
        // Twelve names: seven that are masked, five of which Connection may name any.
        let name = |i: usize| MASKED.get(i).map_or_else(|| format!("N{i}"), |name| (*name).to_owned());
        let mut fields = vec![("Host: a\r\n".to_owned(), true)];
        for (i, before, value, after) in &lines {
            let passes = *i >= MASKED.len() && !named.contains(i);
            fields.push((format!("{}:{before}{value}{after}\r\n", name(*i)), passes));
        }
        let list: Vec<String> = named.iter().map(|i| name(*i).to_uppercase()).collect();
        let connection = (format!("Connection: {}\r\n", list.join(" , ")), false);
        fields.insert(at.min(fields.len()), connection);

        let head: String = fields.iter().map(|(line, _)| line.as_str()).collect();
        let want: String = fields.iter().filter(|(_, passes)| *passes).map(|(line, _)| line.as_str()).collect();
        let without = HOP_BY_HOP.and(Mask::of(&[Known::Forwarded, Known::XForwardedFor, Known::RequestId]));
        prop_assert_eq!(written(&format!("GET / HTTP/1.1\r\n{head}\r\n"), without), want);
    }
}
