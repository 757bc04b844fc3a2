//! Google's quota of requests, kept before Google has to say 429.
//!
//! Pure and of fixed size: no clock, no allocation, `Copy`, and all zeros is its fresh state, so
//! that it can live in shared memory and govern every database of a cluster. The caller holds a
//! lock around each call.
//!
//! A bucket that is refilled once a minute lets twice the quota through around the refill. This
//! counts grants in slots of half a second instead, and grants only while the slots that any minute
//! could touch hold less than the limit.
//!
//! Nobody starves: the last part of the quota is kept for interactive calls, the part before it for
//! mappings that ask little, a third of it for the others where calls for one mapping follow one
//! another all the time, and a mapping that was told to wait comes before one that has had more.

use engine::effect::Failure;
use engine::effect::Reason;

/// 60 reads and 60 writes a minute per account, 300 and 300 per project, a batch counting once
/// (G-QUOTA-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub account_reads: u32,
    pub account_writes: u32,
    pub project_reads: u32,
    pub project_writes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            account_reads: 60,
            account_writes: 60,
            project_reads: 300,
            project_writes: 300,
        }
    }
}

impl Limits {
    fn of(&self, kind: Kind) -> (u32, u32) {
        match kind {
            Kind::Read => (self.account_reads.max(1), self.project_reads.max(1)),
            Kind::Write => (self.account_writes.max(1), self.project_writes.max(1)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

/// Requests that an effect takes, asked for together so that it is not left standing half-way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub reads: u32,
    pub writes: u32,
}

impl Need {
    pub const READ: Self = Self {
        reads: 1,
        writes: 0,
    };
    pub const WRITE: Self = Self {
        reads: 0,
        writes: 1,
    };

    /// What of it goes beyond another.
    pub fn beyond(self, other: Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(other.reads),
            writes: self.writes.saturating_sub(other.writes),
        }
    }

    fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Read => self.reads,
            Kind::Write => self.writes,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it: `sync()`, `register_table()`.
    Interactive,
    Background,
}

/// On whose account a request goes. Texts go in through [`name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The service account's address.
    pub account: u64,
    /// Its Google Cloud project.
    pub project: u64,
    /// The mapping, unique in the cluster.
    pub mapping: u64,
}

/// Names a text (an account's address, a project) to the governor: FNV-1a, never 0.
pub fn name(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The requests may go out now; they are counted.
    Granted,
    /// Ask again at this time (milliseconds, as `now`).
    WaitUntil(i64),
}

/// Which quota a 429 named: `…PerMinutePerUser` or `…PerMinutePerProject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    Account,
    Project,
}

/// What a failure says of the quota that it met with: Google names it
/// `ReadRequestsPerMinutePerUser` or the like (G-QUOTA-2).
pub fn exhausted(failure: &Failure) -> Option<(Kind, Exhausted)> {
    let named = |word: &str| failure.message.contains(word);
    let kind = match failure.reason == Reason::Quota {
        true if named("ReadRequests") => Kind::Read,
        true if named("WriteRequests") => Kind::Write,
        _ => return None,
    };
    Some((
        kind,
        if named("PerMinutePerProject") {
            Exhausted::Project
        } else {
            Exhausted::Account
        },
    ))
}

const SLOT_MS: i64 = 500;
/// A minute touches at most 121 slots; two more allow for requests that reach Google later than
/// others.
const SLOTS: usize = 123;
const WINDOW_MS: i64 = SLOT_MS * SLOTS as i64;
const ACCOUNTS: usize = 16;
const MAPPINGS: usize = 32;
/// How long a mapping that was told to wait has the right of way over one that has had more.
const RIGHT_OF_WAY_MS: i64 = 1_000;
/// How soon the one that gave way may ask again.
const GIVE_WAY_MS: i64 = 100;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Governor {
    accounts: [Owner; ACCOUNTS],
    projects: [Owner; ACCOUNTS],
    shares: [Share; MAPPINGS],
}

/// Whoever has a quota: an account or a project.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Owner {
    /// 0: free.
    name: u64,
    asked_at: i64,
    reads: Window,
    writes: Window,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Number of the newest slot; the others are the ones before it.
    newest: i64,
    closed_until: i64,
    granted: [u16; SLOTS],
}

/// What a mapping has had lately, reads and writes together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Share {
    account: u64,
    mapping: u64,
    asked_at: i64,
    /// When it was told to come back; 0 where it has been served.
    due_at: i64,
    /// Number of the half-window that `current` counts.
    half: i64,
    current: u32,
    previous: u32,
}

const FREE_WINDOW: Window = Window {
    newest: 0,
    closed_until: 0,
    granted: [0; SLOTS],
};
const FREE_OWNER: Owner = Owner {
    name: 0,
    asked_at: 0,
    reads: FREE_WINDOW,
    writes: FREE_WINDOW,
};
const FREE_SHARE: Share = Share {
    account: 0,
    mapping: 0,
    asked_at: 0,
    due_at: 0,
    half: 0,
    current: 0,
    previous: 0,
};

