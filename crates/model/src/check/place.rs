//! Where in a document a setting stands, by its path: for what is found to be wrong with it when the document was read
//! already, such as a file that it names.

use super::service::service_fields;
use super::walk::find;
use crate::field::{Field, Shape};
use crate::kind::Kinds;
use crate::tree::{Node, Place};

/// The place of the setting with this path, such as `services.web.tls.ca`, in a document with these keys. What is left out
/// is missed in what would hold it; a path of which nothing stands there has no place.
#[must_use]
pub fn place(root: &Node, fields: &'static [Field], kinds: &dyn Kinds, path: &str) -> Option<Place> {
    let (mut node, mut shape, mut place) = (root, Shape::Fields(fields), None);
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        let next = match step.strip_suffix(']') {
            Some(index) => item(node, shape, index),
            None => value(node, shape, step, kinds),
        };
        let Some((inner, of)) = next.filter(|(inner, _)| !inner.is_null()) else { break };
        (node, shape, place) = (inner, of, Some(inner.at));
    }
    place
}

fn item<'n>(list: &'n Node, shape: Shape, index: &str) -> Option<(&'n Node, Shape)> {
    let item = list.items().get(index.parse::<usize>().ok()?)?;
    Some((item, if let Shape::List(of) = shape { *of } else { Shape::Any }))
}

/// The value of a key, which may be written as an alias.
fn value<'n>(map: &'n Node, shape: Shape, key: &str, kinds: &dyn Kinds) -> Option<(&'n Node, Shape)> {
    let field: Option<Field> = match shape {
        Shape::MapOf(of) => return map.get(key).map(|node| (node, *of)),
        Shape::AnyOf(shapes) => {
            return shapes.iter().find_map(|shape| value(map, *shape, key, kinds));
        }
        Shape::Fields(fields) => find(&fields.iter().collect::<Vec<_>>(), key).copied(),
        Shape::Service => map
            .get("type")
            .and_then(|kind| kinds.find(kind.as_str()?))
            .and_then(|kind| find(&service_fields(kind), key).copied()),
        _ => None,
    };
    let Some(field) = field else { return map.get(key).map(|node| (node, Shape::Any)) };
    let mut names = std::iter::once(field.name).chain(field.aliases.iter().copied());
    names.find_map(|name| map.get(name)).map(|node| (node, field.shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_fields::CLUSTER;
    use crate::testing::TestKinds;

    #[test]
    fn a_setting_is_found_by_its_path_or_missed_where_it_would_stand() {
        let text = "name: Shop\nservices:\n  web:\n    type: net\n    host: a\n    pool: { max: 5 }\n\
                    routes:\n  - { id: a, path: /a, service: web }\n  - { id: b, path: /b, service: web }\n";
        let tree = crate::yaml::parse(text).unwrap();
        for (path, line, column) in [
            ("services.web.host", 5, 11),
            ("services.web.pool.max", 6, 18),
            ("services.web.pool.least", 6, 11),
            ("services.web.port", 4, 5),
            ("routes[1].path", 9, 20),
            ("routes[1].timeout", 9, 5),
            ("routes[7]", 8, 3),
        ] {
            assert_eq!(place(&tree, CLUSTER, &TestKinds, path), Some(Place { line, column }), "{path}");
        }
        assert_eq!(place(&tree, CLUSTER, &TestKinds, "routing.timeout_ms"), None);
        assert_eq!(place(&tree, CLUSTER, &TestKinds, ""), None);
    }

    #[test]
    fn a_setting_is_found_under_its_other_names() {
        const PAIR: &[Field] = &[crate::field::field("cert", Shape::Text, "").aliases(&["cert_file"])];
        const FIELDS: &[Field] =
            &[crate::field::field("pairs", Shape::List(&Shape::Fields(PAIR)), "").aliases(&["certificates"])];
        let tree = crate::yaml::parse("certificates: [{ cert_file: a }]").unwrap();
        assert_eq!(place(&tree, FIELDS, &TestKinds, "pairs[0].cert"), Some(Place { line: 1, column: 29 }));
    }
}
