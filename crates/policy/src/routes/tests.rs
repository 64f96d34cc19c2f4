//! The table by examples, and against a model that looks at every route every time.

use std::sync::Arc;

use proptest::prelude::*;

use model::RouteSpec;

use super::{Request, Table, rewrite};

mod naive;

pub(super) fn route(id: &str, path: &str) -> RouteSpec {
    RouteSpec { id: id.to_owned(), service: "s".to_owned(), ..RouteSpec::of_path(path) }
}

pub(super) fn on(host: &str, spec: RouteSpec) -> RouteSpec {
    RouteSpec { host: Some(host.to_owned()), ..spec }
}

pub(super) fn at(listener: &str, spec: RouteSpec) -> RouteSpec {
    RouteSpec { listener: Some(listener.into()), ..spec }
}

fn by(methods: &[&str], spec: RouteSpec) -> RouteSpec {
    RouteSpec { methods: methods.iter().map(|m| (*m).to_owned()).collect(), ..spec }
}

fn if_header(name: &str, value: &str, spec: RouteSpec) -> RouteSpec {
    RouteSpec { headers: [(name.to_owned(), value.to_owned())].into(), ..spec }
}

fn if_query(name: &str, value: &str, spec: RouteSpec) -> RouteSpec {
    RouteSpec { query: [(name.to_owned(), value.to_owned())].into(), ..spec }
}

/// The routes under test. Each leads to its own id.
fn table() -> Table<String> {
    let routes = [
        route("root", "/"),
        route("users", "/users"),
        by(&["GET"], route("user", "/users/:id")),
        route("me", "/users/me"),
        route("posts", "/users/:user/posts"),
        route("post", "/users/:user/posts/:post"),
        route("named-first", "/:kind/me/posts"),
        route("api", "/api/*"),
        route("api-v2", "/api/v2/*"),
        route("deep", "/:any/v3/deep/*"),
        by(&["GET"], route("get", "/m")),
        by(&["POST"], route("post-m", "/m")),
        route("any-m", "/m"),
        by(&["GET"], route("head-get", "/h")),
        by(&["HEAD"], route("head-named", "/h")),
        if_header("X-Beta", "1", route("beta", "/api/x")),
        if_query("beta", "1", by(&["GET"], route("beta-query", "/q"))),
        route("plain-query", "/q"),
        on("Shop.example", route("shop", "/shop")),
        on("shop.example", route("shop-all", "/api/*")),
        by(&["GET"], on("shop.example", route("shop-get", "/only-get"))),
        route("only-get-any", "/only-get"),
        on("*.wild.example", route("wild", "/w")),
        on("*.deep.wild.example", route("deeper", "/w")),
        on("a.wild.example", route("just-a", "/w")),
        on("*.example", route("all-below", "/below/*")),
        if_header("x-any", "*", route("any-header", "/any")),
        if_header("x-any", "1", route("one-header", "/any")),
        if_query("any", "*", route("any-query", "/any-q")),
        on("::1", route("six", "/six")),
        RouteSpec { enabled: false, ..route("off", "/off/x") },
        at("clear", route("clear-all", "/*")),
        at("clear", on("shop.example", route("clear-shop", "/only-get"))),
        at("inner", by(&["POST"], route("inner-users", "/users"))),
    ];
    Table::build(routes.into_iter().map(|spec| (Arc::new(spec.clone()), spec.id))).unwrap()
}

fn build(routes: impl IntoIterator<Item = RouteSpec>) -> Result<Table<()>, Vec<super::Conflict>> {
    Table::build(routes.into_iter().map(|spec| (Arc::new(spec), ())))
}

fn check(table: &Table<String>, request: &str, expected: Option<&str>) {
    // `@listener ` in front is the listener; without it, another than any that a route names.
    let (listener, request) = match request.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((listener, rest)) => (listener, rest),
        None => ("main", request),
    };
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let headers: Vec<(&str, &str)> = words.filter_map(|header| header.split_once(':')).collect();
    let (host, target) = match target.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap()),
        None => ("other.example", target),
    };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_bytes());
    let found = table.find(&Request { listener, host, method, path, query, header: &header });
    assert_eq!(found.map(|found| found.payload.as_str()), expected, "{request}");
}

