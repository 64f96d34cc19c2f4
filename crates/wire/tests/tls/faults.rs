//! Files that cannot be used: which, why, and what to do. And what is only worth a word.

use rcgen::{DnType, KeyPair, date_time_ymd};
use throome_wire::tls::{Clients, Options, Pair, Server};

use super::{Authority, options};

fn faults(options: Options) -> Vec<String> {
    Server::load(options).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn each_fault_names_its_file_and_what_to_do() {
    let authority = Authority::new();
    let dir = authority.dir.path();
    let good = authority.issue("good", &["shop.example"]);
    let other = authority.issue("other", &["shop.example"]);
    let write = |name: &str, text: &str| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    let cases = [
        (dir.join("nowhere.pem"), good.key.clone(), "certificates[0].cert: ", "is not there"),
        (good.cert.clone(), dir.join("nowhere.key"), "certificates[0].key: ", "is not there"),
        (dir.to_owned(), good.key.clone(), "certificates[0].cert: ", "cannot be read"),
        (write("empty", ""), good.key.clone(), "certificates[0].cert: ", "holds no certificate"),
        (good.key.clone(), good.cert.clone(), "certificates[0].cert: ", "may be exchanged"),
        (good.cert.clone(), good.cert.clone(), "certificates[0].key: ", "may be exchanged"),
        (good.cert.clone(), write("none", "key"), "certificates[0].key: ", "holds no private key"),
        (
            good.cert.clone(),
            write("locked", &pem("ENCRYPTED PRIVATE KEY")),
            "certificates[0].key: ",
            "openssl pkey",
        ),
        (
            write("request", &pem("CERTIFICATE REQUEST")),
            good.key.clone(),
            "certificates[0].cert: ",
            "request",
        ),
        (write("junk", &pem("CERTIFICATE")), good.key.clone(), "certificates[0].cert: ", "cannot be used"),
        (good.cert.clone(), write("bad", &pem("PRIVATE KEY")), "certificates[0].key: ", "cannot be used"),
        (good.cert.clone(), other.key.clone(), "certificates[0].key: ", "is not the key of the certificate"),
    ];
    for (cert, key, place, part) in cases {
        let found = faults(options(vec![Pair { cert: cert.clone(), key: key.clone() }]));
        assert!(
            found.iter().any(|fault| fault.starts_with(place) && fault.contains(part)),
            "{cert:?} {key:?}: {found:#?}"
        );
        assert!(found.iter().all(|fault| !fault.contains("AAAA")), "{found:?}");
    }
    // All at once, of every pair and of the authority.
    let nowhere = Pair { cert: dir.join("a"), key: dir.join("b") };
    let clients = Clients::Required(good.key.clone());
    let found = faults(Options { clients, ..options(vec![good, nowhere]) });
    let places: Vec<&str> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["certificates[1].cert", "certificates[1].key", "client_auth.ca"]);
}

#[test]
fn what_is_only_worth_a_word_is_said() {
    let authority = Authority::new();
    let note = |file: &str, change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = Authority::params(&["shop.example"]);
        params.distinguished_name.push(DnType::CommonName, file);
        change(&mut params);
        let pair = authority.issue_as(file, &params);
        Server::load(options(vec![pair])).unwrap().1.notes.join("\n")
    };
    let usual = note("usual", &|_| {});
    assert!(usual.contains("has no chain") && usual.contains("CN=Authority of the tests"), "{usual}");
    assert_eq!(usual.lines().count(), 1, "{usual}");
    let expired = note("expired", &|params| params.not_after = date_time_ymd(2020, 1, 1));
    assert!(expired.contains("expired.pem has expired"), "{expired}");
    let early = note("early", &|params| params.not_before = date_time_ymd(2999, 1, 1));
    assert!(early.contains("is not valid yet"), "{early}");
    let nameless = note("nameless", &|params| params.subject_alt_names.clear());
    assert!(nameless.contains("names no host"), "{nameless}");

    // Its own authority needs no chain; one that did not issue it is no chain.
    let key = KeyPair::generate().unwrap();
    let own = Authority::params(&["shop.example"]).self_signed(&key).unwrap();
    let pair = Pair { cert: authority.dir.path().join("own.pem"), key: authority.dir.path().join("own.key") };
    std::fs::write(&pair.cert, own.pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    assert_eq!(Server::load(options(vec![pair.clone()])).unwrap().1.notes, Vec::<String>::new());
    let issued = authority.issue("issued", &["shop.example"]);
    let leaf = std::fs::read_to_string(&issued.cert).unwrap();
    std::fs::write(&issued.cert, leaf.clone() + &own.pem()).unwrap();
    let notes = Server::load(options(vec![issued.clone()])).unwrap().1.notes;
    assert!(notes.len() == 1 && notes[0].contains("did not issue"), "{notes:?}");
    std::fs::write(&issued.cert, leaf + &std::fs::read_to_string(authority.ca()).unwrap()).unwrap();
    assert_eq!(Server::load(options(vec![issued])).unwrap().1.notes, Vec::<String>::new());
}
