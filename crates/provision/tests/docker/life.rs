//! From the first start to the last trace: what a container is made of, what is kept and what goes.

use engines::Image;
use model::recipe::File;
use model::secret::Secret;
use throome_provision::{Data, Provisioner, State};

use crate::world::{World, get, quiet, try_get, until};

#[tokio::test]
async fn a_service_starts_is_reached_stops_starts_again_and_leaves_nothing() {
    let world = World::shared();
    let (docker, name) = (&world.docker, world.name("web"));
    assert_eq!(docker.word(), "docker");
    docker.ready().await.unwrap();
    assert_eq!(docker.find(&name).await.unwrap(), None);
    let work = world.site("web");
    docker.fetch(&work, &quiet).await.unwrap();
    let started = docker.start(&work, &quiet).await.unwrap();
    assert_eq!((started.host.as_str(), started.port), ("localhost", work.port));
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));

    let found = docker.find(&name).await.unwrap().unwrap();
    assert_eq!(found.state, State::Running);
    assert_eq!((found.gateway.as_str(), found.operation.as_str()), (crate::world::GATEWAY, "op-1"));
    assert_eq!((found.id.as_str(), found.port), (started.id.as_str(), Some(work.port)));
    assert_eq!(found.at, Some(("localhost".to_owned(), work.port)));
    assert!(found.has_data);
    assert!(docker.list().await.unwrap().contains(&found));

    assert_eq!(docker.start(&work, &quiet).await.unwrap(), started, "what runs just so is left alone");
    let since = world.engine.cli(&["inspect", "--format", "{{.State.StartedAt}}", &started.id]);

    docker.stop(&name).await.unwrap();
    docker.stop(&name).await.unwrap();
    assert_eq!(docker.find(&name).await.unwrap().unwrap().state, State::Stopped);
    assert_eq!(try_get("localhost", work.port, "/word"), None);
    assert_eq!(docker.start(&work, &quiet).await.unwrap(), started, "what is stopped is started");
    assert_ne!(world.engine.cli(&["inspect", "--format", "{{.State.StartedAt}}", &started.id]), since);
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));

    docker.remove(&name, Data::Keep).await.unwrap();
    let kept = docker.find(&name).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.has_data, kept.id.as_str()), (State::Absent, true, ""));
    assert_eq!(world.left(), [format!("volume {}", world.called("web"))]);
    docker.remove(&name, Data::Remove).await.unwrap();
    docker.remove(&name, Data::Remove).await.unwrap();
    assert_eq!(docker.find(&name).await.unwrap(), None);
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn another_recipe_is_put_in_its_place_on_the_same_data() {
    let world = World::shared();
    let docker = &world.docker;
    let mut work = world.script("web", "echo kept > /data/mark; exec httpd -f -p 7000 -h /data");
    let first = docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/mark").as_deref(), Some("kept\n"));
    work.recipe.run.args[1] = "exec httpd -f -p 7000 -h /data".to_owned();
    work.operation = "op-2".to_owned();
    let second = docker.start(&work, &quiet).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(get("localhost", work.port, "/mark").as_deref(), Some("kept\n"));
    assert_eq!(docker.find(&work.name).await.unwrap().unwrap().operation, "op-2");
    // A service that is removed with its data kept, and made again.
    docker.remove(&work.name, Data::Keep).await.unwrap();
    docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/mark").as_deref(), Some("kept\n"));
    // And without.
    docker.remove(&work.name, Data::Remove).await.unwrap();
    work.recipe.run.args[1] = "touch /data/empty; exec httpd -f -p 7000 -h /data".to_owned();
    docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/empty").as_deref(), Some(""));
    assert_eq!(try_get("localhost", work.port, "/mark"), None);
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_no_secret_is_shown() {
    let world = World::shared();
    let docker = &world.docker;
    let mut work = world.site("web");
    let first = docker.start(&work, &quiet).await.unwrap();
    let shown = world.engine.cli(&["inspect", &first.id]);
    assert!(!shown.contains("canary"), "{shown}");
    let modes = world.engine.cli(&["exec", &first.id, "stat", "-c", "%a %u", "/throome", "/throome/word"]);
    assert_eq!(modes, "755 0\n444 0");
    work.recipe.files[0].text = Secret::new("another");
    let second = docker.start(&work, &quiet).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("another"));
    // Files of one that does not run are written before it starts.
    docker.stop(&work.name).await.unwrap();
    work.recipe.files[0].text = Secret::new("third");
    assert_eq!(docker.start(&work, &quiet).await.unwrap().id, second.id);
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("third"));
}

