//! Which route takes a request: the patterns of all routes, made into one tree for each host.
//!
//! The rule is that of [`settings::pattern`]: the most specific pattern wins, and one that takes
//! host and path but not the method is passed over. The tree is searched in that order (literal
//! before parameter before rest), so the first route that accepts is the answer. A search visits a
//! node of a tree at most once and allocates nothing; where one route takes everything it does not
//! even look. Ties cannot happen: `settings` refuses patterns that clash.

#[cfg(test)]
mod tests;

use settings::pattern::METHODS_MAX;
use settings::{Pattern, Route, Segment};
use std::collections::BTreeSet;

/// Most different Allow values made beforehand; past them Allow lists every method known.
pub const ALLOW_MAX: usize = 4096;

/// Finds the route of a request.
#[derive(Clone, Debug)]
pub struct Router {
    /// The route to take without looking, when it takes everything.
    sole: Option<usize>,
    /// The methods that patterns name; the place of each is its bit in a [`Methods`].
    methods: Box<[Box<[u8]>]>,
    /// Trees by exact host, sorted.
    exact: Box<[(Box<[u8]>, NodeId)]>,
    /// Trees by the name a wildcard host stands before, sorted.
    wildcard: Box<[(Box<[u8]>, NodeId)]>,
    /// The tree of patterns without host.
    any: Option<NodeId>,
    nodes: Vec<Node>,
    ends: Vec<End>,
    /// Allow values by the set of methods, sorted.
    allow: Box<[(Methods, Box<str>)]>,
    /// Every method known, for sets without a value of their own.
    allow_all: Box<str>,
    patterns: Box<[Pattern]>,
    /// The routes, the most specific first.
    order: Box<[usize]>,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// This route, by its place in the settings.
    Route(usize),
    /// No route takes this host and path.
    NoRoute,
    /// Routes take this host and path, but only with the methods of this Allow field, sorted.
    MethodNotAllowed(&'r str),
}

/// A route, and what became of it for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the settings.
    pub route: usize,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a route for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the request.
    Wins,
    /// It would take the request, but a more specific route does.
    LessSpecific,
    /// It takes other hosts.
    Host,
    /// It takes this host, but other paths.
    Path,
    /// It takes this host and path, but with other methods.
    Method,
}

/// A set of methods, a bit for each of at most [`METHODS_MAX`].
type Methods = u64;
type NodeId = u32;

/// What may follow after some segments of a path.
#[derive(Clone, Debug, Default)]
struct Node {
    /// By text, sorted.
    literals: Vec<(Box<[u8]>, NodeId)>,
    parameter: Option<NodeId>,
    /// Where the path ends here.
    end: Option<u32>,
    /// Where anything follows.
    rest: Option<u32>,
}

/// The routes of one host and path: they differ in their methods.
#[derive(Clone, Debug, Default)]
struct End {
    listed: Vec<(Methods, usize)>,
    all: Methods,
    any: Option<usize>,
}

impl Router {
    /// A router of these routes; it answers with their places in the slice.
    ///
    /// # Panics
    /// When they name more than [`METHODS_MAX`] methods, which `settings` refuses.
    pub fn new(routes: &[Route]) -> Self {
        let patterns: Box<[_]> = routes.iter().map(|route| route.pattern.clone()).collect();
        let mut order: Box<[_]> = (0..routes.len()).collect();
        order.sort_by(|&a, &b| patterns[a].rank(&patterns[b]));
        let mut router = Self {
            sole: patterns.iter().position(takes_everything).filter(|_| patterns.len() == 1),
            methods: methods(&patterns),
            exact: Box::default(),
            wildcard: Box::default(),
            any: None,
            nodes: Vec::new(),
            ends: Vec::new(),
            allow: Box::default(),
            allow_all: Box::default(),
            patterns: Box::default(),
            order,
        };
        for (index, pattern) in patterns.iter().enumerate() {
            router.plant(index, pattern);
        }
        router.patterns = patterns;
        router.write_allow();
        router
    }

