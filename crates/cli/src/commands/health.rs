//! `health`: whether the gateway answers, without a token: for the health checks of containers and of whoever watches.

use std::net::IpAddr;

use serde_json::Value;

use crate::args::ServeArgs;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::Session;
use crate::{Host, Setting};

/// Without a URL it asks the gateway whose settings are those of this place: environment and `throome.yaml`.
#[derive(clap::Args, Debug)]
pub(crate) struct Health {}

pub(crate) async fn run(_: Health, host: &Host, session: &mut Session<'_>) -> Result<Exit, Fault> {
    if session.global.url.as_deref().is_none_or(str::is_empty) {
        // Settings that cannot be read have started no gateway: what answers at the usual place is another one.
        session.global.url = (host.config)(&ServeArgs::default()).ok().and_then(|settings| place(&settings));
    }
    let health = session.client()?.health().reply().await;
    session.tell_trace();
    let health = health?;
    let body: Value = health.json()?;
    let status = text(&body, "/status");
    session.show(&body, &status, |_| format!("{status}\n"))?;
    Ok(if health.status() == 200 { Exit::Done } else { Exit::NotServing })
}

/// Where the control door of a gateway with these settings is reached on this machine.
fn place(settings: &[Setting]) -> Option<String> {
    let said = |path: &str| {
        settings.iter().find(|setting| setting.path == path).map(|setting| setting.value.as_str())
    };
    let port = said("server.port")?;
    let host = said("server.host")?;
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => "[::1]".to_owned(),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    };
    let secured =
        settings.iter().any(|setting| setting.path.starts_with("server.tls.") && setting.source != "default");
    Some(format!("http{}://{host}:{port}", if secured { "s" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_settings() {
        for (host, source, expected) in [
            ("127.0.0.1", "default", "http://127.0.0.1:9001"),
            ("0.0.0.0", "default", "http://127.0.0.1:9001"),
            ("::", "default", "http://[::1]:9001"),
            ("fd00::1", "default", "http://[fd00::1]:9001"),
            ("gateway.local", "file throome.yaml", "https://gateway.local:9001"),
        ] {
            let settings =
                [("server.host", host), ("server.port", "9001"), ("server.tls.certificates", "[{…}]")];
            let settings = settings.map(|(path, value)| Setting {
                path: path.to_owned(),
                value: value.to_owned(),
                source: if path.contains("tls") { source } else { "default" }.to_owned(),
            });
            assert_eq!(place(&settings).as_deref(), Some(expected), "{host}");
        }
    }
}
