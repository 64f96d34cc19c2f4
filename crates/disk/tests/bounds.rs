//! What one statement can take of the process: its time, and its memory. The bound of memory is one for the process,
//! so these have a process of their own.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, with the place")]

use std::time::{Duration, Instant};

use throome_disk::{Disk, Error, Session};

/// What one of them takes, the other has not.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn on_disk() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&dir.path().join("numbers.db")).unwrap();
    disk.write(|c| c.execute_batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")).await.unwrap();
    (dir, disk)
}

/// Runs it to its first row, with values of 16 MB at most.
fn first_row(s: &Session<'_>, text: &str) -> Result<(), Error> {
    s.set_longest(16 << 20)?;
    let looked = || s.prepare(text)?.query([])?.next().map(drop);
    looked().map_err(|error| s.explain(error))
}

/// Many of these took minutes to hours in one instruction of SQLite's machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_function_outlives_its_deadline_by_much() {
    let _alone = ALONE.lock().await;
    let (_dir, disk) = on_disk().await;
    let a = "printf('%.*c', 4000000, 'a')";
    let half = "printf('%.*c', 2000000, 'a') || 'b'";
    let object = |key: &str| format!("'{{' || replace({a}, 'aaaa', '\"{key}\":1,') || '\"x\":2}}'");
    let list = format!("'[' || replace({a}, 'aa', '1,') || '1]'");
    for call in [
        format!("instr({a}, {half})"),
        format!("replace({a}, {half}, '')"),
        format!("replace({a}, 'a', 'bc')"),
        format!("trim({a}, printf('%.*c', 2000000, 'b') || 'a')"),
        format!("rtrim({a}, printf('%.*c', 2000000, 'b') || 'a')"),
        format!("unhex({a}, {half})"),
        format!("json_patch({}, {})", object("a"), object("c")),
        // These take time by the product, which the bound of the pattern keeps small.
        format!("substr({a}, -500000) LIKE '%' || printf('%.*c', 240, 'a') || 'b'"),
        format!("substr({a}, -500000) GLOB '*' || printf('%.*c', 240, 'a') || 'b'"),
        format!("substr({a}, -500000) LIKE replace(printf('%.*c', 120, 'a'), 'a', '%a') || 'b'"),
        format!("{a} LIKE '%' || printf('%.*c', 50000, 'a') || 'b'"),
        format!("json_extract({list}, '$[3]')"),
        format!("json_pretty({list}, {a})"),
        format!("upper({a}) || lower({a}) || hex({a}) || quote({a})"),
        format!("length(hex({a})) + length(upper({a})) + unicode({a}) + length(soundex({a}))"),
        format!("substr({a}, -3) || char(1) || concat_ws({a}, {a}, {a})"),
        format!("strftime({a}, 'now')"),
        format!("printf('%' || {a} || 'd', 1)"),
        format!("(SELECT group_concat({a}, {a}) FROM (VALUES (1), (2), (3), (4)))"),
        format!("(SELECT count(*) FROM json_each({list}))"),
    ] {
        let text = format!("SELECT length({call})");
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(1);
        let _: Result<(), Error> = disk.read_until(deadline, move |s, _| first_row(s, &text)).await;
        let took = begun.elapsed();
        // Unoptimised, and beside others, it is still far from what it was.
        let most = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
        assert!(took < most, "{call} took {took:?}");
    }
}

#[tokio::test]
async fn memory_has_a_bound_and_others_go_on() {
    let _alone = ALONE.lock().await;
    let (_dir, disk) = on_disk().await;
    let later = || Instant::now() + Duration::from_secs(60);
    let look = async |text: String| disk.read_until(later(), move |s, _| first_row(s, &text)).await;
    let cells = vec!["randomblob(15000000)"; 200].join(", ");
    let error: Error = look(format!("SELECT {cells}")).await.unwrap_err();
    assert_eq!(error.native(), Some("SQLITE_NOMEM"), "{error}");
    let cells = vec!["randomblob(15000000)"; 100].join(", ");
    let fill = format!("INSERT INTO numbers SELECT length(max({cells}))");
    let error: Error = disk.write_until(later(), move |s| first_row(s, &fill)).await.unwrap_err();
    assert_eq!(error.native(), Some("SQLITE_NOMEM"), "{error}");
    disk.write(|c| c.execute("INSERT INTO numbers VALUES (1)", [])).await.unwrap();
    let count = disk.read(|c| c.query_row("SELECT count(*) FROM numbers", [], |row| row.get::<_, i64>(0)));
    assert_eq!(count.await.unwrap(), 1);
    let error = look(format!("SELECT {}", vec!["1"; 501].join(", "))).await.unwrap_err();
    assert!(error.to_string().contains("too many columns"), "{error}");
}
