//! Compose's two tags for what is laid over something: `!reset` takes away what is there, `!override` takes its place
//! instead of being merged with it. What stands behind `!reset` is no matter, so that it is a scalar here, whatever it
//! was; `!override` is kept as the tag of the key, for the value is like any other.

use super::{Kind, Node};
use crate::report::Span;

/// Takes away what is there.
pub(super) const RESET: &str = "!reset";
/// Takes the place of what is there.
pub(super) const OVERRIDE: &str = "!override";
/// Sections of a profile that are laid over a Compose file.
const SECTIONS: [&str; 4] = ["services", "volumes", "networks", "configs"];

/// Whether what stands under this key of a profile may be laid over a Compose file.
pub(super) fn is_section(key: &str) -> bool {
    SECTIONS.contains(&key)
}

impl Node {
    /// What takes away a value.
    pub(super) fn reset(span: Span) -> Self {
        Self { span, kind: Kind::Scalar { text: String::new(), plain: true, tag: Some(RESET.to_owned()) } }
    }

    /// Says of a key that its value is not merged with what is there.
    pub(super) fn mark_override(&mut self) {
        if let Kind::Scalar { tag, .. } = &mut self.kind {
            *tag = Some(OVERRIDE.to_owned());
        }
    }

    /// A value that takes away what stands under its key.
    pub fn is_reset(&self) -> bool {
        self.has_tag(RESET)
    }

    /// A key whose value is not merged with what is there.
    pub fn is_override(&self) -> bool {
        self.has_tag(OVERRIDE)
    }

    fn has_tag(&self, wanted: &str) -> bool {
        matches!(&self.kind, Kind::Scalar { tag: Some(tag), .. } if tag == wanted)
    }

    /// Without the two tags, as a document is by itself: what one of them takes away is not there, the other says nothing.
    pub fn settle(&mut self) {
        match &mut self.kind {
            Kind::Seq(items) => {
                items.retain(|item| !item.is_reset());
                items.iter_mut().for_each(Node::settle);
            }
            Kind::Map(entries) => {
                entries.retain(|(_, value)| !value.is_reset());
                for (key, value) in entries.iter_mut() {
                    key.settle_key();
                    value.settle();
                }
            }
            Kind::Scalar { .. } => {}
        }
    }

    /// A profile without the two tags, but for those that are to do something to the Compose file that it names.
    pub fn settle_profile(&mut self) {
        let over = self.get("compose").is_some_and(|file| !file.is_null() && !file.is_reset());
        let stays = |key: &Node| over && key.as_str().is_some_and(is_section);
        let Kind::Map(entries) = &mut self.kind else { return };
        entries.retain(|(key, value)| !value.is_reset() || stays(key));
        for (key, value) in entries.iter_mut() {
            if !stays(key) {
                key.settle_key();
                value.settle();
            } else if value.is_reset() {
                // Nothing in the place of the whole section.
                key.mark_override();
                value.kind = Kind::Map(Vec::new());
            }
        }
    }

    fn settle_key(&mut self) {
        if self.is_override()
            && let Kind::Scalar { tag, .. } = &mut self.kind
        {
            *tag = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Report;
    use crate::yaml::{Node, emit, merge, parse};

    fn node(text: &str) -> Node {
        let mut report = Report::new();
        let source = report.sources.add("t", text);
        parse(&mut report, source).expect("YAML")
    }

    fn same(node: &Node, text: &str) {
        assert_eq!(emit(node), emit(&self::node(text)));
    }

    #[test]
    fn a_document_by_itself_has_what_no_tag_takes_away() {
        let mut tagged = node("a: !reset [x, {b: c}]\nd: !override {e: !reset 1, f: !override 2}\ng: [!reset x, y, !override [z], {h: !reset {}}]\n");
        assert!(tagged.get("a").is_some_and(Node::is_reset));
        assert!(tagged.entry("d").is_some_and(|(key, value)| key.is_override() && value.as_map().is_some()));
        tagged.settle();
        same(&tagged, "d: {f: 2}\ng: [y, [z], {}]\n");
        assert!(tagged.entry("d").is_some_and(|(key, _)| !key.is_override()));
    }

    #[test]
    fn an_overlay_takes_away_and_replaces_by_tags() {
        let mut report = Report::new();
        let mut base = node("a: {b: 1, c: 2}\nd: {e: 1}\nf: [1]\n");
        merge(&mut base, node("a: !override {g: 3}\nd: {e: !reset {}, h: 4}\nf: !reset []\nnew: !override {i: 5}\n"), &mut report);
        same(&base, "a: {g: 3}\nd: {h: 4}\nnew: {i: 5}\n");
        // It may be laid over more: what found nothing to take away or to replace is still to do so.
        merge(&mut base, node("a: {j: !reset x}\n"), &mut report);
        assert_eq!(emit(base.get("a").expect("a mapping")), "g: 3\nj: !reset null\n");
        assert!(base.entry("new").is_some_and(|(key, _)| key.is_override()));
        assert!(report.findings().is_empty());
    }

    #[test]
    fn what_is_laid_over_a_compose_file_yet_keeps_what_takes_away() {
        let mut report = Report::new();
        let mut base = node("compose: x.yaml\nhost: {swap: none}\nservices: {a: {ports: [x], labels: {b: c}, user: d, dns: [e]}}\nvolumes: {v: {}}\n");
        let over = "host: !reset {}\nupdates: !reset {}\nssh: {port: !reset 1}\nservices: {a: {ports: !reset [], labels: !reset {}, user: !reset x, dns: !reset []}}\nvolumes: !reset {}\n";
        merge(&mut base, node(over), &mut report);
        merge(&mut base, node("services: {a: {labels: {f: g}, user: null, dns+: [h]}}\n"), &mut report);
        base.settle_profile();
        let service = base.get("services").and_then(|services| services.get("a")).expect("a service");
        for (key, reset, over) in [("ports", true, false), ("labels", false, true), ("user", true, false), ("dns", false, true)] {
            let (key, value) = service.entry(key).expect("a key");
            assert_eq!((value.is_reset(), key.is_override()), (reset, over), "{key:?}");
        }
        assert!(base.entry("volumes").is_some_and(|(key, value)| key.is_override() && value.as_map().is_some_and(<[_]>::is_empty)));
        merge(&mut base, node("compose: null\n"), &mut report);
        base.settle_profile();
        same(&base, "services: {a: {labels: {f: g}, dns: [h]}}\nvolumes: {}\nssh: {}\n");
        assert!(report.findings().is_empty());
    }

    #[test]
    fn a_tag_that_says_nothing_is_refused() {
        let mut report = Report::new();
        for text in ["!override {a: b}\n", "!reset a: b\n"] {
            let source = report.sources.add("t", text);
            assert!(parse(&mut report, source).is_none(), "{text}");
        }
        assert_eq!(report.findings().iter().filter(|finding| finding.code == "yaml-tag").count(), 2);
    }

    #[test]
    fn a_path_goes_through_what_takes_away() {
        let mut root = node("services: {a: {labels: !reset {b: c}}}\n");
        let (span, path) = (root.span, crate::yaml::Path::parse("services.a.labels.d").expect("a path"));
        crate::yaml::set_path(&mut root, &path, span, Node::string(span, "e")).expect("is set");
        let service = root.get("services").and_then(|services| services.get("a")).expect("a service");
        assert!(service.entry("labels").is_some_and(|(key, value)| key.is_override() && value.get("d").is_some()));
    }
}
