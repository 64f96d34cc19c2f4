//! The control door: REST, data API, metrics, OpenAPI.
