//! What our codec understands of bytes that come in any parts.

use throome_wire::buffer::SMALL;
use throome_wire::http1::framing::{BodyReader, Piece};
use throome_wire::http1::{HeadLimits, RequestHead, ResponseHead};
use throome_wire::{Buffer, Error};

use super::Understood;
use crate::support::{Random, read_body};

/// What was understood of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Requests that were whole.
    pub(super) requests: Vec<Understood>,
    /// Whether it ended with something that is not HTTP.
    pub(super) refused: bool,
}

/// Bytes that come in parts into a buffer, with a count of the steps, so that none is endless.
struct Feed<'a> {
    rest: &'a [u8],
    inbox: Buffer,
    steps: usize,
}

impl Feed<'_> {
    /// Gives the next part, of at most `n` bytes; says whether there was one.
    fn more(&mut self, n: usize) -> bool {
        let (mut part, rest) = self.rest.split_at(n.clamp(1, self.rest.len().max(1)).min(self.rest.len()));
        self.rest = rest;
        let given = !part.is_empty();
        while !part.is_empty() {
            if self.inbox.len() == self.inbox.capacity() {
                self.inbox.grow((self.inbox.len() + part.len()).max(SMALL));
            }
            let room = self.inbox.room(SMALL);
            let n = room.len().min(part.len());
            room[..n].copy_from_slice(&part[..n]);
            self.inbox.advance(n);
            part = &part[n..];
        }
        given
    }

    fn step(&mut self) {
        self.steps -= 1;
        assert!(self.steps > 0, "it never ends");
    }
}

pub(super) fn read(bytes: &[u8], part: &mut dyn FnMut() -> usize) -> Reading {
    let mut feed = Feed { rest: bytes, inbox: Buffer::default(), steps: 10 * bytes.len() + 100 };
    let mut reading = Reading { requests: Vec::new(), refused: false };
    let mut head = RequestHead::default();
    loop {
        match request(&mut feed, &mut head, part) {
            Ok(Some(understood)) => reading.requests.push(understood),
            Ok(None) => return reading,
            Err(_) => return Reading { refused: true, ..reading },
        }
        if !head.keep_alive {
            return reading;
        }
    }
}

fn request(
    feed: &mut Feed<'_>,
    head: &mut RequestHead,
    part: &mut dyn FnMut() -> usize,
) -> Result<Option<Understood>, Error> {
    loop {
        feed.step();
        if let Some(length) = head.parse(feed.inbox.filled(), HeadLimits::default())? {
            assert!(length <= feed.inbox.len(), "more was taken than was given");
            feed.inbox.consume(length);
            break;
        }
        if !feed.more(part()) {
            return Ok(None);
        }
    }
    let mut reader = BodyReader::new(head.framing, u64::MAX)?;
    let mut body = Vec::new();
    loop {
        feed.step();
        match reader.next(&mut feed.inbox)? {
            Piece::Data(n) => {
                body.extend_from_slice(&feed.inbox.filled()[..n]);
                feed.inbox.consume(n);
                reader.consumed(n);
            }
            Piece::More if !feed.more(part()) => return Ok(None),
            Piece::More => {}
            Piece::End => break,
        }
    }
    let host = head.host().unwrap_or_default().to_owned();
    Ok(Some(Understood {
        method: head.method().to_owned(),
        target: head.path_and_query().to_owned(),
        host,
        body,
    }))
}

/// The same bytes as a response: nothing breaks, and parts make no difference.
pub(super) fn survive_as_response(bytes: &[u8], random: &mut Random) {
    let version = bytes.windows(8).position(|eight| eight == b"HTTP/1.1").unwrap_or(0);
    let bytes = &bytes[version..];
    let mut head = ResponseHead::default();
    let Ok(Some(length)) = head.parse(bytes, HeadLimits::default(), false) else { return };
    let (before, body) = bytes.split_at(length);
    assert!(
        matches!(ResponseHead::default().parse(before, HeadLimits::default(), false), Ok(Some(n)) if n == length)
    );
    let whole = read_body(head.framing, u64::MAX, &[body]);
    let parts: Vec<&[u8]> = body.chunks(1 + random.below(20)).collect();
    let cut = read_body(head.framing, u64::MAX, &parts);
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(whole, cut),
        (Err(_), Err(_)) => {}
        (whole, cut) => panic!("{whole:?} but {cut:?}"),
    }
}
