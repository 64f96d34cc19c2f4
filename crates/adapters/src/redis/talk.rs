//! What is said on one connection: commands go out in the order in which they are asked, as many together as there
//! are, and answers come back in that order. One task does it; callers may leave at any time.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use redis::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};

use super::decode::{Decoder, Read, too_large};
use super::failure;
use super::space::Space;

/// As much is read at once.
const READ: usize = 32 << 10;
/// So much is made ready to be written; what is asked beyond that waits.
const WRITE: usize = 64 << 10;

/// One request: commands that leave together.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) bytes: Vec<u8>,
    pub(super) count: usize,
    pub(super) space: Space,
    pub(super) tell: oneshot::Sender<Result<Told, Broke>>,
}

/// The answers to one request, and what they left of its space.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) answers: Answers,
    pub(super) space: Space,
}

#[derive(Debug)]
pub(super) enum Answers {
    One(Value),
    Several(Vec<Value>),
}

/// The connection broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broke {
    /// Whether any byte of the request may have left.
    pub(super) sent: bool,
    pub(super) why: Cow<'static, str>,
}

/// Speaks on a stream for as long as it is open and anybody may ask something. Ready when it is over.
pub(super) struct Talk<S> {
    stream: S,
    asked: mpsc::Receiver<Asked>,
    /// What was handed to the stream or is about to be, the oldest in front.
    under_way: VecDeque<UnderWay>,
    /// To be written, from `at` on.
    out: Vec<u8>,
    at: usize,
    to_flush: bool,
    /// Bytes that were handed to the stream, and bytes that were to be.
    written: u64,
    accepted: u64,
    read: Box<[u8]>,
    decoder: Decoder,
    /// It is over since the last answer that anybody waits for is too large to be read.
    too_large: bool,
}

struct UnderWay {
    /// Where its first byte stands among all.
    begins: u64,
    count: usize,
    answers: Vec<Value>,
    space: Space,
    tell: oneshot::Sender<Result<Told, Broke>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(super) fn new(stream: S, asked: mpsc::Receiver<Asked>) -> Self {
        Talk {
            stream,
            asked,
            under_way: VecDeque::new(),
            out: Vec::new(),
            at: 0,
            to_flush: false,
            written: 0,
            accepted: 0,
            read: vec![0; READ].into(),
            decoder: Decoder::default(),
            too_large: false,
        }
    }

    /// Tells everybody who waits that it is over, and whether anything of what they asked may have left.
    pub(super) fn end(mut self, why: Cow<'static, str>) {
        if self.too_large {
            tell(self.under_way.pop_front(), too_large());
        }
        for UnderWay { begins, tell, .. } in self.under_way {
            let sent = begins < self.written;
            let _ = tell.send(Err(Broke { sent, why: why.clone() }));
        }
        self.asked.close();
        while let Ok(Asked { tell, .. }) = self.asked.try_recv() {
            let _ = tell.send(Err(Broke { sent: false, why: why.clone() }));
        }
    }

    /// Takes what is asked and writes it, as far as the stream takes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Cow<'static, str>> {
        loop {
            let mut all = false;
            while !all && self.out.len() < WRITE {
                match self.asked.poll_recv(cx) {
                    Poll::Ready(Some(asked)) => self.accept(asked),
                    Poll::Ready(None) => return Poll::Ready("nobody asks any more".into()),
                    Poll::Pending => all = true,
                }
            }
            while self.at < self.out.len() {
                match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.at..])) {
                    Ok(0) => return Poll::Ready("closed by the server".into()),
                    Ok(count) => {
                        self.at += count;
                        self.written += count as u64;
                        self.to_flush = true;
                    }
                    Err(error) => return Poll::Ready(failure::told(&error).into()),
                }
            }
            self.begin_anew();
            if self.to_flush {
                if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
                    return Poll::Ready(failure::told(&error).into());
                }
                self.to_flush = false;
            }
            if all {
                return Poll::Pending;
            }
        }
    }

    fn accept(&mut self, asked: Asked) {
        let Asked { bytes, count, space, tell } = asked;
        // Whoever left before anything was written asks nothing.
        if tell.is_closed() {
            return;
        }
        let begins = self.accepted;
        self.accepted += bytes.len() as u64;
        if self.out.is_empty() {
            self.out = bytes;
        } else {
            self.out.extend_from_slice(&bytes);
        }
        let answers = Vec::with_capacity(if count == 1 { 0 } else { count });
        self.under_way.push_back(UnderWay { begins, count, answers, space, tell });
    }

    /// What was written large once is not kept for what comes.
    fn begin_anew(&mut self) {
        self.at = 0;
        if self.out.capacity() > WRITE {
            self.out = Vec::new();
        } else {
            self.out.clear();
        }
    }

    /// Reads answers and hands them to those who wait.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Cow<'static, str>> {
        loop {
            let mut into = ReadBuf::new(&mut self.read);
            if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut into)) {
                return Poll::Ready(failure::told(&error).into());
            }
            let count = into.filled().len();
            if count == 0 {
                return Poll::Ready("closed by the server".into());
            }
            if let Err(why) = self.hear(count) {
                return Poll::Ready(why);
            }
        }
    }

    /// Reads what came.
    fn hear(&mut self, count: usize) -> Result<(), Cow<'static, str>> {
        let Talk { read, decoder, under_way, asked, .. } = self;
        let mut input = &read[..count];
        while !input.is_empty() {
            let mut unasked = Space::default();
            let space = match under_way.front_mut() {
                None => Some(&mut unasked),
                Some(front) if front.tell.is_closed() => None,
                Some(front) => Some(&mut front.space),
            };
            let wanted = space.is_some();
            match decoder.read(&mut input, space).map_err(|garbled| garbled.0)? {
                None | Some(Read::Push) => {}
                Some(Read::Answer(answer)) => match under_way.front_mut() {
                    None => return Err(unasked_for(&answer)),
                    Some(front) if front.count > 1 && front.answers.len() + 1 < front.count => {
                        front.answers.push(answer);
                    }
                    Some(_) => tell(under_way.pop_front(), answer),
                },
            }
            // Nobody waits behind an answer that is too large: to open another connection is less than to read it.
            let alone = under_way.len() == 1 && asked.is_empty();
            if wanted
                && alone
                && decoder.is_losing()
                && under_way.front().is_some_and(|front| front.answers.len() + 1 == front.count)
            {
                self.too_large = true;
                return Err("an answer was too large to be read".into());
            }
        }
        Ok(())
    }
}

/// Ends a request with its last answer.
fn tell(under_way: Option<UnderWay>, last: Value) {
    let Some(UnderWay { mut answers, count, space, tell, .. }) = under_way else { return };
    let answers = if count == 1 {
        Answers::One(last)
    } else {
        answers.push(last);
        Answers::Several(answers)
    };
    let _ = tell.send(Ok(Told { answers, space }));
}

/// A server that says something before it hangs up says why.
fn unasked_for(said: &Value) -> Cow<'static, str> {
    match said {
        Value::ServerError(refusal) => failure::farewell(refusal).into(),
        _ => "it answers what nobody asked".into(),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Talk<S> {
    /// Why it is over.
    type Output = Cow<'static, str>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Answers first: who waits for one may ask the next thing.
        if let Poll::Ready(why) = self.poll_read(cx) {
            return Poll::Ready(why);
        }
        self.poll_write(cx)
    }
}

#[cfg(test)]
mod tests;
