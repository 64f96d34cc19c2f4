//! What many tests begin with.

use crate::{Gateway, Layout, Service};

/// A gateway with this gateway file, that leads every request to one service, and waits for it long.
#[must_use]
pub fn one_service(gateway_file: &str) -> (Gateway, Service) {
    let service = Service::start("one");
    let layout = Layout::default().with_file(gateway_file);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web:\n    type: http\n    endpoints: [ {} ]\n    health: {{ path: /healthz }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 60s }}\n",
            service.endpoint()
        ),
    );
    (layout.start(), service)
}