#[test]
fn the_most_specific_route_answers() {
    let table = table();
    for (request, expected) in [
        ("GET /", Some("root")),
        ("GET /users", Some("users")),
        ("GET /users/", None),
        ("GET /users/7", Some("user")),
        ("POST /users/7", None),
        ("GET /users/me", Some("me")),
        ("GET /users/7/posts", Some("posts")),
        ("GET /users/me/posts", Some("posts")),
        ("GET /things/me/posts", Some("named-first")),
        ("GET /users/7/posts/9", Some("post")),
        ("GET /users/7/posts/", None),
        ("GET /api", Some("api")),
        ("GET /api/", Some("api")),
        ("GET /apis", None),
        ("GET /api/y", Some("api")),
        ("GET /api/v2", Some("api-v2")),
        ("GET /api/v2/x/y", Some("api-v2")),
        ("GET /api/v3/deep/y", Some("deep")),
        ("GET /api/v3/other", Some("api")),
        ("GET /Users", None),
        ("OPTIONS *", None),
    ] {
        check(&table, request, expected);
    }
}

#[test]
fn methods_headers_query_and_host_decide_between_equal_paths() {
    let table = table();
    for (request, expected) in [
        ("GET /m", Some("get")),
        ("HEAD /m", Some("get")),
        ("POST /m", Some("post-m")),
        ("PUT /m", Some("any-m")),
        ("get /m", Some("any-m")),
        ("HEAD /h", Some("head-named")),
        ("GET /h", Some("head-get")),
        ("PUT /h", None),
        ("GET /api/x x-beta:1", Some("beta")),
        ("GET /api/x x-beta:2", Some("api")),
        ("GET /api/x", Some("api")),
        ("GET /q?a=b&beta=1", Some("beta-query")),
        ("GET /q?beta=2", Some("plain-query")),
        ("POST /q?beta=1", Some("plain-query")),
        ("GET //shop.example/shop", Some("shop")),
        ("GET /shop", None),
        ("GET //shop.example/api/x x-beta:1", Some("shop-all")),
        ("GET //shop.example/users", Some("users")),
        ("PUT //shop.example/only-get", Some("only-get-any")),
        ("GET //shop.example/only-get", Some("shop-get")),
        ("GET /off/x", None),
    ] {
        check(&table, request, expected);
    }
}

#[test]
fn routes_of_a_listener_are_asked_before_those_of_all() {
    let table = table();
    for (request, expected) in [
        ("@clear GET /users", Some("clear-all")),
        ("@clear GET //shop.example/shop", Some("clear-all")),
        ("@clear GET //shop.example/only-get", Some("clear-shop")),
        ("@clear GET /nowhere", Some("clear-all")),
        ("@inner POST /users", Some("inner-users")),
        // What a listener has no route for is asked of all.
        ("@inner GET /users", Some("users")),
        ("@other POST /users", Some("users")),
        ("GET /nowhere", None),
    ] {
        check(&table, request, expected);
    }
    let refused = |spec: RouteSpec| table.with(&Arc::new(spec), String::new()).err().map(|found| found.other);
    assert_eq!(refused(at("clear", route("x", "/*"))).as_deref(), Some("clear-all"));
    assert_eq!(refused(at("inner", route("x", "/*"))), None);
    assert_eq!(refused(route("x", "/*")), None);
    let none = table.without("clear-all").without("clear-shop");
    check(&none, "@clear GET /users", Some("users"));
    check(&table.without("clear-all"), "@clear GET //shop.example/only-get", Some("clear-shop"));
}

#[test]
fn the_longest_name_that_a_host_is_below_decides() {
    let table = table();
    for (request, expected) in [
        ("GET //a.wild.example/w", Some("just-a")),
        ("GET //b.wild.example/w", Some("wild")),
        ("GET //c.b.wild.example/w", Some("wild")),
        ("GET //x.deep.wild.example/w", Some("deeper")),
        ("GET //deep.wild.example/w", Some("wild")),
        ("GET //wild.example/w", None),
        ("GET //nowild.example/w", None),
        // What a more exact host has no route for is asked of the next.
        ("GET //a.wild.example/below/x", Some("all-below")),
        ("GET //x.y.z.wild.example/below/x", Some("all-below")),
        ("GET //a.wild.example/users", Some("users")),
        ("GET //example/below/x", None),
        ("GET //.example/below/x", Some("all-below")),
        ("GET //[::1]/six", Some("six")),
        ("GET /any x-any:2", Some("any-header")),
        ("GET /any x-any:1", Some("one-header")),
        ("GET /any x-other:1", None),
        ("GET /any-q?b&any", Some("any-query")),
        ("GET /any-q?b", None),
    ] {
        check(&table, request, expected);
    }
    let many = format!("GET //{}wild.example/w", "a.".repeat(100));
    check(&table, &many, Some("wild"));
    let none = ["wild", "deeper", "all-below"].into_iter().fold(table, |table, id| table.without(id));
    check(&none, "GET //b.wild.example/w", None);
}

