//! The published client of Upstash, unchanged, against a cache of ours.

use std::path::Path;
use std::process::Command;

use throome_e2e::{Layout, turn};

#[test]
fn the_published_client_works_as_it_is() {
    let _turn = turn::together();
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/upstash");
    let _installed = crate::guides::libraries();
    let layout = Layout::default();
    layout.write_cluster("shop", "name: Shop\nservices:\n  cache: { type: memory }\n");
    let gateway = layout.start();
    let url = format!("http://{}/api/v1/clusters/shop/services/cache/upstash", gateway.control);
    let run = Command::new("npm")
        .args(["test", "--silent"])
        .current_dir(&client)
        .env("URL", url)
        .env("TOKEN", "any")
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    println!("{said}");
    assert!(run.status.success(), "{said}{told}");
    assert!(said.contains("# pass 20"), "the client's own tests did not run: {said}");
}
