//! The queue before the door: who goes in, in which order, and who is told that there is no room.

use super::*;

fn room(most: u32, waiting: u32) -> Arc<Room> {
    let limits = LimitsSpec { max_requests: Some(most), max_pending: Some(waiting), ..LimitsSpec::default() };
    Arc::new(Room::of(&limits).unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn occupancy(room: &Room) -> (u32, u32) {
    let Occupancy { inside, waiting, .. } = room.occupancy();
    (inside, waiting)
}

/// Waits in a task of its own, and says when it was let in.
fn waits(room: &Arc<Room>, number: u32, told: &Arc<Mutex<Vec<u32>>>) -> tokio::task::JoinHandle<Place> {
    let (room, told) = (Arc::clone(room), Arc::clone(told));
    tokio::spawn(async move {
        let place = room.enter(soon()).await.unwrap();
        told.lock().unwrap().push(number);
        place
    })
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_room_without_walls_is_none() {
    assert!(Room::of(&LimitsSpec { max_pending: Some(3), ..LimitsSpec::default() }).is_none());
    let adaptive = Room::of(&LimitsSpec { adaptive: true, ..LimitsSpec::default() }).unwrap();
    assert!(adaptive.occupancy().most >= LEAST);
}

#[tokio::test]
async fn those_who_wait_are_let_in_in_order() {
    let (room, told) = (room(1, 3), Arc::default());
    let first = room.enter(soon()).await.unwrap();
    let mut tasks = Vec::new();
    for number in 1..=3 {
        tasks.push(waits(&room, number, &told));
        settle().await;
    }
    assert_eq!(room.enter(soon()).await.err(), Some(NoRoom::Full));
    assert_eq!(occupancy(&room), (1, 3));
    drop(first);
    for task in tasks {
        // Each leaves as soon as it was let in, and lets the next one in.
        drop(task.await.unwrap());
    }
    assert_eq!(*told.lock().unwrap(), [1, 2, 3]);
    assert_eq!(occupancy(&room), (0, 0));
}

#[tokio::test]
async fn who_waits_too_long_is_told_and_holds_nothing() {
    let room = room(1, 3);
    let first = room.enter(soon()).await.unwrap();
    let shortly = Instant::now() + Duration::from_millis(20);
    assert_eq!(room.enter(shortly).await.err(), Some(NoRoom::Late));
    assert_eq!(occupancy(&room), (1, 0));
    drop(first);
    assert_eq!(occupancy(&room), (0, 0));
    drop(room.enter(soon()).await.unwrap());
}

#[tokio::test]
async fn who_goes_away_while_waiting_keeps_nobody_out() {
    let (room, told) = (room(1, 3), Arc::default());
    let first = room.enter(soon()).await.unwrap();
    let gone = waits(&room, 1, &told);
    settle().await;
    let next = waits(&room, 2, &told);
    settle().await;
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(occupancy(&room), (1, 1));
    drop(first);
    let place = next.await.unwrap();
    assert_eq!(*told.lock().unwrap(), [2]);
    // Called, and gone before it could hear: the place goes on.
    let (deaf, heard) = (waits(&room, 3, &told), waits(&room, 4, &told));
    settle().await;
    deaf.abort();
    drop(place);
    assert!(deaf.await.is_err());
    drop(heard.await.unwrap());
    assert_eq!(occupancy(&room), (0, 0));
}

#[tokio::test]
async fn more_room_lets_in_who_waits_and_less_lets_nobody_out() {
    let (room, told) = (room(1, 9), Arc::default());
    let first = room.enter(soon()).await.unwrap();
    let tasks: Vec<_> = (1..=3).map(|number| waits(&room, number, &told)).collect();
    settle().await;
    let limits =
        |most| LimitsSpec { max_requests: Some(most), max_pending: Some(0), ..LimitsSpec::default() };
    room.rebuild(&limits(3));
    settle().await;
    assert_eq!((occupancy(&room), told.lock().unwrap().len()), ((3, 1), 2));
    room.rebuild(&limits(1));
    assert_eq!(occupancy(&room), (3, 1));
    drop(first);
    assert_eq!(occupancy(&room), (2, 1), "nobody is let in above the new wall");
    let mut tasks = tasks.into_iter();
    for (left, expected) in [(tasks.next().unwrap(), (1, 1)), (tasks.next().unwrap(), (1, 0))] {
        drop(left.await.unwrap());
        assert_eq!(occupancy(&room), expected);
    }
    drop(tasks.next().unwrap().await.unwrap());
    assert_eq!(occupancy(&room), (0, 0));
}

#[test]
fn cores_at_once_never_pass_the_walls() {
    let room = room(3, 64);
    let inside = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        for core in 0..4 {
            let (room, inside) = (Arc::clone(&room), Arc::clone(&inside));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut tasks = tokio::task::JoinSet::new();
                    for n in 0..1_000_u64 {
                        let (room, inside) = (Arc::clone(&room), Arc::clone(&inside));
                        tasks.spawn(async move {
                            // Some have no patience at all.
                            let patience =
                                Duration::from_micros(if n % 7 == 0 { core * 50 } else { 10_000_000 });
                            let Ok(_place) = room.enter(Instant::now() + patience).await else { return };
                            assert!(inside.fetch_add(1, Relaxed) < 3);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, Relaxed);
                        });
                        if n % 16 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    while let Some(done) = tasks.join_next().await {
                        done.unwrap();
                    }
                });
            });
        }
    });
    assert_eq!(occupancy(&room), (0, 0));
}
