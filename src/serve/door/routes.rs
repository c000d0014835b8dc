//! What can be asked for at which door.

use std::net::IpAddr;
use std::rc::Rc;

use hyper::header::{self, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode};

use super::Proxy;
use super::http::{self, Request, Response};
use crate::metrics;
use crate::serve::health::Check;
use crate::serve::page;
use crate::serve::sessions::{Chosen, Kicked};

/// By which socket a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// The admin door, a unix socket: whoever may open it may do everything.
    AdminSocket,
    /// The admin door, a loopback port: everybody on this machine may look.
    AdminPort,
    /// The metrics door.
    Metrics,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Page,
    Livez,
    Readyz,
    Status,
    Sessions,
    Kick,
    Reload,
    Metrics,
}

impl Route {
    fn of(path: &str) -> Option<Route> {
        Some(match path {
            "/" => Route::Page,
            "/livez" => Route::Livez,
            "/readyz" => Route::Readyz,
            "/status" => Route::Status,
            "/sessions" => Route::Sessions,
            "/kick" => Route::Kick,
            "/reload" => Route::Reload,
            "/metrics" => Route::Metrics,
            _ => return None,
        })
    }

    fn is_at(self, door: Door) -> bool {
        match self {
            Route::Livez | Route::Readyz | Route::Metrics => true,
            Route::Page | Route::Status | Route::Sessions | Route::Kick | Route::Reload => door != Door::Metrics,
        }
    }

    fn method(self) -> Method {
        match self {
            Route::Kick | Route::Reload => Method::POST,
            _ => Method::GET,
        }
    }
}

/// Answers a request.
pub(super) async fn answer(door: Door, proxy: Rc<Proxy>, request: Request) -> Response {
    let route = match permitted_route(door, &request) {
        Ok(route) => route,
        Err(refusal) => return *refusal,
    };
    let query = request.uri().query().unwrap_or_default();
    let is_verbose = query.split('&').any(|word| word == "verbose");
    match route {
        Route::Livez => checked("livez", &proxy.condition.live_checks(), is_verbose),
        Route::Readyz => checked("readyz", &proxy.condition.ready_checks(), is_verbose),
        Route::Page => http::html(page::render(&proxy.status().await), page::policy()),
        Route::Status => http::json(StatusCode::OK, &proxy.status().await),
        Route::Metrics => http::typed(metrics::CONTENT_TYPE, proxy.scraper.scrape().await),
        Route::Sessions => match Chosen::read(query) {
            Ok(chosen) => http::json(StatusCode::OK, &proxy.sessions(&chosen).await),
            Err(error) => http::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        Route::Kick => match Chosen::read(query) {
            Ok(Chosen::All) => http::text(StatusCode::BAD_REQUEST, "whom? id=, user= or serial=\n"),
            Ok(chosen) => http::json(StatusCode::OK, &Kicked { kicked: proxy.kick(&chosen).await }),
            Err(error) => http::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        Route::Reload => match proxy.reload().await {
            Some(report) => http::json(StatusCode::OK, &report),
            None => http::text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        },
    }
}

/// What is asked for, if that may be asked here.
fn permitted_route(door: Door, request: &Request) -> Result<Route, Box<Response>> {
    let refuse = |status, words: &'static str| Err(Box::new(http::text(status, words)));
    if door != Door::Metrics && !is_for_loopback(request) {
        return refuse(StatusCode::FORBIDDEN, "the Host of a request has to be localhost or a loopback address\n");
    }
    let Some(route) = Route::of(request.uri().path()).filter(|route| route.is_at(door)) else {
        return refuse(StatusCode::NOT_FOUND, "no such path\n");
    };
    let method = route.method();
    if *request.method() != method {
        let mut response = http::text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} only\n"));
        if let Ok(method) = HeaderValue::from_str(method.as_str()) {
            response.headers_mut().insert(header::ALLOW, method);
        }
        return Err(Box::new(response));
    }
    if method == Method::POST && door != Door::AdminSocket {
        return refuse(StatusCode::FORBIDDEN, "POST is for the unix socket alone\n");
    }
    if method == Method::POST && is_of_browser(request) {
        return refuse(StatusCode::FORBIDDEN, "POST is not for browsers\n");
    }
    Ok(route)
}

/// A page of elsewhere can have a browser ask here, also where ssh brings a browser's port to the socket. It need not see
/// the answer to have something done; what it cannot do is hide where it is from.
fn is_of_browser(request: &Request) -> bool {
    ["origin", "sec-fetch-site"].iter().any(|name| request.headers().contains_key(*name))
}

/// Such a page sees answers by a name of its own, which it lets mean a loopback address: what it cannot do is hide that name.
fn is_for_loopback(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let named = request.uri().authority().map(Authority::as_str);
    host.to_str().is_ok_and(is_loopback) && named.is_none_or(is_loopback)
}

fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// In the form of Kubernetes's own endpoints of these names.
fn checked(name: &str, checks: &[Check], is_verbose: bool) -> Response {
    let is_good = checks.iter().all(|(_, is_good)| *is_good);
    if is_good && !is_verbose {
        return http::text(StatusCode::OK, "ok\n");
    }
    let line =
        |(check, is_good): &Check| if *is_good { format!("[+]{check} ok\n") } else { format!("[-]{check} failed\n") };
    let lines: String = checks.iter().map(line).collect();
    let (status, outcome) =
        if is_good { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    http::text(status, format!("{lines}{name} check {outcome}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9121", "127.1.2.3", "[::1]:9121"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::]:1", "0.0.0.0"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
