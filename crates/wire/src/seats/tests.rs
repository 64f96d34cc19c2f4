//! Seats: never more than there are, given to whoever waits in order, and lost by nobody who leaves.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::Socket;

/// A connection that has this seat, and its other end.
async fn conn(seat: Seat) -> (Conn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut conn = Conn::new(Socket::Tcp(stream));
    conn.seat = Some(seat);
    (conn, listener.accept().await.unwrap().0)
}

fn state(seats: &Seats) -> (usize, usize) {
    let Occupancy { open, waiting, .. } = seats.occupancy();
    (open, waiting)
}

/// Takes a place as a thread of this core.
fn queue_up_on(core: usize, seats: &Arc<Seats>) -> Waiting {
    cores::enter(core);
    let waiting = seats.queue_up();
    cores::enter(usize::MAX);
    waiting.unwrap()
}

#[tokio::test]
async fn a_seat_that_is_given_back_is_the_first_ones_who_waits() {
    let seats = Seats::new(1, 2);
    let seat = seats.take().unwrap();
    assert!(seats.take().is_none());
    let (mut first, mut second) = (seats.queue_up().unwrap(), seats.queue_up().unwrap());
    assert_eq!(seats.queue_up().unwrap_err(), Full);
    drop(seat);
    assert_eq!(state(&seats), (1, 1));
    assert!(seats.take().is_none(), "it is the first one's");
    let Given::Seat(seat) = first.given().await else { panic!("a seat") };
    drop(first);
    drop(seat);
    let Given::Seat(seat) = second.given().await else { panic!("a seat") };
    drop((second, seat));
    assert_eq!(state(&seats), (0, 0));
}

#[tokio::test]
async fn who_leaves_takes_nothing_with_him() {
    let seats = Seats::new(1, 9);
    let seat = seats.take().unwrap();
    let [first, second, mut third] = [0; 3].map(|_| seats.queue_up().unwrap());
    drop(first);
    assert_eq!(state(&seats), (1, 2));
    drop(seat);
    assert_eq!(state(&seats), (1, 1), "the second was called");
    drop(second);
    let Given::Seat(_seat) = third.given().await else { panic!("a seat") };
    assert_eq!(state(&seats), (1, 0));
}

#[tokio::test]
async fn a_connection_stays_with_its_core_while_nobody_elsewhere_waits_twice_as_long() {
    tokio::time::pause();
    let seats = Seats::new(1, 9);
    let (own, _peer) = conn(seats.take().unwrap()).await;
    let own = seats.hand_over(own).expect("nobody waits");
    let mut elsewhere = queue_up_on(0, &seats);
    tokio::time::advance(Duration::from_millis(10)).await;
    let mut here = queue_up_on(1, &seats);
    tokio::time::advance(Duration::from_millis(15)).await;
    assert!(seats.hand_over(own).is_none());
    let Given::Conn(own) = here.given().await else { panic!("25 ms are not twice 15 ms") };
    let mut late = queue_up_on(1, &seats);
    tokio::time::advance(Duration::from_millis(5)).await;
    assert!(seats.hand_over(*own).is_none());
    let Given::Seat(seat) = elsewhere.given().await else { panic!("30 ms are more than twice 5 ms") };
    let (own, mut peer) = conn(seat).await;
    assert!(seats.hand_over(own).is_none());
    let Given::Conn(own) = late.given().await else { panic!("a connection") };
    drop(own);
    assert_eq!(tokio::io::AsyncReadExt::read(&mut peer, &mut [0]).await.unwrap(), 0, "closed");
    assert_eq!(state(&seats), (0, 0));
}

#[tokio::test]
async fn a_word_that_is_of_no_use_keeps_ones_place_and_one_that_nobody_hears_goes_on() {
    let seats = Seats::new(1, 9);
    let _seat = seats.take().unwrap();
    let (mut first, second, mut third) =
        (seats.queue_up().unwrap(), seats.queue_up().unwrap(), seats.queue_up().unwrap());
    seats.stir();
    let Given::Word(word) = first.given().await else { panic!("a word") };
    word.forget();
    first.again();
    assert_eq!(state(&seats), (1, 3));
    seats.stir();
    let Given::Word(word) = first.given().await else { panic!("still the first") };
    // To the second, who leaves without having heard it; so the third has it.
    drop(word);
    drop(second);
    let Given::Word(word) = third.given().await else { panic!("a word") };
    word.forget();
    assert_eq!(state(&seats), (1, 0));
}
