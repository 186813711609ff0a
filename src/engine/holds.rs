//! Which decisions not to act were written down, so that each is told once: when it begins, when what would lift it
//! becomes another, and when it ends. Figures alone change all the time and are told by the status.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use crate::check::{Hold, Lift};
use crate::observation::NodeName;
use crate::record::Record;
use crate::time::Tick;

/// While the journal does not answer, its holds are written down again this often: the answer tells whether that lasts.
const TRY_STORE_EVERY: Duration = Duration::from_secs(10);

/// The playbook, the patient, the check.
pub(crate) type Key = (String, NodeName, &'static str);

#[derive(Default)]
pub(crate) struct Holds {
    told: BTreeMap<Key, Discriminant<Lift>>,
    try_store_after: Tick,
}

impl Holds {
    /// Takes every hold of this moment; gives what is to be written down.
    pub(crate) fn note(&mut self, current: &BTreeMap<Key, &Hold>, store_answers: bool, now: Tick) -> Vec<Record> {
        if !store_answers && now >= self.try_store_after {
            self.try_store_after = now + TRY_STORE_EVERY;
            self.told.retain(|_, lift| *lift != discriminant(&Lift::Journal));
        }
        let mut records = Vec::new();
        self.told.retain(|key, _| {
            let lasts = current.contains_key(key);
            if !lasts {
                records.push(record(key, false, String::new(), String::new()));
            }
            lasts
        });
        for (key, hold) in current {
            let lift = discriminant(&hold.lifts);
            if self.told.insert(key.clone(), lift) != Some(lift) {
                records.push(record(key, true, hold.text.clone(), hold.lifts.describe(now)));
            }
        }
        records
    }
}

fn record((playbook, node, check): &Key, raised: bool, text: String, lifts: String) -> Record {
    Record::Hold { playbook: playbook.clone(), node: node.clone(), check, raised, text, lifts }
}
