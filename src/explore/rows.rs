//! Which levels of the tree stand on the lines of the screen, and in which order. Pure.

use super::model::{Micros, Model, NodeId, ROOT};
use crate::mqtt::{TopicFilter, check_topic_filter};

/// What is below this depth is not unfolded: nobody could read it, and a hostile topic has thousands of levels.
const DEEPEST: u16 = 200;

/// The order of the levels below one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// By name.
    #[default]
    Name,
    /// The highest rate first.
    Rate,
    /// The latest message first.
    Age,
}

impl Sort {
    /// The next one.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Name => Self::Rate,
            Self::Rate => Self::Age,
            Self::Age => Self::Name,
        }
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "rate",
            Self::Age => "age",
        }
    }
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The level.
    pub(super) id: NodeId,
    /// Levels above it.
    pub(super) depth: u16,
    /// What is below is shown; none where there is nothing.
    pub(super) unfolded: Option<bool>,
}

/// Which topics are shown.
#[derive(Clone, Debug, Default)]
pub(super) enum Filter {
    /// All.
    #[default]
    All,
    /// Those that contain this, in lower case.
    Part(String),
    /// Those that match a Topic Filter.
    Topics(TopicFilter),
}

impl Filter {
    /// What was typed: with a wildcard a Topic Filter, and a part of the topic otherwise.
    pub(super) fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self::All;
        }
        if text.contains(['+', '#']) && check_topic_filter(text).is_ok() {
            return TopicFilter::new(text).map_or(Self::All, Self::Topics);
        }
        Self::Part(text.to_lowercase())
    }

    /// Whether there is one.
    pub(super) const fn is_set(&self) -> bool {
        !matches!(self, Self::All)
    }

    /// Whether a topic is shown.
    pub(super) fn matches(&self, topic: &str) -> bool {
        match self {
            Self::All => true,
            Self::Part(part) => topic.to_lowercase().contains(part),
            Self::Topics(filter) => filter.matches(topic),
        }
    }
}

/// Lays the rows out.
pub(super) struct Layout<'a> {
    pub(super) filter: &'a Filter,
    pub(super) sort: Sort,
    /// Levels below this depth are folded where the user has not unfolded them.
    pub(super) depth: u16,
}

impl Layout<'_> {
    /// The rows, in the place of those in `rows`.
    pub(super) fn rows(&self, model: &mut Model, rows: &mut Vec<Row>) {
        rows.clear();
        let now = model.shown_now();
        Walk { model, now, path: String::new(), rows }.put_children(self, ROOT, 0);
    }

    fn is_unfolded(&self, model: &Model, id: NodeId, depth: u16) -> bool {
        model.unfolded(id).unwrap_or_else(|| {
            let is_system = depth == 0 && model.name(id).starts_with('$');
            self.filter.is_set() || (depth + 1 < self.depth && !is_system)
        })
    }

    fn ordered(&self, model: &mut Model, id: NodeId, now: Micros) -> Vec<NodeId> {
        model.sort(id);
        let mut children: Vec<NodeId> = model.children(id).collect();
        // Stable, so that equal ones stay in the order of their names.
        match self.sort {
            Sort::Name => {}
            Sort::Rate => {
                let mut keyed: Vec<(f64, NodeId)> =
                    children.iter().map(|child| (model.view(*child).figures.rate(now), *child)).collect();
                keyed.sort_by(|one, other| other.0.total_cmp(&one.0));
                children = keyed.into_iter().map(|(_, child)| child).collect();
            }
            Sort::Age => children.sort_by_key(|child| std::cmp::Reverse(model.view(*child).figures.last)),
        }
        children
    }
}

/// A walk over the tree that lays it out.
struct Walk<'a> {
    model: &'a mut Model,
    now: Micros,
    /// The topic of the level where it is, where there is a filter.
    path: String,
    rows: &'a mut Vec<Row>,
}

impl Walk<'_> {
    /// Puts the rows of the levels below one; whether there are any.
    fn put_children(&mut self, layout: &Layout<'_>, id: NodeId, depth: u16) -> bool {
        let mut found = false;
        for child in layout.ordered(self.model, id, self.now) {
            let length = self.path.len();
            if depth > 0 {
                self.path.push('/');
            }
            if layout.filter.is_set() {
                self.path.push_str(self.model.name(child));
            }
            found |= self.put(layout, child, depth);
            self.path.truncate(length);
        }
        found
    }

    /// Puts the rows of a level and of those below it; whether it is shown.
    fn put(&mut self, layout: &Layout<'_>, id: NodeId, depth: u16) -> bool {
        let has_children = self.model.has_children(id) && depth < DEEPEST;
        let is_unfolded = has_children && layout.is_unfolded(self.model, id, depth);
        let at = self.rows.len();
        self.rows.push(Row { id, depth, unfolded: has_children.then_some(is_unfolded) });
        let is_topic = self.model.view(id).topic.is_some();
        let mut found = !layout.filter.is_set() || (is_topic && layout.filter.matches(&self.path));
        if has_children && (is_unfolded || layout.filter.is_set()) {
            // What the broker reports about itself is unfolded by the user only.
            let folds = depth == 0 && self.model.name(id).starts_with('$');
            let below = Layout { depth: if folds { 0 } else { layout.depth }, ..*layout };
            found |= self.put_children(&below, id, depth + 1);
            if !is_unfolded {
                self.rows.truncate(at + 1);
            }
        }
        if !found {
            self.rows.truncate(at);
        }
        found
    }
}

