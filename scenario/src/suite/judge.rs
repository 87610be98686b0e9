//! What a run of a case proves.

use super::case::{Case, Expected, Step, Type, Value};
use super::origin::Asked;
use super::{Seen, joined};
use std::collections::HashSet;

/// How a run ended, before what it depends on is looked at.
pub type Verdict = Result<(), Failure>;

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The case's own expectation was not met.
    Own(String),
    /// What the case needs beforehand was not so.
    Setup(String),
    /// The origin was asked twice for one request.
    Retry,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Own(why)
    }
}

/// Looks at a run step by step, then at what the origin saw of it.
pub struct Judge<'a> {
    case: &'a Case,
    token: &'a str,
    answers: Vec<Seen>,
}

/// Fails with a sentence unless `so`.
fn must(is_setup: bool, so: bool, why: impl FnOnce() -> String) -> Verdict {
    match (so, is_setup) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Setup(why())),
        (false, false) => Err(Failure::Own(why())),
    }
}

impl<'a> Judge<'a> {
    /// For a run under this token.
    pub fn new(case: &'a Case, token: &'a str) -> Self {
        Self { case, token, answers: Vec::new() }
    }

    /// The last answer.
    pub fn last(&self) -> Option<&Seen> {
        self.answers.last()
    }

    /// Takes the answer to the next step.
    pub fn answer(&mut self, seen: Seen) -> Verdict {
        let number = self.answers.len() + 1;
        let step = &self.case.steps[number - 1];
        self.answers.push(seen);
        let seen = &self.answers[number - 1];
        no_retry(seen)?;
        let answer = Answer { number, step, seen };
        answer.from()?;
        answer.status()?;
        answer.fields()?;
        answer.interim()?;
        answer.body(self.token)
    }

    /// Takes what the origin saw. Answers from the cache have no request there.
    pub fn requests(&self, asked: &[Asked]) -> Verdict {
        let mut asked = asked.iter();
        for (index, step) in self.case.steps.iter().enumerate() {
            if step.expected_type == Some(Type::Cached) {
                continue;
            }
            let (number, seen) = (index + 1, &self.answers[index]);
            Request { number, step, asked: asked.next(), seen }.check()?;
        }
        Ok(())
    }
}

fn no_retry(seen: &Seen) -> Verdict {
    let numbers = seen.get("Request-Numbers").unwrap_or_default();
    let numbers: Vec<_> = numbers.split(' ').collect();
    let distinct: HashSet<_> = numbers.iter().collect();
    if distinct.len() == numbers.len() { Ok(()) } else { Err(Failure::Retry) }
}

struct Answer<'a> {
    number: usize,
    step: &'a Step,
    seen: &'a Seen,
}

impl Answer<'_> {
    fn from(&self) -> Verdict {
        let Some(expected) = self.step.expected_type else { return Ok(()) };
        let (number, is_setup) = (self.number, self.step.is_setup("expected_type"));
        let count = self.seen.get("Server-Request-Count").as_deref().and_then(integer);
        let count = count.and_then(|count| usize::try_from(count).ok());
        let below = count.is_some_and(|count| count < number);
        let equal = count == Some(number);
        match expected {
            // Some caches leave this field out of a 304.
            Type::Cached if self.seen.status == 304 && count.is_none() => Ok(()),
            Type::Cached => must(is_setup, below, || format!("answer {number} is not cached")),
            Type::NotCached => must(is_setup, equal, || format!("answer {number} is cached")),
            Type::EtagValidated | Type::DateValidated => Ok(()),
        }
    }

    fn status(&self) -> Verdict {
        let (number, status) = (self.number, self.seen.status);
        let is = |expected: u16, is_setup| {
            let why = || format!("answer {number} has status {status}, not {expected}");
            must(is_setup, status == expected, why)
        };
        match (self.step.expected_status, &self.step.response_status) {
            (Some(Some(expected)), _) => is(expected, self.step.is_setup("expected_status")),
            (Some(None), _) => Ok(()),
            (None, Some((expected, _))) => is(*expected, true),
            (None, None) if status == 999 => {
                must(self.step.is_setup("expected_type"), false, || {
                    format!("request {number} is unconditional")
                })
            }
            (None, None) => is(200, true),
        }
    }

    fn fields(&self) -> Verdict {
        let is_setup = self.step.is_setup("expected_response_headers");
        for expected in &self.step.expected_response {
            let so = self.holds(expected);
            must(is_setup, so, || self.told(expected))?;
        }
        let is_setup = self.step.is_setup("expected_response_headers_missing");
        for name in &self.step.missing_response {
            let found = self.seen.get(name);
            must(is_setup, found.is_none(), || {
                format!("answer {} has {name}: {}", self.number, found.unwrap_or_default())
            })?;
        }
        Ok(())
    }

    fn holds(&self, expected: &Expected) -> bool {
        match expected {
            Expected::Present(name) => self.seen.get(name).is_some(),
            Expected::Is(name, value) => self.seen.get(name) == Some(self.value(name, value)),
            Expected::Same(name, other) => {
                self.seen.get(name).is_some() && self.seen.get(name) == self.seen.get(other)
            }
            Expected::Above(name, bound) => {
                self.seen.get(name).as_deref().and_then(integer).is_some_and(|n| n > *bound)
            }
        }
    }

    /// What a field is expected to say, by the clock and the URL that the answer names.
    fn value(&self, name: &str, value: &Value) -> String {
        let now_ms = self.seen.get("Server-Now").as_deref().and_then(integer).unwrap_or(0);
        let url = self.seen.get("Server-Base-Url").unwrap_or_default();
        value.told(name, self.step, now_ms, &url)
    }

    fn told(&self, expected: &Expected) -> String {
        let (name, wanted) = match expected {
            Expected::Present(name) => (name, "something".to_owned()),
            Expected::Is(name, value) => (name, format!("{:?}", self.value(name, value))),
            Expected::Same(name, other) => (name, format!("{:?}", self.seen.get(other))),
            Expected::Above(name, bound) => (name, format!("more than {bound}")),
        };
        format!("answer {} has {name}: {:?}, not {wanted}", self.number, self.seen.get(name))
    }

    fn interim(&self) -> Verdict {
        let Some(expected) = &self.step.expected_interim else { return Ok(()) };
        let is_setup = self.step.is_setup("expected_interim_responses");
        let found = &self.seen.interim;
        let why = || format!("answer {} has interim {found:?}, not {expected:?}", self.number);
        must(is_setup, found.len() == expected.len(), why)?;
        for ((status, fields), (found_status, found_fields)) in expected.iter().zip(found) {
            let so = |(name, value)| joined(found_fields, name).as_ref() == Some(value);
            let all = fields.iter().all(|(name, value)| so((name, value)));
            must(is_setup, status == found_status && all, why)?;
        }
        Ok(())
    }

    fn body(&self, token: &str) -> Verdict {
        let is = |expected: &str, is_setup| {
            let found = String::from_utf8_lossy(&self.seen.body).into_owned();
            must(is_setup, found == expected, || {
                format!("answer {} has body {found:?}, not {expected:?}", self.number)
            })
        };
        if !self.step.check_body {
            return Ok(());
        }
        match (&self.step.expected_text, &self.step.response_body) {
            (Some(None), _) => Ok(()),
            (Some(Some(text)), _) => is(text, self.step.is_setup("expected_response_text")),
            (None, Some(text)) => is(text, true),
            (None, None) if matches!(self.seen.status, 204 | 304) => Ok(()),
            (None, None) if self.step.method == "HEAD" => Ok(()),
            (None, None) => is(token, true),
        }
    }
}