#[tokio::test]
async fn limits_environment_and_end_are_as_is_said() {
    let world = World::shared();
    let mut work =
        world.script("job", "trap 'echo asked; exit 0' INT; echo $A $B $C; while :; do sleep 0.1; done");
    work.recipe.run.env = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
    work.env = vec![("B".to_owned(), "two".to_owned()), ("C".to_owned(), "3".to_owned())];
    work.memory = Some(64 << 20);
    work.cpus = Some(0.5);
    work.recipe.stop.signal = model::recipe::Signal::Int;
    work.recipe.stop.grace = std::time::Duration::from_secs(30);
    let started = world.docker.start(&work, &quiet).await.unwrap();
    let format = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.Config.StopSignal}} {{.Config.StopTimeout}} \
                  {{.HostConfig.RestartPolicy.Name}} {{json .HostConfig.PortBindings}}";
    let published = format!(r#"{{"7000/tcp":[{{"HostIp":"127.0.0.1","HostPort":"{}"}}]}}"#, work.port);
    assert_eq!(
        world.engine.cli(&["inspect", "--format", format, &started.id]),
        format!("67108864 500000000 SIGINT 30 unless-stopped {published}")
    );
    let begun = std::time::Instant::now();
    world.docker.stop(&work.name).await.unwrap();
    assert!(begun.elapsed().as_secs() < 10, "it was asked by its own signal, and not killed");
    assert_eq!(world.engine.cli(&["logs", &started.id]), "1 two 3\nasked");
}

#[tokio::test]
async fn one_that_hears_no_signal_is_killed_when_its_time_is_over() {
    let world = World::shared();
    let work = world.script("deaf", "trap '' TERM; while :; do sleep 0.1; done");
    world.docker.start(&work, &quiet).await.unwrap();
    let begun = std::time::Instant::now();
    world.docker.stop(&work.name).await.unwrap();
    assert!((2..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);
}

#[tokio::test]
async fn two_clusters_with_the_same_services_stand_side_by_side() {
    let (one, other) = (World::shared(), World::shared());
    let (first, second) = (one.site("web"), other.site("web"));
    let beside = one.site("beside");
    for (world, work) in [(&one, &first), (&other, &second), (&one, &beside)] {
        world.docker.start(work, &quiet).await.unwrap();
        assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    }
    // A network goes with the last of its cluster, and no sooner, and others stay.
    one.docker.remove(&first.name, Data::Remove).await.unwrap();
    assert!(one.left().contains(&format!("network throome-{}", one.cluster)), "{:?}", one.left());
    one.docker.remove(&beside.name, Data::Remove).await.unwrap();
    assert_eq!(one.left(), Vec::<String>::new());
    assert_eq!(get("localhost", second.port, "/word").as_deref(), Some("canary"));
    assert_eq!(other.left().len(), 3);
}

#[tokio::test]
async fn volumes_of_the_image_that_have_no_name_go_with_the_container() {
    let world = World::shared();
    // The image has a volume at `/data`; this one keeps its data elsewhere.
    let mut work = world.script("cache", "sleep 1000");
    work.image = Some(Image::Redis.name().to_owned());
    work.recipe.data = "/elsewhere".to_owned();
    let started = world.docker.start(&work, &quiet).await.unwrap();
    let format = "{{range .Mounts}}{{.Destination}} {{.Name}}\n{{end}}";
    let mounts = world.engine.cli(&["inspect", "--format", format, &started.id]);
    let nameless = mounts
        .lines()
        .find_map(|line| line.strip_prefix("/data "))
        .expect("the image has a volume")
        .to_owned();
    world.docker.remove(&work.name, Data::Keep).await.unwrap();
    assert!(world.engine.try_cli(&["volume", "inspect", &nameless]).is_err());
    assert_eq!(world.left(), [format!("volume {}", world.called("cache"))]);
}

#[tokio::test]
async fn a_start_that_is_dropped_anywhere_leaves_nothing_that_a_removal_does_not_find() {
    let world = World::shared();
    for delay in 0..25_u64 {
        let work = world.site("web");
        let start = world.docker.start(&work, &quiet);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(delay * 20), start).await;
        if delay % 2 == 0 {
            // What was begun is taken up as well as taken away.
            world.docker.start(&work, &quiet).await.unwrap();
            assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"), "after {delay}");
        }
        world.docker.remove(&work.name, Data::Remove).await.unwrap();
        assert_eq!(world.left(), Vec::<String>::new(), "after {delay}");
    }
}

