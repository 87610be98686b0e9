//! The targets without coverage: seeds, mutated and crossed, and random bytes, for some seconds each.
//!
//! `drive SECONDS [TARGET …]`; `drive --input FILE TARGET` runs one input again.

use base::Moment;
use fleetfoot_fuzz::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

/// Longest input.
const BYTES_MAX: usize = 4_096;

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n.max(1)
    }
}

fn mutate(dice: &mut Dice, seeds: &[Vec<u8>], target: &Target) -> Vec<u8> {
    if dice.below(50) == 0 {
        return (0..dice.below(200)).map(|_| dice.next() as u8).collect();
    }
    let mut data = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(data.len() + 1);
        match dice.below(8) {
            0 if at < data.len() => data[at] ^= 1 << dice.below(8),
            1 if at < data.len() => data[at] = dice.next() as u8,
            2 if at < data.len() => drop(data.remove(at)),
            3 => {
                let end = (at + dice.below(12)).min(data.len());
                data.drain(at..end);
            }
            4 => {
                let end = (at + dice.below(30)).min(data.len());
                let piece = data[at..end].to_vec();
                let to = dice.below(data.len() + 1);
                data.splice(to..to, piece);
            }
            5 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            6 => data.truncate(at),
            _ => {
                let word = target.words[dice.below(target.words.len())];
                data.splice(at..at, word.bytes());
            }
        }
    }
    data.truncate(BYTES_MAX);
    data
}

/// Runs one target; answers whether it held.
fn drive(target: &Target, time: Duration) -> bool {
    let mut pool = (target.seeds)();
    let seeds = pool.len();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ std::process::id() as u64 | 1);
    let start = Moment::now();
    let mut runs = 0_u64;
    while Moment::now().since(start) < time {
        for _ in 0..256 {
            let at = runs as usize;
            let data = if at < seeds { pool[at].clone() } else { mutate(&mut dice, &pool, target) };
            runs += 1;
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&data))).is_err() {
                println!("{}: FOUND with b\"{}\"", target.name, data.escape_ascii());
                return false;
            }
            // Mutants of mutants: some are kept, whatever they are worth.
            if dice.below(2_000) == 0 {
                if pool.len() < 4 * seeds + 64 {
                    pool.push(data);
                } else {
                    let at = seeds + dice.below(pool.len() - seeds);
                    pool[at] = data;
                }
            }
        }
    }
    println!("{}: {runs} runs in {:?}, nothing found", target.name, Moment::now().since(start));
    true
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &String| TARGETS.iter().find(|target| target.name == name);
    if let [flag, file, name] = &arguments[..]
        && flag == "--input"
    {
        let data = std::fs::read(file).expect("the input can be read");
        (named(name).expect("a target").run)(&data);
        return ExitCode::SUCCESS;
    }
    let Some(seconds) = arguments.first().and_then(|seconds| seconds.parse().ok()) else {
        eprintln!("drive SECONDS [TARGET …] | drive --input FILE TARGET");
        return ExitCode::from(2);
    };
    let chosen: Vec<&Target> = if arguments.len() > 1 {
        arguments[1..].iter().map(|name| named(name).expect("a target")).collect()
    } else {
        TARGETS.iter().collect()
    };
    let time = Duration::from_secs_f64(seconds);
    let held: Vec<bool> = std::thread::scope(|scope| {
        let start = |target| scope.spawn(move || drive(target, time));
        let threads: Vec<_> = chosen.iter().copied().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect()
    });
    if held.into_iter().all(|held| held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