/// As many levels as fit into this many lines, the first one in any case.
pub(super) fn fitting_depth(model: &Model, lines: usize) -> u16 {
    let mut sum = 0;
    let mut depth = 0;
    for levels in model.at_depth() {
        sum += levels;
        if sum > lines {
            break;
        }
        depth += 1;
    }
    depth.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Message;
    use crate::mqtt::wire::Publish;

    fn model(topics: &[(&str, Micros)]) -> Model {
        let mut model = Model::new(1 << 20);
        for (topic, time) in topics {
            let message = Message { topic: (*topic).into(), payload: "1".into(), ..Message::default() };
            model.add(&Publish::of(&message, 0, false), *time);
        }
        model
    }

    fn shown(model: &mut Model, filter: &str, sort: Sort, depth: u16) -> Vec<String> {
        let mut rows = Vec::new();
        Layout { filter: &Filter::new(filter), sort, depth }.rows(model, &mut rows);
        let mark = |row: &Row| row.unfolded.map_or(' ', |unfolded| if unfolded { '-' } else { '+' });
        rows.iter().map(|row| format!("{}{}{}", "  ".repeat(row.depth.into()), mark(row), model.name(row.id))).collect()
    }

    #[test]
    fn levels_are_unfolded_as_far_as_they_fit() {
        let mut model = model(&[("a/b/c", 1), ("a/d", 1), ("e", 1), ("$SYS/x/y", 1)]);
        assert_eq!([1, 2, 4, 5, 9].map(|lines| fitting_depth(&model, lines)), [1, 1, 2, 3, 3]);
        assert_eq!(shown(&mut model, "", Sort::Name, 1), ["+a", " e", "+$SYS"]);
        assert_eq!(shown(&mut model, "", Sort::Name, 3), ["-a", "  -b", "     c", "   d", " e", "+$SYS"]);
        let (a, sys) = (model.find("a").unwrap(), model.find("$SYS").unwrap());
        model.set_unfolded(a, Some(false));
        model.set_unfolded(sys, Some(true));
        assert_eq!(shown(&mut model, "", Sort::Name, 3), ["+a", " e", "-$SYS", "  +x"]);
    }

    #[test]
    fn a_filter_shows_what_matches_and_the_way_there() {
        let mut model = model(&[("House/Kitchen/temp", 1), ("House/Hall/temp", 1), ("House/Hall", 1), ("x", 1)]);
        let kitchen = ["-House", "  -Kitchen", "     temp"];
        assert_eq!(shown(&mut model, "kit", Sort::Name, 1), kitchen);
        assert_eq!(shown(&mut model, "+/Kitchen/#", Sort::Name, 1), kitchen);
        assert_eq!(shown(&mut model, "HOUSE/hall", Sort::Name, 1), ["-House", "  -Hall", "     temp"]);
        assert_eq!(shown(&mut model, "nothing", Sort::Name, 9), [""; 0]);
        assert_eq!(shown(&mut model, "a+", Sort::Name, 9), [""; 0], "no Topic Filter, and in no topic");
        let hall = model.find("House/Hall").unwrap();
        model.set_unfolded(hall, Some(false));
        assert_eq!(shown(&mut model, "temp", Sort::Name, 1)[..2], ["-House", "  +Hall"]);
    }

    #[test]
    fn orders() {
        let mut model = model(&[("b", 1), ("b", 2), ("b", 3), ("a", 3), ("c", 4), ("c", 900)]);
        assert_eq!(shown(&mut model, "", Sort::Rate, 1), [" b", " c", " a"]);
        assert_eq!(shown(&mut model, "", Sort::Age, 1), [" c", " a", " b"]);
        assert_eq!(shown(&mut model, "", Sort::Name, 1), [" a", " b", " c"]);
    }

    #[test]
    fn a_topic_of_thousands_of_levels_breaks_nothing() {
        let deep = "x/".repeat(300);
        let mut model = model(&[(&deep, 1)]);
        assert_eq!(shown(&mut model, "", Sort::Name, u16::MAX).len(), usize::from(DEEPEST) + 1);
        // What is deeper is not found.
        assert_eq!(shown(&mut model, "x", Sort::Name, 1).len(), 0);
    }
}