#[test]
fn names_and_tail_stand_for_what_they_matched() {
    let many = "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/*";
    let table = build([route("many", many), route("p", "/users/{id}/x")]).unwrap();
    let find = |path| {
        table
            .find(&Request {
                listener: "main",
                host: "",
                method: "GET",
                path,
                query: None,
                header: &|_| None,
            })
            .unwrap()
    };
    let found = find("/users/%20/x");
    assert_eq!(found.params.iter().collect::<Vec<_>>(), [("id", "%20")]);
    assert_eq!((found.params.get("id"), found.params.get("no"), found.tail), (Some("%20"), None, None));
    let found = find("/0/1/2/3/4/5/6/7/8/9/the/rest/");
    assert_eq!((found.params.len(), found.params.get("j"), found.tail), (10, Some("9"), Some("the/rest/")));
}

#[test]
fn a_route_that_matches_the_same_is_refused() {
    let table = table();
    for (spec, other) in [
        (route("users", "/new"), Some("users")),
        (route("x", "/users"), Some("users")),
        (by(&["PUT", "GET"], route("x", "/users/:other")), Some("user")),
        (by(&["DELETE"], route("x", "/users/:other")), None),
        (route("x", "/users/:other"), None),
        (route("x", "/api/*"), Some("api")),
        (if_header("x-beta", "1", route("x", "/api/x")), Some("beta")),
        (if_header("x-beta", "2", route("x", "/api/x")), None),
        (on("SHOP.example", route("x", "/shop")), Some("shop")),
        (on("other.example", route("x", "/shop")), None),
        (on("*.shop.example", route("x", "/shop")), None),
        (on("*.WILD.example", route("x", "/w")), Some("wild")),
        (route("x", "/users/{other}/posts"), Some("posts")),
        (if_header("x-beta", "*", route("x", "/api/x")), None),
        (if_header("X-Any", "*", route("x", "/any")), Some("any-header")),
        (route("x", "/off/x"), None),
        (RouteSpec { enabled: false, ..route("x", "/users") }, None),
        (route("x", "/us%65rs"), Some("users")),
        (route("x", "/us%45rs"), None),
        (route("x", "no-slash"), Some("")),
        (route("x", "/a/*/b"), Some("")),
    ] {
        let refused = table.with(&Arc::new(spec.clone()), String::new()).err();
        assert_eq!(refused.as_ref().map(|conflict| conflict.other.as_str()), other, "{spec:?}");
    }
    let twice = [route("a", "/a"), route("b", "/a"), route("c", "/c"), route("c", "/d")];
    let conflicts = build(twice).unwrap_err();
    assert_eq!(
        conflicts.iter().map(|c| (c.id.as_str(), c.other.as_str())).collect::<Vec<_>>(),
        [("b", "a"), ("c", "c")]
    );
    assert_eq!(conflicts[0].to_string(), "Route `b` matches the same requests as route `a`.");
}

#[test]
fn a_change_leaves_the_older_table_as_it_was() {
    let old = table();
    let new =
        old.without("api-v2").with(&Arc::new(route("new", "/api/v2/new/:x")), "new".to_owned()).unwrap();
    check(&old, "GET /api/v2/new/1", Some("api-v2"));
    check(&new, "GET /api/v2/new/1", Some("new"));
    check(&new, "GET /api/v2/x", Some("api"));
    assert_eq!(
        (new.len(), new.get("new").map(String::as_str), new.get("api-v2")),
        (old.len(), Some("new"), None)
    );
    let ids = ["root", "users", "user", "me", "shop", "shop-all", "shop-get", "new", "none"];
    let fewer = ids.into_iter().fold(new.clone(), |table, id| table.without(id));
    assert_eq!(fewer.len(), new.len() - 8);
    check(&fewer, "GET //shop.example/api/x", Some("api"));
    check(&fewer, "GET /users/7", None);
}

#[test]
fn what_lost_is_explained() {
    let table = table();
    let explain = |method, host, path| {
        table.explain(&Request { listener: "main", host, method, path, query: None, header: &|_| None })
    };
    let pair = |id: &str, reason: &str| (id.to_owned(), reason.to_owned());
    assert_eq!(
        explain("PUT", "other.example", "/m"),
        [
            pair("get", "takes GET only"),
            pair("post-m", "takes POST only"),
            pair("clear-all", "answers on the listener `clear` only")
        ]
    );
    assert_eq!(
        explain("GET", "shop.example", "/api/x"),
        [
            pair("beta", "asks for the header `x-beta: 1`"),
            pair("api", "would match; `shop-all` is more specific"),
            pair("clear-all", "answers on the listener `clear` only")
        ]
    );
    let elsewhere = pair("clear-all", "answers on the listener `clear` only");
    assert_eq!(explain("GET", "", "/off/x"), [pair("off", "is not enabled"), elsewhere]);
    let many = build((0..30).map(|n| by(&[&format!("M{n}")], route(&n.to_string(), "/x/*")))).unwrap();
    let request =
        Request { listener: "main", host: "", method: "GET", path: "/x/y", query: None, header: &|_| None };
    assert_eq!(many.explain(&request).len(), 20);
}