    /// The route of a request: `host` in lower case without port, `path` raw without query.
    #[inline]
    pub fn find(&self, method: &[u8], host: &[u8], path: &[u8]) -> Found<'_> {
        match self.sole {
            Some(route) => Found::Route(route),
            None => self.search(method, host, path),
        }
    }

    /// What the parameters of route `index` stand for in a path that it takes. A rest without a
    /// name (`*`) is not among them.
    pub fn parameters<'a>(
        &'a self,
        index: usize,
        path: &'a [u8],
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let segments = self.patterns[index].path.iter();
        Parameters { segments, tail: Some(path.strip_prefix(b"/").unwrap_or(path)) }
    }

    /// All routes, the most specific first, and what became of each for this request.
    pub fn explain(&self, method: &[u8], host: &[u8], path: &[u8]) -> Vec<Candidate> {
        let found = self.find(method, host, path);
        let verdict = |route: &usize| {
            let pattern = &self.patterns[*route];
            let verdict = if !pattern.takes_host(host) {
                Verdict::Host
            } else if !pattern.takes_path(path) {
                Verdict::Path
            } else if !pattern.takes_method(method) {
                Verdict::Method
            } else if found == Found::Route(*route) {
                Verdict::Wins
            } else {
                Verdict::LessSpecific
            };
            Candidate { route: *route, verdict }
        };
        self.order.iter().map(verdict).collect()
    }

    fn search(&self, method: &[u8], host: &[u8], path: &[u8]) -> Found<'_> {
        let instead = if method == b"HEAD" { self.bit(b"GET") } else { 0 };
        let mut search = Search { router: self, method: self.bit(method), instead, passed: 0 };
        match search.hosts(host, path) {
            Some(route) => Found::Route(route),
            // An end that passes a request over names at least one method.
            None if search.passed == 0 => Found::NoRoute,
            None => Found::MethodNotAllowed(self.allow(search.passed)),
        }
    }

    /// The set of this method alone; empty when no pattern names it.
    fn bit(&self, method: &[u8]) -> Methods {
        let place = self.methods.iter().position(|known| **known == *method);
        place.map_or(0, |place| 1 << place)
    }

    fn allow(&self, methods: Methods) -> &str {
        self.allow
            .binary_search_by_key(&methods, |(known, _)| *known)
            .map_or(&*self.allow_all, |at| &self.allow[at].1)
    }
}

/// One search.
struct Search<'r> {
    router: &'r Router,
    /// The method of the request.
    method: Methods,
    /// GET for a HEAD: whoever answers the one answers the other (RFC 9110 §9.3.2), unless a route
    /// of the same host and path names HEAD itself.
    instead: Methods,
    /// The methods of ends that take host and path, but not the method.
    passed: Methods,
}

impl Search<'_> {
    fn hosts(&mut self, host: &[u8], path: &[u8]) -> Option<usize> {
        let router = self.router;
        if let Some(root) = get(&router.exact, host)
            && let Some(route) = self.tree(root, path)
        {
            return Some(route);
        }
        if !router.wildcard.is_empty() {
            let dots = host.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'.');
            for (dot, _) in dots {
                if let Some(root) = get(&router.wildcard, &host[dot + 1..])
                    && let Some(route) = self.tree(root, path)
                {
                    return Some(route);
                }
            }
        }
        router.any.and_then(|root| self.tree(root, path))
    }

    fn tree(&mut self, root: NodeId, path: &[u8]) -> Option<usize> {
        match path.strip_prefix(b"/") {
            Some(tail) => self.walk(root, Some(tail)),
            // `*`, or nothing: only a pattern that takes everything does.
            None => self.end(self.router.nodes[root as usize].rest),
        }
    }

    /// Looks for a route below a node; `tail` is what follows a slash. Patterns bound the depth.
    fn walk(&mut self, node: NodeId, tail: Option<&[u8]>) -> Option<usize> {
        let node = &self.router.nodes[node as usize];
        let Some(tail) = tail else { return self.end(node.end) };
        let (segment, next) = split(tail);
        if let Some(child) = get(&node.literals, segment)
            && let Some(route) = self.walk(child, next)
        {
            return Some(route);
        }
        if let Some(child) = node.parameter.filter(|_| !segment.is_empty())
            && let Some(route) = self.walk(child, next)
        {
            return Some(route);
        }
        self.end(node.rest)
    }

    fn end(&mut self, end: Option<u32>) -> Option<usize> {
        let end = &self.router.ends[end? as usize];
        let listed = |wanted: Methods| end.listed.iter().find(|(methods, _)| methods & wanted != 0);
        let listed = listed(self.method).or_else(|| listed(self.instead));
        let route = listed.map(|(_, route)| *route).or(end.any);
        if route.is_none() {
            self.passed |= end.all;
        }
        route
    }
}

/// What stands under `key` in a sorted list.
fn get(list: &[(Box<[u8]>, NodeId)], key: &[u8]) -> Option<NodeId> {
    let at = list.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
    Some(list[at].1)
}

/// Splits at the first slash; `None` where there is none.
fn split(tail: &[u8]) -> (&[u8], Option<&[u8]>) {
    match tail.iter().position(|&byte| byte == b'/') {
        Some(at) => (&tail[..at], Some(&tail[at + 1..])),
        None => (tail, None),
    }
}

/// Walks a pattern and a path that it takes side by side.
struct Parameters<'a> {
    segments: std::slice::Iter<'a, Segment>,
    tail: Option<&'a [u8]>,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let own = self.segments.next()?;
            let tail = self.tail?;
            let (segment, next) = split(tail);
            self.tail = next;
            match own {
                Segment::Literal(_) => {}
                Segment::Parameter(name) => return Some((name, segment)),
                Segment::Rest(name) if name.is_empty() => return None,
                Segment::Rest(name) => return Some((name, tail)),
            }
        }
    }
}

