//! One request, asked of two servers if the first takes unusually long.

use crate::attempt::Ask;
use crate::call::{Answer, Ended, Nature, Spare};
use crate::endpoint::Endpoint;
use crate::hedge::{Hedge, PoolLoad, Won};
use crate::service::Service;
use crate::settings::LimitMode;
use balance::{Condition, Outcome, Wish};
use base::{Moment, ResponseHead};
use monitor::facts::{Cause, Try};
use monitor::{Facts, Phase};
use std::rc::Rc;
use std::time::Duration;
use wire::Body;

/// A try under way ends with this.
type One = (Answer, Outcome);

impl Service {
    /// After which delay this request may be asked of a second server, if it may at all.
    pub(crate) fn hedge(&self, ask: &Ask<'_>, nature: Nature) -> Option<(&Hedge, Duration)> {
        let hedge = self.shared.hedge.as_deref()?;
        if !nature.may_repeat || ask.expects || ask.upgrades {
            return None;
        }
        let delay = hedge.delay(Moment::recent()).ok()?;
        Some((hedge, delay))
    }

    /// Asks one server and, if it has not answered after the delay, another beside it. The first good
    /// answer is taken, and the other try dropped: its connection is closed or its stream reset, which
    /// tells the server that nobody waits.
    pub(crate) async fn twice(
        &self,
        first: Rc<Endpoint>,
        ask: &mut Ask<'_>,
        facts: &mut Facts,
        nature: Nature,
        (hedge, delay): (&Hedge, Duration),
    ) -> Ended {
        let mut head = ask.head.copied();
        let (spare, again) = (Spare::of(&ask.body), ask.body.spare());
        let (by, framing, pause, class) = (ask.by, ask.framing, ask.pause, ask.class);
        let (hash, tells, hurried) = (ask.hash, ask.tells, ask.hurried);
        ask.try_by = self.try_by(by, 1);
        let (mut mine, mut theirs) = (facts.clone(), facts.clone());
        theirs.timeline.enter(Phase::Hedge, Moment::recent());
        let (begun, before) = (Moment::recent(), ask.tries);
        // Should the client leave meanwhile, this is what is told.
        facts.server = Some(first.member.id.0);
        facts.attempts = facts.attempts.saturating_add(1);
        let mut one = Box::pin(self.one(&first, ask, &mut mine, nature.grpc, false));
        let early = tokio::select! { biased;
            ended = &mut one => Some(ended),
            () = tokio::time::sleep(delay) => None,
        };
        let second = if early.is_none() { self.second(&first, hedge, again, hash) } else { None };
        let Some((second, body)) = second else {
            let (answer, outcome) = match early {
                Some(ended) => ended,
                None => one.as_mut().await,
            };
            drop(one);
            *facts = mine;
            return Ended { endpoint: first, answer, outcome, spare: spare.after(ask) };
        };
        let also_begun = Moment::now();
        theirs.timeline.resume(Phase::Gateway, also_begun);
        let mut no_interims = |_: ResponseHead| {};
        let mut beside = Ask {
            head: &mut head,
            body,
            framing,
            by,
            try_by: self.try_by(by, 2),
            pause,
            expects: false,
            upgrades: false,
            interim: &mut no_interims,
            class,
            hash,
            tells,
            hurried,
            sent: None,
            h2_used: None,
            tries: before + 1,
            cause: Cause::Hedge,
        };
        let mut two = Box::pin(self.one(&second, &mut beside, &mut theirs, nature.grpc, false));
        let (won, (answer, outcome)) = first_good(&mut one, &mut two).await;
        drop((one, two));
        ask.tries = before + 2;
        let endpoint = match won {
            Won::First => Rc::clone(&first),
            Won::Second => Rc::clone(&second),
        };
        if outcome == Outcome::Good {
            hedge.ended(won);
        }
        let attempts = mine.attempts + 1;
        let lost = |number, cause, server, begun| Try {
            number,
            cause,
            server,
            begun,
            ended: Moment::recent(),
            status: 0,
            fault: None,
            reused: false,
        };
        let (mut winner, loser, lost) = match won {
            Won::First => {
                let server = second.member.id.0;
                (mine, theirs, lost(before + 2, Cause::Hedge, server, also_begun))
            }
            Won::Second => {
                let cause = ask.cause;
                (theirs, mine, lost(before + 1, cause, first.member.id.0, begun))
            }
        };
        // One that had failed by itself has noted it; the other was given up.
        let noted = loser.tries().find(|tried| tried.number == lost.number).copied();
        winner.note_try(noted.unwrap_or(lost));
        *facts = winner;
        facts.attempts = attempts;
        facts.hedged = true;
        Ended { endpoint, answer, outcome, spare: spare.after(ask) }
    }

    /// The second server and the body for it, if there is one and it is allowed and paid for.
    fn second(
        &self,
        first: &Rc<Endpoint>,
        hedge: &Hedge,
        body: Option<Body>,
        hash: Option<u64>,
    ) -> Option<(Rc<Endpoint>, Body)> {
        // Two may only read a body that has come to its end.
        let body = body.filter(|body| match body {
            Body::Empty => true,
            Body::Kept(kept) => kept.is_whole(),
            _ => false,
        })?;
        let now = Moment::now();
        if !self.has_other(&[first.member.id], now) {
            return None;
        }
        hedge.fire(now, self.load(now), &self.shared.budget).ok()?;
        let tried = [first.member.id];
        let second = self.choose(Wish { hash, tried: &tried, may_probe: false }).ok()?;
        Some((second, body))
    }

    /// How busy the service is.
    fn load(&self, now: Moment) -> PoolLoad {
        let view = self.shared.pool.view();
        let up = view.members().iter().filter(|member| member.condition(now) == Condition::Up);
        let (servers, in_flight) =
            up.fold((0, 0), |(servers, all), member| (servers + 1, all + member.in_flight()));
        let door = self.shared.admission.standing();
        // Only a limit in force keeps what it learns true: see `limit`.
        let enforced = self.settings.limit.mode == LimitMode::Enforce;
        let limit = enforced.then_some(door.limit);
        PoolLoad { servers, in_flight, limit, waiting: door.waiting }
    }
}

/// The first good answer of the two, or the last bad one.
async fn first_good<A, B>(one: &mut A, two: &mut B) -> (Won, One)
where
    A: Future<Output = One> + Unpin,
    B: Future<Output = One> + Unpin,
{
    tokio::select! { biased;
        ended = &mut *one => {
            if ended.1 == Outcome::Good { (Won::First, ended) } else { (Won::Second, two.await) }
        }
        ended = &mut *two => {
            if ended.1 == Outcome::Good { (Won::Second, ended) } else { (Won::First, one.await) }
        }
    }
}
