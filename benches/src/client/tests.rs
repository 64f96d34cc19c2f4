//! Answers in every framing, cut into pieces of every size.

use std::net::TcpListener;

use super::*;

/// Answers one request with exactly these bytes, in pieces of the given size.
fn serve_once(answer: &'static [u8], piece: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        for part in answer.chunks(piece) {
            stream.write_all(part).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    address
}

fn answer(bytes: &'static [u8], piece: usize) -> io::Result<Answer> {
    let address = serve_once(bytes, piece);
    Connection::open(address).unwrap().exchange(&get(address, "/"))
}

#[test]
fn a_body_of_known_length_is_read_whole_however_it_is_cut() {
    for piece in [1, 7, 4096] {
        let got = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", piece).unwrap();
        assert_eq!(got, Answer { status: 200, body: b"hello".to_vec(), closes: false });
    }
}

#[test]
fn a_chunked_body_is_put_together() {
    let bytes = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n\
        3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
    for piece in [1, 5, 4096] {
        let got = answer(bytes, piece).unwrap();
        assert_eq!(got, Answer { status: 404, body: b"abc0123456789".to_vec(), closes: true });
    }
}

#[test]
fn a_cut_body_and_an_unframed_one_are_errors() {
    assert!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 64).is_err());
    assert!(answer(b"HTTP/1.1 200 OK\r\n\r\nhello", 64).is_err());
    assert!(answer(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 64).is_err());
}

#[test]
fn no_content_needs_no_length() {
    assert_eq!(answer(b"HTTP/1.1 204 No Content\r\n\r\n", 64).unwrap().status, 204);
}

#[test]
fn a_connection_that_stays_awake_reads_the_same() {
    let address = serve_once(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 3);
    let mut connection = Connection::open_awake(address).unwrap();
    let got = connection.exchange_discarding(&post(address, "/", "{}")).unwrap();
    assert_eq!((got.status, got.length), (200, 5));
}
