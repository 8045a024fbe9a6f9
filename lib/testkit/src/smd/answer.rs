//! The shapes of SMD's answers: JSON with a final newline, problems, plain text.

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;

/// Go's HTTP server sends longer bodies in chunks, as nobody told it their length.
const CHUNKED_FROM: usize = 2048;

/// An answer before it is put on the wire, so that a failure can spoil it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) extra: Option<(header::HeaderName, String)>,
    pub(crate) body: Bytes,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    detail: &'a str,
    status: u16,
}

impl Answer {
    /// 200 with JSON.
    pub(crate) fn json(value: &impl Serialize) -> Answer {
        Answer::with(StatusCode::OK, "application/json", line(value))
    }

    /// `{"code":0,"message":...}`
    pub(crate) fn message(message: &str) -> Answer {
        #[derive(Serialize)]
        struct Message<'a> {
            code: u8,
            message: &'a str,
        }
        Answer::json(&Message { code: 0, message })
    }

    /// 201 with the new resource's address, once or in a list.
    pub(crate) fn created(path: &str, in_list: bool) -> Answer {
        let uri = serde_json::json!({ "URI": path });
        let body = if in_list { line(&[uri]) } else { line(&uri) };
        let mut answer = Answer::with(StatusCode::CREATED, "application/json", body);
        answer.extra = Some((header::LOCATION, path.to_owned()));
        answer
    }

    /// 204 with SMD's content type.
    pub(crate) fn done() -> Answer {
        Answer::with(StatusCode::NO_CONTENT, "application/json", Vec::new())
    }

    /// 204 and nothing else.
    pub(crate) fn nothing() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, content_type: None, extra: None, body: Bytes::new() }
    }

    /// RFC 7807.
    pub(crate) fn problem(status: StatusCode, detail: &str) -> Answer {
        Answer::with(status, "application/problem+json", problem_line(status, detail))
    }

    /// Several JSON documents in one body, under the status of the first complaint.
    pub(crate) fn documents(status: StatusCode, documents: Vec<u8>) -> Answer {
        let content_type = if status.is_success() { "application/json" } else { "application/problem+json" };
        Answer::with(status, content_type, documents)
    }

    pub(crate) fn bad(detail: &str) -> Answer {
        Answer::problem(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn missing(detail: &str) -> Answer {
        Answer::problem(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn conflict(detail: &str) -> Answer {
        Answer::problem(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn no_database() -> Answer {
        Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "failed to query DB.")
    }

    /// 405 with the methods that are.
    pub(crate) fn only(methods: &str) -> Answer {
        let mut answer = Answer::problem(StatusCode::METHOD_NOT_ALLOWED, &format!("allow {methods}"));
        answer.extra = Some((header::ALLOW, methods.to_owned()));
        answer
    }

    /// Go's own plain text answers.
    pub(crate) fn text(status: StatusCode, text: &str) -> Answer {
        let mut answer = Answer::with(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes());
        answer.extra = Some((header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()));
        answer
    }

    pub(crate) fn no_page() -> Answer {
        Answer::text(StatusCode::NOT_FOUND, "404 page not found")
    }

    pub(crate) fn with(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
        Answer { status, content_type: Some(content_type), extra: None, body: body.into() }
    }

    /// On the wire.
    pub(crate) fn respond(self) -> Response {
        let body = if self.body.len() > CHUNKED_FROM {
            Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(self.body)]))
        } else {
            Body::from(self.body)
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        if let Some(content_type) = self.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some((name, value)) = self.extra
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// One problem as one line.
pub(crate) fn problem_line(status: StatusCode, detail: &str) -> Vec<u8> {
    let title = status.canonical_reason().unwrap_or_default();
    line(&Problem { r#type: "about:blank", title, detail, status: status.as_u16() })
}

/// JSON and a newline, as Go's encoder writes it.
pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("records are plain data");
    bytes.push(b'\n');
    bytes
}
