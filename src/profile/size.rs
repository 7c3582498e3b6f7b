//! The size of the machine: a word for a plan that providers have, or what this one has.

use super::model::MachineSize;
use super::quantity::{Capacity, Cpus};
use super::reader::{FieldDoc, Reader, Value, nearest, section, shown};
use crate::yaml::Node;

/// The plans that have a word, smallest first. Memory is sold in GiB, whatever it is called; disks in GB of 10⁹ bytes.
pub const BUILT_IN: [MachineSize; 2] = [
    MachineSize { name: Some("minimum"), cpus: 2, memory_mib: 4096, disk_mib: 38_146 },
    MachineSize { name: Some("recommended"), cpus: 4, memory_mib: 8192, disk_mib: 76_293 },
];

section! {
    /// A size of its own.
    Fields {
        /// Processors; nothing is reckoned with them.
        cpus: required Cpus, "none: must be written", "2";
        /// Memory of the plan; the system sees less.
        memory: required Capacity, "none: must be written", "4GiB";
        /// Disk of the plan.
        disk: required Capacity, "none: must be written", "40GB";
    }
}

impl Value for MachineSize {
    fn type_name() -> String {
        "`minimum`, `recommended` or mapping".into()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if node.as_map().is_some() {
            let fields = Fields::read(node, reader)?;
            let (cpus, memory, disk) = (fields.cpus?, fields.memory?, fields.disk?);
            return Some(Self { name: None, cpus: cpus.0, memory_mib: memory.0, disk_mib: disk.0 });
        }
        let text = reader.text(node, "a size of a machine")?;
        let found = BUILT_IN.into_iter().find(|size| size.name == Some(text));
        if found.is_none() {
            let near = nearest(text, BUILT_IN.iter().filter_map(|size| size.name));
            let finding = reader.invalid(node.span, format!("`{}` is not a size of a machine", shown(text)));
            match near {
                Some(word) => finding.help(format!("did you mean `{word}`?")),
                None => finding.help("write `minimum`, `recommended` or `{cpus: 2, memory: 4GiB, disk: 40GB}`"),
            };
        }
        found
    }

    fn docs(path: &str, out: &mut Vec<FieldDoc>) {
        Fields::docs(path, out);
    }
}
