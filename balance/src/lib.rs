//! Which server of a service to ask.
//!
//! A [`Pool`] is all servers of one service as all threads see them: how long each takes, how much it
//! has in flight, whether it is fit to be asked. Decisions are pure: they take `now`, a seeded
//! generator and plain data, and say why; nothing here waits, reads a clock or touches a socket. The
//! same code runs on the path of requests and in simulated time (`scenario::world`).

pub mod settings;

mod health;
mod load;
mod maglev;
mod member;
mod pick;
mod pool;
mod slow_start;
mod subset;
mod view;

pub use health::{Cause, Checked, Condition, Ejections};
pub use load::Outcome;
pub use member::{Member, MemberId, Standing};
pub use pick::{Choice, Nobody, Why, Wish};
pub use pool::{Pool, Reader};
pub use view::View;