#[test]
fn the_service_may_see_another_path() {
    let strip = |spec| RouteSpec { strip_prefix: true, ..spec };
    let to = |template: &str, spec| RouteSpec { rewrite: Some(template.to_owned()), ..spec };
    for (spec, path, expected) in [
        (route("r", "/api/*"), "/api/x", None),
        (strip(route("r", "/api/*")), "/api/x/y", Some("/x/y")),
        (strip(route("r", "/api/*")), "/api", Some("/")),
        (strip(route("r", "/*")), "/x", None),
        (strip(route("r", "/exact")), "/exact", None),
        (to("/v2/*", route("r", "/api/*")), "/api/x/y", Some("/v2/x/y")),
        (to("/v2/*", route("r", "/api/*")), "/api", Some("/v2")),
        (to("/v2/*", route("r", "/api/*")), "/api/", Some("/v2/")),
        (to("/*", route("r", "/api/*")), "/api", Some("/")),
        (to("/p/:id/u/{user}/:none", route("r", "/{user}/:id")), "/ann/7", Some("/p/7/u/ann/:none")),
        (to("/same", route("r", "/same")), "/same", None),
        (strip(to("/v2/*", route("r", "/api/*"))), "/api/x", Some("/v2/x")),
        (to("/café/*", route("r", "/ap%69/*")), "/api/x", Some("/caf%C3%A9/x")),
    ] {
        let table = build([spec.clone()]).unwrap();
        let request =
            Request { listener: "main", host: "", method: "GET", path, query: None, header: &|_| None };
        let rewritten = rewrite(&spec, path, &table.find(&request).unwrap());
        assert_eq!(rewritten.as_deref(), expected, "{:?} {path}", spec.rewrite);
    }
}

#[test]
fn many_routes_stay_findable_through_changes() {
    let hosts = (0..3_000).map(|n| on(&format!("h{n}.example"), route(&format!("h{n}"), "/:x/*")));
    let paths = (0..3_000).map(|n| route(&format!("p{n}"), &format!("/p{n}/:x")));
    let whole = (0..3_000).map(|n| route(&format!("w{n}"), &format!("/w{n}")));
    let all = hosts.chain(paths).chain(whole).map(|spec| (Arc::new(spec.clone()), spec.id));
    let mut table = Table::build(all).unwrap();
    for n in (0..3_000).step_by(7) {
        for kind in ["h", "p", "w"] {
            table = table.without(&format!("{kind}{n}"));
        }
    }
    for n in 0..3_000 {
        for (kind, request) in [
            ("h", format!("GET //h{n}.example/a/b")),
            ("p", format!("GET /p{n}/1")),
            ("w", format!("GET /w{n}")),
        ] {
            let id = format!("{kind}{n}");
            check(&table, &request, (n % 7 != 0).then_some(id.as_str()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_the_naive_table_does(
        changes in prop::collection::vec(naive::change(), 1..40),
        requests in prop::collection::vec(naive::request(), 20),
    ) {
        let mut table = Table::new();
        let mut naive = naive::Naive::default();
        for change in &changes {
            match change {
                naive::Change::With(spec) => {
                    let answer = table.with(&Arc::new((**spec).clone()), spec.id.clone());
                    prop_assert_eq!(answer.is_ok(), naive.with(spec), "{:?}", spec);
                    table = answer.unwrap_or(table);
                }
                naive::Change::Without(id) => {
                    table = table.without(id);
                    naive.without(id);
                }
            }
        }
        prop_assert_eq!(table.len(), naive.len());
        for request in &requests {
            let header = |name: &str| request.header.as_ref().filter(|_| name == "h").map(|value| value.as_bytes());
            let asked = Request {
                listener: &request.listener,
                host: &request.host,
                method: &request.method,
                path: &request.path,
                query: request.query.as_deref(),
                header: &header,
            };
            let found = table.find(&asked).map(|found| found.payload.clone());
            prop_assert_eq!(found, naive.find(request), "{:?}", request);
        }
    }
}