impl Default for Governor {
    fn default() -> Self {
        Self::new()
    }
}

impl Governor {
    pub const fn new() -> Self {
        Self {
            accounts: [FREE_OWNER; ACCOUNTS],
            projects: [FREE_OWNER; ACCOUNTS],
            shares: [FREE_SHARE; MAPPINGS],
        }
    }

    /// May these requests go out? `now` is in milliseconds of any clock that all callers share.
    pub fn ask(
        &mut self,
        now: i64,
        caller: Caller,
        need: Need,
        priority: Priority,
        limits: &Limits,
    ) -> Decision {
        let decision = self.decide(now, caller, need, priority, limits);
        let share = share_of(&mut self.shares, now, caller);
        share.asked_at = now;
        match decision {
            Decision::WaitUntil(until) => share.due_at = until,
            Decision::Granted => {
                share.due_at = 0;
                self.count(now, caller, need);
            }
        }
        decision
    }

    /// Count requests that went out without being asked for: an effect that met with a race took
    /// more than was foreseen.
    pub fn count(&mut self, now: i64, caller: Caller, need: Need) {
        share_of(&mut self.shares, now, caller).count(now, need.reads + need.writes);
        for kind in [Kind::Read, Kind::Write] {
            owner_of(&mut self.accounts, now, caller.account)
                .window(kind)
                .count(now, need.of(kind));
            owner_of(&mut self.projects, now, caller.project)
                .window(kind)
                .count(now, need.of(kind));
        }
    }

    fn decide(
        &mut self,
        now: i64,
        caller: Caller,
        need: Need,
        priority: Priority,
        limits: &Limits,
    ) -> Decision {
        let active = self.active(now, caller.account, caller.mapping);
        let had = share_of(&mut self.shares, now, caller).lately(now);
        let share = (limits.account_reads + limits.account_writes) / active;
        // Where many share the quota, what a mapping has had by looking now and then is no loop.
        let few = limits.account_reads.min(limits.account_writes) / 3;
        let has_had_its_share = active > 1 && had >= share.max(few);
        let mut free_at = now;
        for kind in [Kind::Read, Kind::Write] {
            let wanted = need.of(kind);
            if wanted == 0 {
                continue;
            }
            let (account_limit, project_limit) = limits.of(kind);
            let reserve = account_limit / 6;
            let (kept_back, most) = match priority {
                // Somebody who calls all the time.
                Priority::Interactive if has_had_its_share => (account_limit / 3, 3),
                Priority::Interactive => (0, 6),
                Priority::Background if had <= (account_limit - reserve) / active / 4 => {
                    (reserve / 2, 6)
                }
                Priority::Background => (reserve, 6),
            };
            // Who wants more than there is gets all there is. Of a project that has less than its
            // account no greater part is kept back than of any other.
            let below = |limit: u32| {
                let kept_back = kept_back.min(limit / most);
                limit.saturating_sub(kept_back + wanted - 1).max(1)
            };
            let account = owner_of(&mut self.accounts, now, caller.account).window(kind);
            free_at = free_at.max(account.free_at(now, below(account_limit)));
            let project = owner_of(&mut self.projects, now, caller.project).window(kind);
            free_at = free_at.max(project.free_at(now, below(project_limit)));
        }
        if free_at > now {
            return Decision::WaitUntil(free_at);
        }
        let goes_first = |share: &mut Share| {
            let due = share.due_at != 0 && (0..RIGHT_OF_WAY_MS).contains(&(now - share.due_at));
            due && share.account == caller.account
                && share.mapping != caller.mapping
                && share.lately(now) < had
        };
        match priority == Priority::Background && self.shares.iter_mut().any(goes_first) {
            true => Decision::WaitUntil(now + GIVE_WAY_MS),
            false => Decision::Granted,
        }
    }

    /// Google said 429: nothing of this kind goes out until then.
    pub fn close(
        &mut self,
        now: i64,
        caller: Caller,
        kind: Kind,
        exhausted: Exhausted,
        until: i64,
    ) {
        let owner = match exhausted {
            Exhausted::Account => owner_of(&mut self.accounts, now, caller.account),
            Exhausted::Project => owner_of(&mut self.projects, now, caller.project),
        };
        let window = owner.window(kind);
        window.closed_until = window.closed_until.max(until);
    }

    /// Requests of this kind that the account was granted in the last minute.
    pub fn used(&mut self, now: i64, account: u64, kind: Kind) -> u32 {
        owner_of(&mut self.accounts, now, account)
            .window(kind)
            .used(now)
    }

