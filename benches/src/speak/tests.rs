//! The protocols against servers of other people's making, and against answers that are wrong.

use super::*;

fn script(speech: Speech) -> Script {
    Script { speech, host: "localhost".to_owned(), path: "/200b".to_owned(), size: 200, is_secure: false }
}

fn ready_http2(speech: Speech) -> Talker {
    let mut talker = Talker::new(&script(speech));
    let mut output = Vec::new();
    talker.greet(&script(speech), &mut output);
    assert!(output.starts_with(b"PRI * HTTP/2.0") && !talker.is_ready());
    let mut settings = BytesMut::from(&[0, 0, 0, 4, 0, 0, 0, 0, 0][..]);
    assert_eq!(talker.hear(&mut settings, &mut output).unwrap(), 0);
    assert!(talker.is_ready());
    talker
}

fn hear(talker: &mut Talker, bytes: &[u8]) -> io::Result<usize> {
    talker.hear(&mut BytesMut::from(bytes), &mut Vec::new())
}

#[test]
fn answers_of_http1_are_counted_however_they_are_cut() {
    let mut talker = Talker::new(&script(Speech::Http1));
    let head = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 200\r\n\r\n";
    let all = [&head[..], &[b'x'; 200], head, &[b'x'; 200]].concat();
    let mut input = BytesMut::new();
    let mut done = 0;
    for byte in all {
        input.extend_from_slice(&[byte]);
        done += talker.hear(&mut input, &mut Vec::new()).unwrap();
    }
    assert_eq!(done, 2);
    for wrong in
        ["HTTP/1.1 503 No\r\nContent-Length: 200\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"]
    {
        assert!(hear(&mut talker, wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn an_answer_of_http2_ends_with_its_stream_and_must_be_whole() {
    let head = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
    let data = |length: u8| [&[0, 0, length, 0, 1, 0, 0, 0, 1][..], &vec![b'x'; length.into()]].concat();
    let mut talker = ready_http2(Speech::Http2);
    talker.ask(&mut Vec::new());
    assert_eq!(hear(&mut talker, &[&head[..], &data(200)].concat()).unwrap(), 1);
    for wrong in [
        [&head[..], &data(199)].concat(),
        vec![0, 0, 1, 1, 4, 0, 0, 0, 1, 0x8d],
        vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7],
    ] {
        let mut talker = ready_http2(Speech::Http2);
        talker.ask(&mut Vec::new());
        assert!(hear(&mut talker, &wrong).is_err(), "{wrong:?}");
    }
    // A change of the table's size comes before the status.
    let mut talker = ready_http2(Speech::Http2);
    talker.ask(&mut Vec::new());
    let resized = [0, 0, 4, 1, 4, 0, 0, 0, 1, 0x3f, 0xe1, 0x1f, 0x88];
    assert_eq!(hear(&mut talker, &[&resized[..], &data(200)].concat()).unwrap(), 1);
}

#[test]
fn calls_wait_for_room() {
    let mut talker = ready_http2(Speech::Unary);
    let mut output = Vec::new();
    let room = 65_535 / grpc::FRAMED;
    for _ in 0..room + 1 {
        talker.ask(&mut output);
    }
    let sent = output.len();
    // Opening the connection's window lets the one that waits go.
    talker.hear(&mut BytesMut::from(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0][..]), &mut output).unwrap();
    assert!(output.len() > sent + grpc::FRAMED);
}

#[test]
fn a_websocket_opens_and_echoes() {
    let mut talker = Talker::new(&script(Speech::WebSocket));
    let accepted = crate::backend::websocket::accepted(crate::backend::websocket::KEY.as_bytes()).unwrap();
    assert!(!talker.is_ready());
    assert_eq!(hear(&mut talker, accepted).unwrap(), 0);
    assert!(talker.is_ready());
    let mut echo = vec![0x82, 126, 0, 200];
    echo.extend_from_slice(&[b'm'; 200]);
    assert_eq!(hear(&mut talker, &echo).unwrap(), 1);
    assert!(hear(&mut talker, &[0x88, 0]).is_err());
    let mut refused = Talker::new(&script(Speech::WebSocket));
    assert!(hear(&mut refused, b"HTTP/1.1 403 Forbidden\r\n\r\n").is_err());
}
