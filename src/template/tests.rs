//! What placeholders make, what is refused, and that values stay in their ranges.

use proptest::prelude::*;

use super::parser::TemplateError;
use super::*;

const NS: u64 = 1_795_228_242_001_234_567;

fn of_payload(text: &str) -> Result<Template, TemplateError> {
    Template::of_messages(text, &Source { seed: 7, ..Source::default() })
}

/// The text of message `sequence` of mqpub.
fn text_at(text: &str, sequence: u64) -> String {
    let columns = ["id".to_owned(), "temp".to_owned()];
    let scope = Scope::Message { columns: &columns, has_line: true };
    let template = Template::in_scope(text, scope, 7).unwrap().for_messages();
    let row = [b"k1".to_vec(), b"21.5".to_vec()];
    let mut out = Vec::new();
    template.append(&Context { sequence, place: sequence, unix_ns: NS, row: &row, line: b"the line" }, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_has_rows_and_each_column_a_name_of_its_own() {
    for (text, expected) in [
        (&b"a,b\n1,2\n"[..], None),
        (b"a,b,a\n1,2,3\n", Some("it has two columns named 'a'")),
        (b"a,b\n", Some("it has no rows below its column names")),
        (b"", Some("it has no rows below its column names")),
        (b"\xff\n1\n", Some("a column name is not UTF-8")),
    ] {
        assert_eq!(Table::read(text).err().map(|error| error.to_string()).as_deref(), expected);
    }
}

#[test]
fn places_are_filled_in() {
    let template = Template::new("a/%i/%%/%c-%u/%04i").unwrap();
    assert_eq!(template.expand(7, "id", "me"), "a/7/%/id-me/0007");
    assert!(template.varies() && !template.varies_by_message());
    assert!(!Template::new("100%% sure").unwrap().varies());
}

#[test]
fn clients_have_rows_and_drawn_values_too() {
    let table = Table::read("user,room\nann,hall\nbob,attic\n".as_bytes()).unwrap();
    let source = Source { table: table.into(), seed: 7 };
    let template = Template::of_client("%{csv:room}/%{csv:user}/%{count:100:5}", &source).unwrap();
    let texts = [0, 1, 2].map(|client| template.expand(client, "", ""));
    assert_eq!(texts, ["hall/ann/100", "attic/bob/105", "hall/ann/110"], "after the last row comes the first");
    assert!(template.varies() && template.may_repeat());
    let uuid = Template::of_client("%{uuid}", &source).unwrap();
    assert!(uuid.expand(0, "", "") == uuid.expand(0, "", "") && uuid.expand(0, "", "") != uuid.expand(1, "", ""));
    assert!(!uuid.may_repeat());
    for (text, fault) in [("%{csv:rom}", "no column 'rom'; it has user, room"), ("%{time}", "is not a placeholder")] {
        let error = Template::of_client(text, &source).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
    let payload = Template::of_messages("%{csv:room}", &source).unwrap().for_client(0, "", "");
    assert_eq!(payload.longest(), 5);
}

#[test]
fn a_payload_knows_its_message_and_the_time() {
    let template = of_payload("{\"c\":\"%c\",\"n\":%s,\"at\":%t,\"p\":\"%03s\"} %i").unwrap();
    assert!(template.varies_by_message());
    let mut text = Vec::new();
    template.for_client(4, "id", "").append(&Context { sequence: 12, unix_ns: NS, ..Context::default() }, &mut text);
    assert_eq!(String::from_utf8_lossy(&text), r#"{"c":"id","n":12,"at":1795228242001,"p":"012"} 4"#);
    assert!(Template::new("%s").is_err(), "a topic does not change with the message");
}

#[test]
fn a_message_has_counters_times_columns_and_its_line() {
    for (template, expected) in [
        ("%s %03s", "12 012"),
        ("%{count} %{count:1} %{count:100:-5}", "12 13 40"),
        ("%t %{time:s} %{time:ms}", "1795228242001 1795228242 1795228242001"),
        ("%{time:us} %{time:ns}", "1795228242001234 1795228242001234567"),
        ("%{time}", "2026-11-21T02:30:42.001Z"),
        ("%{time:%Y-%m-%d %H:%M}", "2026-11-21 02:30"),
        ("s/%{csv:id}=%{csv:temp}", "s/k1=21.5"),
        ("<%{line}>", "<the line>"),
        ("%{int:5..5} %{float:2..2:1} %{choice:only}", "5 2.0 only"),
        ("100%%", "100%"),
    ] {
        assert_eq!(text_at(template, 12), expected, "{template}");
    }
}

#[test]
fn random_values_follow_from_the_seed() {
    let all = "%{int:0..1000000} %{float:0..1:9} %{choice:a|b|c|d} %{uuid}";
    assert_eq!(text_at(all, 5), text_at(all, 5));
    assert_ne!(text_at(all, 5), text_at(all, 6));
    // Two placeholders of the same kind are drawn apart.
    let two = text_at("%{int:0..1000000000}/%{int:0..1000000000}", 1);
    let (one, other) = two.split_once('/').unwrap();
    assert_ne!(one, other);
    let uuid = text_at("%{uuid}", 3);
    assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'4' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    let chosen: std::collections::BTreeSet<String> = (0..100).map(|at| text_at("%{choice:a|b|}", at)).collect();
    assert_eq!(chosen.into_iter().collect::<Vec<_>>(), ["", "a", "b"]);
}

#[test]
fn a_filter_has_a_wildcard_for_every_level_that_differs() {
    let filter = |text| Template::new(text).unwrap().filter();
    assert_eq!(filter("site/%i/temp").as_deref(), Some("site/+/temp"));
    assert_eq!(filter("site/dev-%i-%c/a%%b/%u").as_deref(), Some("site/+/a%b/+"));
    assert_eq!(filter("/%i").as_deref(), Some("/+"));
    assert_eq!(filter("one").as_deref(), Some("one"));
    assert_eq!(filter("%i/temp"), None);
    assert_eq!(filter("d%i"), None);
}

#[test]
fn what_means_nothing_is_refused() {
    let error = Template::new("%x").unwrap_err().to_string();
    assert!(error.starts_with("`%x` is not a placeholder here: use %i") && !error.contains("%s"), "{error}");
    assert!(of_payload("%x").unwrap_err().to_string().contains("%s"));
    assert_eq!(Template::new("a%"), Err(TemplateError::Dangling));
    for text in ["%0", "%0i", "%05", "%021i", "%05c", "%05%", "%00i", "%099999999999999999999999i"] {
        assert_eq!(Template::new(text), Err(TemplateError::Width), "{text}");
    }
    for (text, expected) in [
        ("%{", "`%{` without its `}`"),
        ("%{int}", "`%{int}` must have the form %{int:1..6}"),
        ("%{int:6..1}", "must have the form"),
        ("%{int:1}", "must have the form"),
        ("%{float:0..x}", "must have the form %{float:0..1}"),
        ("%{float:0..1:99}", "must have the form"),
        ("%{float:nan..nan}", "must have the form"),
        ("%{count:x}", "must have the form %{count:START:STEP}"),
        ("%{time:x}", "must have the form %{time:FORM}"),
        ("%{time:%!}", "must have the form"),
        ("%{choice}", "must have the form"),
        ("%{color}", "`%{color}` is not a placeholder here"),
        ("%{line}", "`%{line}` is not a placeholder here"),
        ("%{csv:a}", "`%{csv:a}` is not a placeholder here"),
    ] {
        let error = of_payload(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let columns = ["a".to_owned(), "b".to_owned()];
    let error = Template::in_scope("%{csv:c}", Scope::Message { columns: &columns, has_line: false }, 0).unwrap_err();
    assert_eq!(error.to_string(), "the CSV file has no column 'c'; it has a, b");
    assert!(Template::new("%{time}").is_err(), "a name does not change with the message");
}

#[test]
fn a_table_is_rows_below_names() {
    let table = Table::read(&b"id,name\n1,\"a,\"\"b\"\n2,\xff\n"[..]).unwrap();
    assert_eq!((table.columns(), table.len()), (&["id".to_owned(), "name".to_owned()][..], 2));
    assert_eq!(table.row(0), [b"1".to_vec(), b"a,\"b".to_vec()]);
    assert_eq!(table.row(3), [b"2".to_vec(), b"\xff".to_vec()]);
    for (content, expected) in
        [("id\n", "no rows"), ("", "no rows"), ("a,b\n1\n", "found record with 1 fields"), ("\u{0}", "no rows")]
    {
        let error = Table::read(content.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{content:?}: {error}");
    }
}

proptest! {
    #[test]
    fn plain_text_stays_what_it_is(text in ".{0,40}", sequence: u64) {
        prop_assert_eq!(text_at(&text.replace('%', "%%"), sequence), text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in r#"[%{}:|.0-9a-z\-]{0,30}"#, sequence: u64) {
        let columns = ["a".to_owned()];
        let table = Table::default();
        let table = &table;
        for scope in [Scope::Client { table }, Scope::ClientMessage { table }, Scope::Message { columns: &columns, has_line: true }] {
            if let Ok(template) = Template::in_scope(&text, scope, 1) {
                let messages = template.for_client(1, "c", "u");
                let mut out = Vec::new();
                messages.append(&Context { sequence, place: sequence, unix_ns: NS, ..Context::default() }, &mut out);
                prop_assert!(out.len() <= messages.longest(), "{} {}", out.len(), messages.longest());
            }
        }
    }

    #[test]
    fn numbers_stay_in_their_range(one: i64, other: i64, from in -1e6f64..1e6, width in 0.0f64..1e6, sequence: u64) {
        let (least, most) = (one.min(other), one.max(other));
        let int: i64 = text_at(&format!("%{{int:{least}..{most}}}"), sequence).parse().unwrap();
        prop_assert!((least..=most).contains(&int));
        let to = from + width;
        let text = text_at(&format!("%{{float:{from}..{to}:3}}"), sequence);
        let float: f64 = text.parse().unwrap();
        prop_assert!((from - 0.001..=to + 0.001).contains(&float) && text.split_once('.').unwrap().1.len() == 3, "{text}");
    }

    #[test]
    fn the_longest_text_is_a_bound(sequence: u64, place: u64, unix_ns: u64) {
        let text = "%s %025s %t %{time} %{time:%A %B %c} %{int:-9223372036854775808..9} %{float:-1e15..1:17} %{uuid}";
        let template = of_payload(&text.replace("%025s", "%020s")).unwrap().for_client(1, "c", "u");
        let mut out = Vec::new();
        template.append(&Context { sequence, place, unix_ns, ..Context::default() }, &mut out);
        prop_assert!(out.len() <= template.longest());
    }
}