    /// Until when a 429 keeps the account or its project quiet.
    pub fn closed_until(&mut self, now: i64, caller: Caller, kind: Kind) -> Option<i64> {
        let account = owner_of(&mut self.accounts, now, caller.account)
            .window(kind)
            .closed_until;
        let project = owner_of(&mut self.projects, now, caller.project)
            .window(kind)
            .closed_until;
        Some(account.max(project)).filter(|until| *until > now)
    }

    /// Mappings of this account that have asked within the window, the asking one included.
    fn active(&self, now: i64, account: u64, mapping: u64) -> u32 {
        let others = self.shares.iter().filter(|share| {
            share.account == account && share.mapping != mapping && now - share.asked_at < WINDOW_MS
        });
        1 + others.count() as u32
    }
}

/// The owner's entry: its own, else a free one, else the one that has been quiet longest. If that
/// one has not been quiet for a whole window, the two go on together in one entry, which can only
/// make both slower.
fn owner_of(owners: &mut [Owner; ACCOUNTS], now: i64, name: u64) -> &mut Owner {
    let known = owners.iter().position(|owner| owner.name == name);
    let index = known.unwrap_or_else(|| {
        let quiet = owners
            .iter()
            .enumerate()
            .min_by_key(|(_, owner)| (owner.name != 0, owner.asked_at));
        quiet.map_or(0, |(index, _)| index)
    });
    let owner = &mut owners[index];
    if known.is_none() {
        let closed = owner.reads.closed_until.max(owner.writes.closed_until) > now;
        if owner.name == 0 || !closed && now - owner.asked_at >= WINDOW_MS {
            *owner = FREE_OWNER;
        }
        owner.name = name;
    }
    owner.asked_at = owner.asked_at.max(now);
    owner
}

fn share_of(shares: &mut [Share; MAPPINGS], now: i64, caller: Caller) -> &mut Share {
    let known = shares
        .iter()
        .position(|share| (share.account, share.mapping) == (caller.account, caller.mapping));
    let index = known.unwrap_or_else(|| {
        let quiet = shares
            .iter()
            .enumerate()
            .min_by_key(|(_, share)| (share.account != 0, share.asked_at));
        quiet.map_or(0, |(index, _)| index)
    });
    let share = &mut shares[index];
    if known.is_none() {
        *share = Share {
            account: caller.account,
            mapping: caller.mapping,
            asked_at: now,
            ..FREE_SHARE
        };
    }
    share
}

impl Owner {
    fn window(&mut self, kind: Kind) -> &mut Window {
        match kind {
            Kind::Read => &mut self.reads,
            Kind::Write => &mut self.writes,
        }
    }
}

impl Window {
    /// Make the slot of `now` the newest. A clock that is set back does not open a quota again:
    /// time stands still until it has caught up, or starts anew if that would take longer than a
    /// window.
    fn advance(&mut self, now: i64) {
        let slot = now.div_euclid(SLOT_MS);
        if slot < self.newest - SLOTS as i64 {
            let used: u32 = self.granted.iter().map(|count| u32::from(*count)).sum();
            self.granted = [0; SLOTS];
            self.newest = slot;
            self.granted[index(slot)] = u16::try_from(used).unwrap_or(u16::MAX);
            self.closed_until = self.closed_until.min(now + WINDOW_MS);
        }
        let passed = (slot - self.newest).clamp(0, SLOTS as i64);
        for step in 0..passed {
            self.granted[index(slot - step)] = 0;
        }
        self.newest = self.newest.max(slot);
    }

    fn used(&mut self, now: i64) -> u32 {
        self.advance(now);
        self.granted.iter().map(|count| u32::from(*count)).sum()
    }

    /// When fewer than `limit` grants lie within the window: now, or the end of the slot that has
    /// to leave it first.
    fn free_at(&mut self, now: i64, limit: u32) -> i64 {
        let mut used = self.used(now);
        let mut free_at = now.max(self.closed_until);
        let mut slot = self.newest - SLOTS as i64 + 1;
        while used >= limit && slot <= self.newest {
            used -= u32::from(self.granted[index(slot)]);
            free_at = free_at.max((slot + SLOTS as i64) * SLOT_MS);
            slot += 1;
        }
        free_at
    }

    fn count(&mut self, now: i64, requests: u32) {
        self.advance(now);
        let slot = &mut self.granted[index(self.newest)];
        *slot = slot.saturating_add(u16::try_from(requests).unwrap_or(u16::MAX));
    }
}

fn index(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

impl Share {
    fn turn(&mut self, now: i64) {
        let half = now.div_euclid(WINDOW_MS / 2);
        if half != self.half {
            self.previous = if half == self.half + 1 {
                self.current
            } else {
                0
            };
            self.current = 0;
            self.half = half;
        }
    }

    /// About how many grants the mapping had in the last window.
    fn lately(&mut self, now: i64) -> u32 {
        self.turn(now);
        self.previous + self.current
    }

    fn count(&mut self, now: i64, requests: u32) {
        self.turn(now);
        self.current = self.current.saturating_add(requests);
    }
}
