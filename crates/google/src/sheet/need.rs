//! What an effect takes of the quota.

use engine::effect::{Give, SheetEffect};

use super::images::images_id;
use super::{Answered, Missing, Session, Target, formulas, inspect};
use crate::governor::Need;

impl Session {
    /// The requests that an effect takes when nothing races with it. Compare
    /// [`crate::sent_by_this_thread`] before and after for what it really took.
    pub fn need(&self, target: &Target, effect: &SheetEffect) -> Need {
        let state = self.state();
        let known = &state.capabilities;
        let tab = (target.spreadsheet_id.clone(), target.sheet_id);
        let unseen = u32::from(!state.tabs.contains_key(&tab));
        let images = (target.spreadsheet_id.clone(), images_id(target.sheet_id));
        let made = state.tabs.contains_key(&images) || state.without_images.contains(&tab);
        let unmade = u32::from(!made);
        // Where deleting what is not there refuses a batch, what is to be dropped with it is looked
        // up first.
        let looked_up = u32::from(known.missing_metadata == Missing::Refused);
        let without_cells = u32::from(known.cells_in_answer == Answered::No);
        let unchecked = u32::from(known.anchor_checks == Answered::No);
        let batches = |reads: u32, writes: u32| Need {
            reads: reads + writes * looked_up,
            writes,
        };
        match effect {
            SheetEffect::Read | SheetEffect::FindColumns { .. } => Need::READ,
            SheetEffect::Formulas | SheetEffect::Notes => Need {
                reads: state
                    .tabs
                    .get(&tab)
                    .map_or(2, |tab| count(formulas::requests(tab))),
                writes: 0,
            },
            // Where the answer shows no cells, the header is read and the tags are looked for.
            SheetEffect::TagColumns { .. } => batches(2 + unseen, 1),
            // So are the rows, and which of their cells nobody typed, and where some have no anchor
            // the places of the others.
            SheetEffect::Tag { rows, read, .. } => {
                let some_bare = u32::from(rows.iter().any(|tag| tag.bare));
                let afterwards = if *read { 2 + some_bare } else { 0 };
                batches(unseen + afterwards * without_cells, 1)
            }
            SheetEffect::Insert { .. } => batches(unseen + without_cells, 1),
            // Where no batch checks the places of anchors, they are looked up behind a sentinel of
            // its own.
            SheetEffect::Write { .. } => batches(without_cells + unchecked, 1 + unmade + unchecked),
            SheetEffect::Delete { .. } => batches(unchecked, 1 + unmade + unchecked),
            SheetEffect::ReadRows { .. } | SheetEffect::Look { .. } => Need::READ,
            SheetEffect::Images => batches(2, 0),
            SheetEffect::Inspect { cells } => Need {
                reads: count(inspect::requests(cells).len()),
                writes: 0,
            },
            SheetEffect::WriteHeader { formats, .. } => {
                let looked_at = formats.iter().filter(|one| one.give == Give::WhereNone);
                batches(count(looked_at.count()).saturating_add(1), 1)
            }
            // Where no batch checks the places of anchors, they are looked up once more.
            SheetEffect::Annotate { .. } => batches(3 + unseen + unchecked, 1),
            SheetEffect::Claim { .. } => batches(0, 1),
            SheetEffect::TidyAll => Need {
                reads: 1,
                writes: 1,
            },
        }
    }
}

fn count(requests: usize) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX)
}
