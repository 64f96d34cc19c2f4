//! Answers in every shape and in any pieces, with the library as second opinion; and what is too large, or nonsense.

use proptest::prelude::*;

use super::*;

/// All that is read of these bytes, which come in pieces of this size.
fn read(bytes: &[u8], piece: usize, space: &mut Space) -> Result<Vec<Read>, Garbled> {
    let mut decoder = Decoder::default();
    let mut all = Vec::new();
    for mut input in bytes.chunks(piece.max(1)) {
        while !input.is_empty() {
            all.extend(decoder.read(&mut input, Some(space))?);
        }
    }
    assert!(
        decoder.lists.is_empty() && decoder.text.is_none() && decoder.line.is_empty(),
        "it ends with its end"
    );
    Ok(all)
}

fn one(bytes: &[u8]) -> Value {
    match <[Read; 1]>::try_from(read(bytes, bytes.len(), &mut Space::default()).unwrap()) {
        Ok([Read::Answer(value)]) => value,
        other => panic!("{other:?}"),
    }
}

fn is_too_large(read: &Read) -> bool {
    matches!(read, Read::Answer(Value::ServerError(refusal)) if refusal.code() == TOO_LARGE)
}

fn texts(form: &'static str) -> impl Strategy<Value = Vec<u8>> {
    "[ -9;-~]{0,40}".prop_map(move |text| match form {
        "+" | "-" => format!("{form}{text}\r\n").into_bytes(),
        "=" => format!("={}\r\ntxt:{text}\r\n", text.len() + 4).into_bytes(),
        _ => format!("{form}{}\r\n{text}\r\n", text.len()).into_bytes(),
    })
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300)
        .prop_map(|bytes| [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat());
    let whole = prop_oneof![
        Just("$-1\r\n".to_owned()),
        Just("*-1\r\n".to_owned()),
        Just("_\r\n".to_owned()),
        Just("#t\r\n".to_owned()),
        Just("#f\r\n".to_owned()),
        Just("+OK\r\n".to_owned()),
        Just(",inf\r\n".to_owned()),
        Just("(3492890328409238509324850943850943825024385\r\n".to_owned()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n")),
        (-1e9..1e9f64).prop_map(|number| format!(",{number}\r\n")),
    ];
    let leaf = prop_oneof![
        bytes,
        whole.prop_map(String::into_bytes),
        texts("+"),
        texts("-"),
        texts("!"),
        texts("="),
        texts("$")
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let lists = (prop_oneof![Just('*'), Just('~'), Just('%')], proptest::collection::vec(inner, 0..6));
        lists.prop_map(|(form, mut items)| {
            if form == '%' && items.len() % 2 == 1 {
                items.pop();
            }
            let count = if form == '%' { items.len() / 2 } else { items.len() };
            [format!("{form}{count}\r\n").into_bytes(), items.concat()].concat()
        })
    })
}

proptest! {
    #[test]
    fn all_is_read_as_the_library_reads_it(
        answers in proptest::collection::vec(answers(), 1..4),
        piece in 1_usize..64,
    ) {
        let wanted: Vec<_> =
            answers.iter().map(|bytes| Read::Answer(redis::parse_redis_value(bytes).unwrap())).collect();
        let bytes = answers.concat();
        prop_assert_eq!(&read(&bytes, piece, &mut Space::default()).unwrap(), &wanted);
        prop_assert_eq!(&read(&bytes, bytes.len(), &mut Space::default()).unwrap(), &wanted);
    }

    #[test]
    fn however_little_space_there_is_the_next_answer_is_found(
        answer in answers(),
        piece in 1_usize..64,
        most in 0_usize..2000,
    ) {
        let bytes = [&answer, &b":7\r\n"[..]].concat();
        let all = read(&bytes, piece, &mut Space::of(most)).unwrap();
        prop_assert_eq!(all.len(), 2);
        let whole = Read::Answer(redis::parse_redis_value(&answer).unwrap());
        prop_assert!(all[0] == whole || is_too_large(&all[0]), "{:?}", all);
        prop_assert_eq!(&all[1], &Read::Answer(Value::Int(7)));
    }

    #[test]
    fn whatever_comes_nothing_breaks(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::default();
        let mut input = &bytes[..];
        while !input.is_empty() {
            if decoder.read(&mut input, Some(&mut Space::of(1000))).is_err() {
                break;
            }
        }
    }
}