// Building.

impl Router {
    /// Adds a pattern to the tree of its host.
    fn plant(&mut self, index: usize, pattern: &Pattern) {
        let mut node = self.root(pattern.host.as_deref());
        let mut rest = false;
        for segment in &pattern.path {
            match segment {
                Segment::Literal(text) => node = self.literal(node, text.as_bytes()),
                Segment::Parameter(_) => node = self.parameter(node),
                Segment::Rest(_) => rest = true,
            }
        }
        let set = pattern.methods.iter().map(|method| self.bit(method.as_bytes()));
        let set = set.fold(0, |all, bit| all | bit);
        let end = self.end_of(node, rest);
        if set == 0 {
            end.any.get_or_insert(index);
        } else {
            end.listed.push((set, index));
            end.all |= set;
        }
    }

    fn root(&mut self, host: Option<&str>) -> NodeId {
        let new = self.nodes.len() as NodeId;
        let (list, name) = match host.map(|host| (host, host.strip_prefix("*."))) {
            None => {
                if self.any.is_none() {
                    self.nodes.push(Node::default());
                }
                return *self.any.get_or_insert(new);
            }
            Some((_, Some(name))) => (&mut self.wildcard, name),
            Some((name, None)) => (&mut self.exact, name),
        };
        let mut hosts = std::mem::take(list).into_vec();
        let node = insert(&mut hosts, name.as_bytes(), new);
        *list = hosts.into_boxed_slice();
        if node == new {
            self.nodes.push(Node::default());
        }
        node
    }

    fn literal(&mut self, node: NodeId, text: &[u8]) -> NodeId {
        let new = self.nodes.len() as NodeId;
        let child = insert(&mut self.nodes[node as usize].literals, text, new);
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    fn parameter(&mut self, node: NodeId) -> NodeId {
        let new = self.nodes.len() as NodeId;
        let child = *self.nodes[node as usize].parameter.get_or_insert(new);
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    fn end_of(&mut self, node: NodeId, rest: bool) -> &mut End {
        let node = &mut self.nodes[node as usize];
        let place = if rest { &mut node.rest } else { &mut node.end };
        let at = *place.get_or_insert(self.ends.len() as u32);
        if at as usize == self.ends.len() {
            self.ends.push(End::default());
        }
        &mut self.ends[at as usize]
    }

    /// Writes the Allow value of every union of the ends' methods, up to [`ALLOW_MAX`].
    fn write_allow(&mut self) {
        let ends: BTreeSet<Methods> =
            self.ends.iter().filter(|end| end.any.is_none()).map(|end| end.all).collect();
        let mut sets = BTreeSet::new();
        for end in &ends {
            let unions: Vec<_> = sets.iter().map(|set| set | end).collect();
            sets.insert(*end);
            sets.extend(unions);
            if sets.len() > ALLOW_MAX {
                break;
            }
        }
        let sets = sets.into_iter().take(ALLOW_MAX);
        self.allow = sets.map(|set| (set, self.list(set))).collect();
        self.allow_all = self.list(Methods::MAX);
    }

    /// An Allow value.
    fn list(&self, set: Methods) -> Box<str> {
        let all = self.methods.iter().enumerate();
        let mut names: Vec<_> = all
            .filter(|(place, _)| set >> place & 1 == 1)
            .map(|(_, name)| String::from_utf8_lossy(name))
            .collect();
        if names.iter().any(|name| name == "GET") && !names.iter().any(|name| name == "HEAD") {
            names.push("HEAD".into());
        }
        names.sort_unstable();
        names.join(", ").into()
    }
}

/// The node under `key` in a sorted list; `new`, put there, when there was none.
fn insert(list: &mut Vec<(Box<[u8]>, NodeId)>, key: &[u8], new: NodeId) -> NodeId {
    match list.binary_search_by(|(known, _)| (**known).cmp(key)) {
        Ok(at) => list[at].1,
        Err(at) => {
            list.insert(at, (key.into(), new));
            new
        }
    }
}

fn takes_everything(pattern: &Pattern) -> bool {
    pattern.host.is_none()
        && pattern.methods.is_empty()
        && matches!(pattern.path.as_slice(), [Segment::Rest(_)])
}

/// The different methods that patterns name, the common ones first.
fn methods(patterns: &[Pattern]) -> Box<[Box<[u8]>]> {
    let mut methods: Vec<Box<[u8]>> = Vec::new();
    for method in patterns.iter().flat_map(|pattern| &pattern.methods) {
        if !methods.iter().any(|known| **known == *method.as_bytes()) {
            methods.push(method.as_bytes().into());
        }
    }
    assert!(methods.len() <= METHODS_MAX, "settings refuse more methods");
    let common: [&[u8]; 4] = [b"GET", b"POST", b"PUT", b"HEAD"];
    methods.sort_by_key(|method| common.iter().position(|known| **known == **method).unwrap_or(4));
    methods.into()
}
