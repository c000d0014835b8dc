//! What can be asked for at which door.

use std::rc::Rc;

use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};

use super::Proxy;
use super::http::{self, Request, Response};
use crate::serve::health::Check;

/// By which socket a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// The admin door, a unix socket: whoever may open it may do everything.
    Socket,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Livez,
    Readyz,
    Status,
}

impl Route {
    fn of(path: &str) -> Option<Route> {
        Some(match path {
            "/livez" => Route::Livez,
            "/readyz" => Route::Readyz,
            "/status" => Route::Status,
            _ => return None,
        })
    }

    fn method(self) -> Method {
        match self {
            Route::Livez | Route::Readyz | Route::Status => Method::GET,
        }
    }
}

/// Answers a request.
pub(super) async fn answer(door: Door, proxy: Rc<Proxy>, request: Request) -> Response {
    let Door::Socket = door;
    let Some(route) = Route::of(request.uri().path()) else {
        return http::text(StatusCode::NOT_FOUND, "no such path\n");
    };
    let method = route.method();
    if *request.method() != method {
        let mut response = http::text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} only\n"));
        if let Ok(method) = HeaderValue::from_str(method.as_str()) {
            response.headers_mut().insert(header::ALLOW, method);
        }
        return response;
    }
    let is_verbose = request.uri().query().is_some_and(|query| query.split('&').any(|word| word == "verbose"));
    match route {
        Route::Livez => checked("livez", &proxy.condition.live_checks(), is_verbose),
        Route::Readyz => checked("readyz", &proxy.condition.ready_checks(), is_verbose),
        Route::Status => http::json(StatusCode::OK, &proxy.status()),
    }
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