#[test]
fn what_is_too_large_is_let_go_of_and_leaves_its_space() {
    let large = [b"$2000\r\n", &vec![b'x'; 2000][..], b"\r\n"].concat();
    let nested = [b"*3\r\n$5\r\nhello\r\n", &large[..], b"*1\r\n:1\r\n"].concat();
    let many = [b"*1000\r\n".to_vec(), b":1\r\n".repeat(1000)].concat();
    for bytes in [large, nested, many] {
        let mut space = Space::of(1000);
        for piece in [1, 7, 4096] {
            let all = read(&[&bytes, &b"$3\r\nfit\r\n"[..]].concat(), piece, &mut space).unwrap();
            assert!(is_too_large(&all[0]), "{all:?}");
            assert_eq!(all[1], Read::Answer(Value::BulkString(b"fit".to_vec())));
        }
        assert!(space.take(991) && !space.take(1), "only what was kept has taken space");
    }
}

#[test]
fn nothing_is_held_for_what_is_only_said() {
    let mut decoder = Decoder::default();
    decoder.read(&mut &b"$60000000\r\nx"[..], Some(&mut Space::default())).unwrap();
    assert!(decoder.text.as_ref().unwrap().bytes.capacity() <= AT_FIRST);
    let mut decoder = Decoder::default();
    decoder.read(&mut &b"*900000\r\n"[..], Some(&mut Space::default())).unwrap();
    assert!(decoder.lists[0].items.capacity() <= AT_FIRST / ITEM);
}

#[test]
fn what_nobody_wants_is_read_past() {
    let mut decoder = Decoder::default();
    let mut input = &b"*2\r\n$3\r\nabc\r\n$3\r\ndef\r\n:1\r\n"[..];
    assert!(matches!(decoder.read(&mut input, None), Ok(Some(Read::Answer(_)))));
    assert_eq!(input, b":1\r\n");
    assert_eq!(decoder.read(&mut input, Some(&mut Space::default())), Ok(Some(Read::Answer(Value::Int(1)))));
}

#[test]
fn what_a_server_says_by_itself_is_no_answer() {
    let bytes = b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n|1\r\n+ttl\r\n:3600\r\n*2\r\n|0\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n";
    let all = read(bytes, 5, &mut Space::default()).unwrap();
    let wanted = Value::Array(vec![Value::Int(1), Value::Int(2)]);
    assert_eq!(all, [Read::Push, Read::Answer(wanted)]);
}

#[test]
fn words_of_scripts_may_be_any_bytes() {
    let Value::ServerError(refusal) = one(b"-NOGROUP No such key '\xff\xfe'\r\n") else {
        panic!("a refusal")
    };
    assert_eq!(refusal.code(), "NOGROUP");
    assert_eq!(one(b"+\xff\r\n"), Value::BulkString(b"\xff".to_vec()));
}

#[test]
fn what_is_too_deep_or_too_long_in_a_line_is_too_large() {
    let deep = |lists: usize| [b"*1\r\n".repeat(lists), b":1\r\n".to_vec()].concat();
    let all = read(&deep(DEEP), 100, &mut Space::default()).unwrap();
    assert!(!is_too_large(&all[0]));
    for bytes in [deep(DEEP + 1), deep(5000), [b"-ERR ", &vec![b'x'; LINE + 1][..], b"\r\n"].concat()] {
        for piece in [1000, 100_000] {
            let all = read(&[&bytes, &b":7\r\n"[..]].concat(), piece, &mut Space::default()).unwrap();
            assert!(is_too_large(&all[0]) && all[1] == Read::Answer(Value::Int(7)), "in pieces of {piece}");
        }
    }
}

#[test]
fn nonsense_is_told_from_answers() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b":x\r\n",
        b"$-2\r\n",
        b"$99999999999999999999\r\n",
        b"$1\r\nxyz",
        b"#x\r\n",
        b":1\n",
        b"\r\n",
        b">0\r\n",
    ] {
        let mut decoder = Decoder::default();
        let mut input = bytes;
        let mut end = Ok(None);
        while !input.is_empty() && end.is_ok() {
            end = decoder.read(&mut input, Some(&mut Space::default()));
        }
        assert_eq!(end, Err(GARBLED), "{}", bytes.escape_ascii());
    }
}
