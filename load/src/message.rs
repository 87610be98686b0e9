//! A request as it is sent: bytes for HTTP/1.1, a head for HTTP/2.
//!
//! What does not change from one request to the next is made once; `{n}` is filled in when sent.

use crate::plan::{LoadError, Plan};
use crate::schedule::Pick;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

/// What a request's number stands for in a text.
const NUMBER: &[u8] = b"{n}";

/// A text with places for the number.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Bytes>);

impl Template {
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.windows(NUMBER.len()).position(|window| window == NUMBER) {
            parts.push(Bytes::copy_from_slice(&rest[..at]));
            rest = &rest[at + NUMBER.len()..];
        }
        parts.push(Bytes::copy_from_slice(rest));
        Self(parts)
    }

    fn has_number(&self) -> bool {
        self.0.len() > 1
    }

    fn fill(&self, number: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.0[0]);
        for part in &self.0[1..] {
            into.extend_from_slice(number.to_string().as_bytes());
            into.extend_from_slice(part);
        }
    }

    /// Filled in, as text; a template is made of text or is a body.
    pub(crate) fn text(&self, number: u64) -> String {
        let mut bytes = Vec::new();
        self.fill(number, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn bytes(&self, number: u64) -> Bytes {
        if self.has_number() {
            let mut bytes = Vec::new();
            self.fill(number, &mut bytes);
            return bytes.into();
        }
        self.0[0].clone()
    }
}

/// All requests of a plan, ready to be sent.
pub(crate) struct Messages {
    requests: Vec<Message>,
    /// Scheme and authority of each target, for HTTP/2.
    targets: Vec<(&'static str, String)>,
}

struct Message {
    method: Method,
    paths: Vec<Template>,
    /// From the space behind the path up to the last field, for each target.
    tails: Vec<Template>,
    body: Template,
    /// Whether the length is said: with a body, or where one is expected.
    says_length: bool,
    /// For HTTP/2: the fields, and whether a number is to be filled in.
    fields: Vec<(HeaderName, Template)>,
}

impl Messages {
    /// # Errors
    /// A field that HTTP does not allow; a checked plan has none.
    pub(crate) fn new(plan: &Plan) -> Result<Self, LoadError> {
        let requests = plan.requests.iter().map(|request| {
            Message::new(request, plan)
                .map_err(|source| LoadError::Request { name: request.name.clone(), source })
        });
        let scheme = |tls: bool| if tls { "https" } else { "http" };
        let targets = plan.targets.iter();
        Ok(Self {
            requests: requests.collect::<Result<_, _>>()?,
            targets: targets.map(|t| (scheme(t.tls.is_some()), t.authority.clone())).collect(),
        })
    }

    pub(crate) fn method(&self, pick: Pick) -> &Method {
        &self.requests[pick.request].method
    }

    /// Puts the request at the end of `out`, for HTTP/1.1.
    pub(crate) fn write(&self, pick: Pick, number: u64, out: &mut Vec<u8>) {
        let message = &self.requests[pick.request];
        out.extend_from_slice(message.method.as_str().as_bytes());
        out.push(b' ');
        message.paths[pick.path].fill(number, out);
        message.tails[pick.target].fill(number, out);
        let body = message.body.bytes(number);
        if message.says_length {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(body.len().to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&body);
    }

    /// Head and body, for HTTP/2.
    pub(crate) fn head(
        &self,
        pick: Pick,
        number: u64,
    ) -> Result<(http::Request<()>, Bytes), http::Error> {
        let message = &self.requests[pick.request];
        let (scheme, authority) = &self.targets[pick.target];
        let mut fields = HeaderMap::with_capacity(message.fields.len());
        let mut host = None;
        for (name, value) in &message.fields {
            let value = HeaderValue::try_from(value.text(number))?;
            if name == header::HOST {
                host = Some(value);
            } else {
                fields.append(name, value);
            }
        }
        let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(authority);
        let path = message.paths[pick.path].text(number);
        let uri = Uri::builder().scheme(*scheme).authority(host).path_and_query(path).build()?;
        let mut request = http::Request::new(());
        *request.method_mut() = message.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = fields;
        Ok((request, message.body.bytes(number)))
    }
}

impl Message {
    fn new(request: &crate::plan::Request, plan: &Plan) -> Result<Self, http::Error> {
        let parse = |(name, value): &(String, String)| {
            HeaderName::try_from(name).map(|name| (name, Template::of(value.as_bytes())))
        };
        let expects_length = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
        let tails = plan.targets.iter().map(|target| {
            let mut tail = String::from(" HTTP/1.1\r\n");
            if !request.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
                tail += "Host: ";
                tail += &target.authority;
                tail += "\r\n";
            }
            for (name, value) in &request.fields {
                tail.extend([name, ": ", value, "\r\n"]);
            }
            if !plan.reuse {
                tail += "Connection: close\r\n";
            }
            Template::of(tail.as_bytes())
        });
        Ok(Self {
            method: request.method.clone(),
            paths: request.paths.iter().map(|path| Template::of(path.as_bytes())).collect(),
            tails: tails.collect(),
            body: Template::of(&request.body),
            says_length: expects_length || !request.body.is_empty(),
            fields: request.fields.iter().map(parse).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Pace, example};

    fn plan() -> Plan {
        let mut plan = example(Pace::Closed { clients: 1 }, 1);
        plan.requests[0].method = Method::POST;
        plan.requests[0].fields.push(("X-Key".to_owned(), "k-{n}".to_owned()));
        plan.requests[0].body = Bytes::from_static(b"{n} and {n}");
        plan
    }

    const FIRST: Pick = Pick { request: 0, path: 0, target: 1 };

    #[test]
    fn a_request_is_written_with_its_number_and_its_length() {
        let mut out = Vec::new();
        Messages::new(&plan()).unwrap().write(FIRST, 42, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /42 HTTP/1.1\r\nHost: 127.0.0.1:2\r\nX-Key: k-42\r\nContent-Length: 9\r\n\r\n42 and 42"
        );
    }

    #[test]
    fn a_get_without_a_body_says_no_length_and_may_end_its_connection() {
        let mut plan = plan();
        plan.reuse = false;
        plan.requests[1].fields.push(("host".to_owned(), "shop.test".to_owned()));
        let mut out = Vec::new();
        let pick = Pick { request: 1, path: 0, target: 0 };
        Messages::new(&plan).unwrap().write(pick, 1, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /c HTTP/1.1\r\nhost: shop.test\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn the_same_as_a_head_for_http2() {
        let (head, body) = Messages::new(&plan()).unwrap().head(FIRST, 42).unwrap();
        assert_eq!(head.uri(), "http://127.0.0.1:2/42");
        assert_eq!(head.headers()["x-key"], "k-42");
        assert_eq!(body, "42 and 42");
    }
}
