//! How much each client may ask of a route, as it runs: who the client is, and whether it may ask now.

use std::net::IpAddr;
use std::sync::Arc;

use model::route::{LimitKey, RateLimitSpec};
use policy::{Clients, Rate, Refused, Remaining, Time};

/// The limit of one route. What its clients have used stays when the route is changed.
pub struct Limit {
    rate: Rate,
    key: LimitKey,
    route: Arc<str>,
    clients: Arc<Clients>,
}

impl Limit {
    pub(crate) fn new(spec: &RateLimitSpec, route: &str, clients: &Arc<Clients>) -> Limit {
        Limit {
            rate: Rate::new(spec.requests, spec.per.0, spec.burst.unwrap_or(spec.requests)),
            key: spec.key.clone(),
            route: route.into(),
            clients: Arc::clone(clients),
        }
    }

    /// Asks for one request: of this client, whose address is what [`policy::client_address`] says, and whose header
    /// of a name in lower case `header` finds.
    ///
    /// # Errors
    /// It is one too many now; nothing was counted.
    pub fn ask<'h>(
        &self,
        address: IpAddr,
        header: impl FnOnce(&str) -> Option<&'h [u8]>,
        now: Time,
    ) -> Result<Remaining, Refused> {
        let said = match &self.key {
            LimitKey::Client => None,
            LimitKey::Header(name) => header(name).filter(|said| !said.is_empty()),
        };
        let key = match said {
            Some(said) => self.clients.key(&self.route, said),
            None => self.clients.key(&self.route, address),
        };
        self.clients.ask(self.rate, key, now)
    }
}

#[cfg(test)]
mod tests {
    use policy::Clients;

    use super::*;

    #[test]
    fn clients_are_told_apart_by_address_or_by_header() {
        let clients = Arc::new(Clients::new(1));
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let limit = |spec: &str| Limit::new(&serde_json::from_str(spec).unwrap(), spec, &clients);
        let by_address = limit(r#"{"requests": 1}"#);
        let nothing = |_: &str| None::<&[u8]>;
        assert!(
            by_address.ask(one, nothing, Time(0)).is_ok() && by_address.ask(two, nothing, Time(0)).is_ok()
        );
        assert!(by_address.ask(one, nothing, Time(0)).is_err());
        let by_header = limit(r#"{"requests": 2, "key": "header:X-Api-Key"}"#);
        let said = |value: &'static [u8]| move |name: &str| (name == "x-api-key").then_some(value);
        let ask = |address, value| by_header.ask(address, said(value), Time(0)).is_ok();
        let answers = [ask(one, b"a"), ask(two, b"a"), ask(one, b"a"), ask(one, b"b")];
        assert_eq!(answers, [true, true, false, true]);
        // Without the header a client has its address.
        let answers: Vec<bool> = (0..3).map(|_| by_header.ask(one, nothing, Time(0)).is_ok()).collect();
        assert_eq!(answers, [true, true, false]);
    }
}
