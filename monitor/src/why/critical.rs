//! The critical path of a composed request: which of its calls its time depends on.
//!
//! From the end back: at each step the call that finished last before it, as CRISP does (Zhang et al.,
//! USENIX ATC 2022). Who called whom is what spans say, never their order in a list. *Drag* is how much
//! shorter the whole would be without a call, *slack* how much longer a call could have taken for free.

use base::Moment;
use std::time::Duration;

/// One call, or the request that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub begun: Moment,
    /// When it ended.
    pub ended: Moment,
    /// Who called, by its place; `None` for the request itself. Always an earlier place.
    pub caller: Option<usize>,
}

/// A stretch of time that the whole depended on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which span was at work itself.
    pub span: usize,
    /// From when …
    pub from: Moment,
    /// … to when.
    pub to: Moment,
}

/// What the time of a request depended on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Stretches without gaps, in order: together the whole request.
    pub steps: Vec<Step>,
    /// Whether a span is on the path.
    pub critical: Vec<bool>,
    /// By how much the whole would be shorter without a span and all that it called.
    pub drag: Vec<Duration>,
    /// How much longer a span could have taken without making its caller longer.
    pub slack: Vec<Duration>,
}

/// The path of the request in the first place. What a call did outside its caller's time does not count.
pub fn path(spans: &[Span]) -> Path {
    let mut path = Path {
        steps: Vec::new(),
        critical: vec![false; spans.len()],
        drag: vec![Duration::ZERO; spans.len()],
        slack: vec![Duration::ZERO; spans.len()],
    };
    let Some(root) = spans.first() else { return path };
    let mut within: Vec<(Moment, Moment)> = vec![(root.begun, root.ended.max(root.begun))];
    let mut calls: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (at, span) in spans.iter().enumerate().skip(1) {
        let caller = span.caller.filter(|caller| *caller < at).unwrap_or(0);
        let (from, to) = within[caller];
        let begun = span.begun.clamp(from, to);
        within.push((begun, span.ended.clamp(begun, to)));
        calls[caller].push(at);
    }
    for calls in &mut calls {
        calls.sort_unstable_by_key(|at| (within[*at].1, within[*at].0, *at));
    }
    walk(&mut path, &calls, &within);
    path.steps.reverse();
    path
}

/// Walks back from the end of the first span. A stack instead of recursion: a peer decides how deep
/// calls are.
fn walk(path: &mut Path, calls: &[Vec<usize>], within: &[(Moment, Moment)]) {
    // Who is at work, how many of its calls are left to look at, and back to where time is accounted.
    let mut stack = vec![(0, calls[0].len(), within[0].1)];
    path.critical[0] = true;
    path.drag[0] = within[0].1.since(within[0].0);
    weigh(path, &calls[0], within);
    while let Some((at, left, until)) = stack.pop() {
        let next = calls[at][..left].iter().rposition(|call| {
            let (begun, ended) = within[*call];
            ended <= until && begun < ended
        });
        let resumes = next.map_or(within[at].0, |next| within[calls[at][next]].1);
        if resumes < until {
            path.steps.push(Step { span: at, from: resumes, to: until });
        }
        if let Some(next) = next {
            let call = calls[at][next];
            path.critical[call] = true;
            stack.push((at, next, within[call].0));
            stack.push((call, calls[call].len(), within[call].1));
            weigh(path, &calls[call], within);
        }
    }
}

/// Drag and slack of the calls that one span made, in the order of their ends.
fn weigh(path: &mut Path, calls: &[usize], within: &[(Moment, Moment)]) {
    let Some(last) = calls.last() else { return };
    // Joints: the calls that this span waited for, from the last back.
    let mut until = within[*last].1;
    let mut joint = until;
    for (place, call) in calls.iter().enumerate().rev() {
        let (begun, ended) = within[*call];
        if ended <= until && begun < ended {
            let before = calls[..place].last().map(|other| within[*other].1);
            path.drag[*call] = ended.since(before.unwrap_or(begun).max(begun));
            (until, joint) = (begun, ended);
        } else {
            path.slack[*call] = joint.since(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn span(begun: u64, ended: u64, caller: Option<usize>) -> Span {
        Span { begun: at(begun), ended: at(ended), caller }
    }

    #[test]
    fn calls_at_once_and_one_after_another() {
        // 0..10 own, 10..40 beside 10..30, then 50..90, which itself calls 60..80.
        let spans = [
            span(0, 100, None),
            span(10, 40, Some(0)),
            span(10, 30, Some(0)),
            span(50, 90, Some(0)),
            span(60, 80, Some(3)),
        ];
        let path = path(&spans);
        assert_eq!(path.critical, [true, true, false, true, true]);
        assert_eq!(path.drag[1..4], [ms(10), ms(0), ms(40)]);
        assert_eq!(path.slack[1..4], [ms(0), ms(10), ms(0)]);
        let at_work: Vec<_> = path.steps.iter().map(|step| step.span).collect();
        assert_eq!(at_work, [0, 1, 0, 3, 4, 3, 0]);
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0_u64..200, 0_u64..80, 0_usize..12);
        proptest::collection::vec(span, 0..12).prop_map(|calls| {
            let calls = calls
                .into_iter()
                .enumerate()
                .map(|(at, (begun, took, caller))| span_of(begun, took, caller % (at + 1)));
            std::iter::once(self::span(0, 200, None)).chain(calls).collect()
        })
    }

    fn span_of(begun: u64, took: u64, caller: usize) -> Span {
        span(begun, begun + took, Some(caller))
    }

    proptest! {
        /// Every moment of the whole belongs to one step, and steps follow each other.
        #[test]
        fn the_path_is_the_whole_request(spans in spans()) {
            let path = path(&spans);
            let mut now = at(0);
            for step in &path.steps {
                prop_assert_eq!(step.from, now);
                prop_assert!(step.to > step.from);
                prop_assert!(path.critical[step.span]);
                now = step.to;
            }
            prop_assert_eq!(now, at(200));
        }

        /// Nobody saves more than he took, and all calls of the request together no more than it took.
        #[test]
        fn drag_and_slack_are_within_bounds(spans in spans()) {
            let path = path(&spans);
            let calls = || (1..spans.len()).filter(|at| spans[*at].caller == Some(0));
            let saved: Duration = calls().map(|at| path.drag[at]).sum();
            prop_assert!(saved <= ms(200));
            for (at, span) in spans.iter().enumerate().skip(1) {
                prop_assert!(path.drag[at] <= span.ended.since(span.begun));
                prop_assert!(path.drag[at].is_zero() || path.critical[at]);
                prop_assert!(path.slack[at].is_zero() || !path.critical[at]);
            }
        }

        /// What a call may take longer ends where the next call that was waited for does.
        #[test]
        fn slack_ends_with_a_call_that_was_waited_for(spans in spans()) {
            let path = path(&spans);
            let within = |at: usize| {
                let begun = spans[at].begun.clamp(self::at(0), self::at(200));
                (begun, spans[at].ended.clamp(begun, self::at(200)))
            };
            let calls: Vec<_> = (1..spans.len())
                .filter(|at| spans[*at].caller == Some(0) && within(*at).0 < within(*at).1)
                .collect();
            for call in calls.iter().filter(|call| !path.critical[**call]) {
                let ends = within(*call).1 + path.slack[*call];
                let mut waited = calls.iter().filter(|other| path.critical[**other]);
                prop_assert!(waited.any(|other| within(*other).1 == ends));
            }
        }
    }
}