#[tokio::test]
async fn services_that_start_at_once_share_one_network() {
    let world = World::shared();
    for round in 0..5 {
        let (one, two, three) = (world.site("one"), world.site("two"), world.site("three"));
        let (first, second, third) = tokio::join!(
            world.docker.start(&one, &quiet),
            world.docker.start(&two, &quiet),
            world.docker.start(&three, &quiet)
        );
        for (started, work) in [(first, &one), (second, &two), (third, &three)] {
            started.unwrap();
            assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
        }
        let left = world.left();
        assert_eq!(
            left.iter().filter(|line| line.starts_with("network ")).count(),
            1,
            "round {round}: {left:?}"
        );
        let (first, second, third) = tokio::join!(
            world.docker.remove(&one.name, Data::Remove),
            world.docker.remove(&two.name, Data::Remove),
            world.docker.remove(&three.name, Data::Remove)
        );
        first.and(second).and(third).unwrap();
        assert_eq!(world.left(), Vec::<String>::new(), "round {round}");
    }
}

#[tokio::test]
async fn what_is_asked_twice_at_once_is_done_once() {
    let world = World::shared();
    let work = world.site("web");
    let (one, other) = tokio::join!(world.docker.start(&work, &quiet), world.docker.start(&work, &quiet));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    let (one, other) =
        tokio::join!(world.docker.stop(&work.name), world.docker.remove(&work.name, Data::Keep));
    one.and(other).unwrap();
    let remove = || world.docker.remove(&work.name, Data::Remove);
    world.docker.start(&work, &quiet).await.unwrap();
    let (one, two, three) = tokio::join!(remove(), remove(), remove());
    one.and(two).and(three).unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_database_keeps_its_password_and_its_data() {
    let world = World::shared();
    let mut work = world.script("cache", "");
    work.image = Some(Image::Redis.name().to_owned());
    work.recipe.run.program = "redis-server".to_owned();
    work.recipe.run.args = vec!["/throome/redis.conf".to_owned()];
    let config = "port 7000\nbind *\ndir /data\nappendonly yes\nrequirepass canary\n";
    work.recipe.files = vec![File { name: "redis.conf".to_owned(), text: Secret::new(config) }];
    let cli = |id: &str, words: &[&str]| {
        let mut all = vec!["exec", id, "redis-cli", "-p", "7000", "--no-auth-warning"];
        all.extend(words);
        world.engine.try_cli(&all).unwrap_or_else(|said| said)
    };
    let first = world.docker.start(&work, &quiet).await.unwrap();
    until("it answers", async || Some(()).filter(|()| cli(&first.id, &["PING"]).contains("NOAUTH"))).await;
    assert_eq!(cli(&first.id, &["-a", "canary", "SET", "k", "v"]), "OK");
    // By its own signal it ends in good order, and in another container it has what it was told.
    work.memory = Some(64 << 20);
    let second = world.docker.start(&work, &quiet).await.unwrap();
    assert_ne!(first.id, second.id);
    let get = || cli(&second.id, &["-a", "canary", "GET", "k"]);
    until("it has its data", async || Some(()).filter(|()| get() == "v")).await;
    assert!(std::net::TcpStream::connect(("127.0.0.1", work.port)).is_ok());
}
