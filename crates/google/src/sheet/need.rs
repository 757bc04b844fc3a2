//! What an effect takes of the quota.

use engine::effect::SheetEffect;

use super::{Missing, Nulls, Session, Target};
use crate::governor::Need;

impl Session {
    /// The requests that an effect takes when nothing races with it. Compare [`crate::Client::sent`] before and after for what it
    /// really took.
    pub fn need(&self, target: &Target, effect: &SheetEffect) -> Need {
        let state = self.state();
        let known = &state.capabilities;
        let tab = (target.spreadsheet_id.clone(), target.sheet_id);
        let unseen = u32::from(!state.tabs.contains_key(&tab));
        let drops = |tidy: &[i32]| {
            u32::from(known.missing_metadata == Missing::Refused && !tidy.is_empty())
        };
        match effect {
            SheetEffect::Read => Need {
                reads: 1,
                writes: 0,
            },
            SheetEffect::Tag { tidy, .. } | SheetEffect::Insert { tidy, .. } => Need {
                reads: unseen + drops(tidy),
                writes: 1,
            },
            SheetEffect::Write { .. } if known.nulls == Nulls::Cleared => Need {
                reads: 1 + unseen,
                writes: 2,
            },
            SheetEffect::Write { .. } => Need {
                reads: u32::from(known.missing_anchor == Missing::Refused),
                writes: 1,
            },
            SheetEffect::Delete { tidy, .. } => Need {
                reads: 1 + unseen + drops(tidy),
                writes: 2,
            },
            SheetEffect::WriteHeader { .. } => Need {
                reads: 1,
                writes: 1,
            },
            SheetEffect::Annotate { .. } => Need {
                reads: 3 + unseen,
                writes: 2,
            },
            SheetEffect::Claim { .. } => Need {
                reads: 0,
                writes: 1,
            },
            SheetEffect::TidyAll => Need {
                reads: 1,
                writes: 1,
            },
        }
    }
}