struct Request<'a> {
    number: usize,
    step: &'a Step,
    asked: Option<&'a Asked>,
    seen: &'a Seen,
}

impl Request<'_> {
    fn check(&self) -> Verdict {
        let (number, step) = (self.number, self.step);
        let is_setup = step.is_setup("expected_type");
        let conditional = match step.expected_type {
            Some(Type::EtagValidated) => Some("if-none-match"),
            Some(Type::DateValidated) => Some("if-modified-since"),
            _ => None,
        };
        let Some(asked) = self.asked else {
            let never = || format!("request {number} never reached the origin");
            // Looking at a request that is not there is a failure of the case, whatever is set up.
            let looks = step.expected_type == Some(Type::NotCached)
                || !step.expected_request.is_empty()
                || !step.missing_request.is_empty()
                || step.expected_method.is_some();
            must(is_setup, conditional.is_none(), never)?;
            return must(false, !looks, never);
        };
        if step.expected_type == Some(Type::NotCached) {
            let so = asked.number == Some(number);
            must(is_setup, so, || format!("the origin saw {:?} for {number}", asked.number))?;
        }
        if let Some(name) = conditional {
            let so = joined(&asked.fields, name).is_some();
            must(is_setup, so, || format!("request {number} has no {name}"))?;
        }
        self.fields(asked)?;
        self.answered(asked)?;
        match &step.expected_method {
            None => Ok(()),
            Some(method) => must(step.is_setup("expected_method"), asked.method == *method, || {
                format!("request {number} has method {}, not {method}", asked.method)
            }),
        }
    }

    fn fields(&self, asked: &Asked) -> Verdict {
        let found = |name: &str| joined(&asked.fields, name);
        let is_setup = self.step.is_setup("expected_request_headers");
        for expected in &self.step.expected_request {
            let (name, wanted) = match expected {
                Expected::Is(name, Value::Text(text)) => (name, Some(text.clone())),
                Expected::Present(name) => (name, None),
                _ => panic!("an expectation unknown to us: {expected:?}"),
            };
            let so = found(name).is_some() && (wanted.is_none() || found(name) == wanted);
            must(is_setup, so, || {
                format!("request {} has {name}: {:?}, not {wanted:?}", self.number, found(name))
            })?;
        }
        let is_setup = self.step.is_setup("expected_request_headers_missing");
        for (name, value) in &self.step.missing_request {
            let so = found(name).is_none() || (value.is_some() && found(name) != *value);
            must(is_setup, so, || {
                format!("request {} has {name}: {:?}", self.number, found(name))
            })?;
        }
        Ok(())
    }

    /// The client found what the origin said. Date may be the cache's own.
    fn answered(&self, asked: &Asked) -> Verdict {
        for (name, value) in &asked.answered {
            let found = self.seen.get(name);
            let so = name.eq_ignore_ascii_case("date") || found.as_ref() == Some(value);
            must(true, so, || {
                format!("answer {} has {name}: {found:?}, not {value:?}", self.number)
            })?;
        }
        Ok(())
    }
}

/// The number that a text begins with.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}
