//! Listeners to events: how long each event took from the service to its listener, and whether all of them came.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use bytes::{Buf, BytesMut};

use super::wire::Wire;
use super::{Load, Moment, Notes, PAUSE, Report};
use crate::backend::events;
use crate::histogram::Histogram;

/// Listens over all connections to the end; an event that is left out is an error. Must run inside a `LocalSet`.
pub async fn run(load: Load) -> anyhow::Result<Report> {
    let load = Rc::new(load);
    let notes = Rc::new(Notes::default());
    let latencies = Rc::new(RefCell::new(Histogram::default()));
    for _ in 0..load.connections {
        let (load, notes, latencies) = (Rc::clone(&load), Rc::clone(&notes), Rc::clone(&latencies));
        tokio::task::spawn_local(async move {
            loop {
                if let Err(error) = listen(&load, &notes, &latencies).await {
                    notes.fail(error.to_string());
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    notes.all_ready(load.connections).await?;
    tokio::time::sleep(load.warm_up).await;
    latencies.take();
    let before = Moment::now(&load.watched, &notes)?;
    tokio::time::sleep(load.length).await;
    let after = Moment::now(&load.watched, &notes)?;
    let latencies = latencies.take();
    let microseconds = |share| latencies.quantile(share) as f64 / 1_000.0;
    Ok(Report {
        p50_us: microseconds(0.5),
        p99_us: microseconds(0.99),
        max_us: latencies.largest() as f64 / 1_000.0,
        ..after.since(&before, &notes)
    })
}

async fn listen(load: &Load, notes: &Notes, latencies: &RefCell<Histogram>) -> io::Result<()> {
    let mut wire = Wire::connect(load.address, load.secure.as_ref()).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
        String::from_utf8_lossy(events::PATH),
        load.script.host
    );
    wire.output.extend_from_slice(request.as_bytes());
    wire.send().await?;
    let mut stream = Stream::default();
    let mut last = None;
    loop {
        wire.receive().await?;
        stream.take(&mut wire.input)?;
        while let Some((number, at)) = stream.next_event()? {
            match last {
                None => notes.ready.set(notes.ready.get() + 1),
                Some(last) if number == last + 1 => {}
                Some(last) => notes.fail(format!("event {number} after event {last}")),
            }
            last = Some(number);
            notes.completed.set(notes.completed.get() + 1);
            latencies.borrow_mut().record(events::now().saturating_sub(at) * 1_000);
        }
    }
}

/// An answer in chunks, as far as it was read.
#[derive(Debug, Default)]
struct Stream {
    is_begun: bool,
    /// Of the chunk that is being read, with the line break behind it.
    left: usize,
    text: BytesMut,
}

impl Stream {
    /// Takes head and framing away; what remains is text.
    fn take(&mut self, input: &mut BytesMut) -> io::Result<()> {
        if !self.is_begun {
            let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else { return Ok(()) };
            let head = input.split_to(end + 4);
            if !head.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(format!("no events: {:?}", String::from_utf8_lossy(&head))));
            }
            self.is_begun = true;
        }
        loop {
            if self.left == 0 {
                let Some(end) = memchr::memmem::find(input, b"\r\n") else { return Ok(()) };
                let size = std::str::from_utf8(&input[..end]).ok();
                let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
                self.left = size.ok_or_else(|| io::Error::other("a chunk without a size"))? + 2;
                input.advance(end + 2);
            }
            let taken = self.left.min(input.len());
            let text = taken.min(self.left.saturating_sub(2));
            self.text.extend_from_slice(&input[..text]);
            input.advance(taken);
            self.left -= taken;
            if self.left > 0 {
                return Ok(());
            }
        }
    }

    /// The number and the time of the next whole event.
    fn next_event(&mut self) -> io::Result<Option<(u64, u64)>> {
        let Some(end) = memchr::memmem::find(&self.text, b"\n\n") else { return Ok(None) };
        let event = self.text.split_to(end + 2);
        events::parse(&event[..end]).map(Some).ok_or_else(|| io::Error::other("this is no event of ours"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_chunks_and_reads_are_cut() {
        let all =
            b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n5\r\ndata:\r\nf\r\n 1 10 x\n\ndata: \r\n8\r\n2 20 x\n\n\r\n";
        let mut stream = Stream::default();
        let mut input = BytesMut::new();
        let mut events = Vec::new();
        for byte in all {
            input.extend_from_slice(&[*byte]);
            stream.take(&mut input).unwrap();
            events.extend(stream.next_event().unwrap());
        }
        assert_eq!(events, [(1, 10), (2, 20)]);
        let refused = b"HTTP/1.1 502 Bad Gateway\r\n\r\n";
        assert!(Stream::default().take(&mut BytesMut::from(&refused[..])).is_err());
    }
}
