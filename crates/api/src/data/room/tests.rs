//! The room as arithmetic, and what happens when there is none.

use super::*;

fn bytes(size: usize) -> Bytes {
    vec![7; size].into()
}

#[tokio::test]
async fn an_answer_is_counted_until_the_last_of_it_is_gone() {
    let room = Room::of(1 << 20, 8 << 20);
    let held = room.hold_one(bytes(100 << 10)).await.unwrap();
    assert_eq!((held.len(), room.held()), (100 << 10, 100 << 10));
    let part = held.slice(5..10);
    drop(held);
    assert_eq!((&part[..], room.held()), (&[7; 5][..], 100 << 10), "a part keeps all of it in memory");
    drop(part);
    assert_eq!(room.held(), 0);
    let free = room.hold_one(bytes(FREE)).await.unwrap();
    assert_eq!((free.len(), room.held()), (FREE, 0));
}

#[tokio::test]
async fn what_was_sent_makes_room_again() {
    let room = Room::of(1 << 20, 8 << 20);
    let sizes = [100, 3 << 20, 1, 2 << 20, 2];
    let mut pieces = room.hold(sizes.map(bytes).to_vec()).await.unwrap();
    assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), sizes);
    let all = room.held();
    assert!((5 << 20..=(5 << 20) + UNIT).contains(&all), "{all}");
    drop(pieces.remove(1));
    assert_eq!(room.held(), all - (3 << 20));
    drop(pieces);
    assert_eq!(room.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn readers_that_do_not_read_hold_so_much_and_no_more() {
    let room = Room::of(1 << 20, 8 << 20);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(room.hold_one(bytes(2 << 20)).await.unwrap());
    }
    let refused = room.hold_one(bytes(2 << 20)).await.unwrap_err();
    assert_eq!((refused.code(), refused.retryable()), (Code::Overloaded, false));
    assert!(refused.detail().contains("carried out"), "{}", refused.detail());
    assert_eq!(room.held(), 8 << 20);
    // Small answers have their own.
    let small = room.hold_one(bytes(LARGE)).await.unwrap();
    assert!(room.hold_one(bytes(FREE + 1)).await.is_err());
    drop(small);
    // One that waits has what another lets go of in time.
    let waiting = tokio::spawn({
        let room = room.clone();
        async move { room.hold_one(bytes(2 << 20)).await.map(|held| held.len()) }
    });
    tokio::time::sleep(PATIENCE / 2).await;
    held.pop();
    assert_eq!(waiting.await.unwrap().unwrap(), 2 << 20);
}

#[tokio::test(start_paused = true)]
async fn the_largest_takes_all_of_it() {
    let room = Room::of(1 << 20, 2 << 20);
    let held = room.hold(vec![bytes(10), bytes(5 << 20), bytes(20)]).await.unwrap();
    assert_eq!(room.held(), 2 << 20);
    assert!(room.hold_one(bytes(LARGE + 1)).await.is_err());
    drop(held);
    assert_eq!(room.held(), 0);
}
