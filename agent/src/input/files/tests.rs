use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn server(name: &str, weight: u32) -> String {
    format!(
        "apiVersion: kube-lvs.io/v1alpha1\nkind: RealServer\nmetadata: {{name: {name}}}\nspec: {{address: 10.0.0.1, \
         weight: {weight}}}\n"
    )
}

fn weights(folder: &Folder) -> Vec<(String, i32)> {
    let objects = folder.objects();
    let of = |(name, object): (&&ObjectName, &&Object)| match object {
        Object::RealServer(server) => (name.2.clone(), server.spec.weight),
        other => panic!("{other:?}"),
    };
    objects.iter().map(of).collect()
}

fn expected(of: &[(&str, i32)]) -> Vec<(String, i32)> {
    of.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

struct Bench {
    dir: TempDir,
    folder: Folder,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let folder = Folder::new(dir.path(), BTreeMap::new());
        Self { dir, folder }
    }

    fn put(&mut self, file: &str, text: &str) -> bool {
        // A new inode each time: the file system's clock may not have moved on.
        let path = self.dir.path().join("written");
        fs::write(&path, text).unwrap();
        fs::rename(path, self.dir.path().join(file)).unwrap();
        self.folder.scan()
    }
}

#[test]
fn only_what_changed_is_news() {
    let mut bench = Bench::new();
    assert!(bench.put("a.yaml", &server("a", 1)));
    assert!(!bench.folder.scan());
    assert!(!bench.put("a.yaml", &server("a", 1)), "written anew, and the same");
    assert!(bench.put("a.yaml", &server("a", 2)));
    assert_eq!(weights(&bench.folder), expected(&[("a", 2)]));
}

#[test]
fn hidden_files_folders_and_other_suffixes_do_not_count_and_links_do() {
    let mut bench = Bench::new();
    let path = bench.dir.path().to_owned();
    for file in [".hidden.yaml", "a.yaml~", "b.txt", ".a.yaml.swp"] {
        bench.put(file, &server("x", 1));
    }
    fs::create_dir(path.join("dir.yaml")).unwrap();
    fs::create_dir(path.join("..data")).unwrap();
    fs::write(path.join("..data/c.yaml"), server("c", 1)).unwrap();
    symlink("..data/c.yaml", path.join("c.yaml")).unwrap();
    bench.put("d.json", "{\"apiVersion\": \"kube-lvs.io/v1alpha1\", \"kind\": \"RealServer\", \"metadata\": {\"name\": \"d\"}, \"spec\": {\"address\": \"10.0.0.2\"}}");
    assert_eq!(weights(&bench.folder), expected(&[("c", 1), ("d", 1)]));
    assert_eq!(bench.folder.errors(), []);
}

#[test]
fn a_bad_document_costs_the_others_nothing_and_what_it_may_have_meant_stays() {
    let mut bench = Bench::new();
    bench.put("a.yaml", &format!("{}---\n{}", server("a", 1), server("b", 1)));
    bench.put("a.yaml", &format!("{}---\n{}", server("a", 2), server("b", 70_000)));
    assert_eq!(weights(&bench.folder), expected(&[("a", 2), ("b", 1)]));
    let errors = bench.folder.errors();
    assert!(errors[0].message.contains("spec.weight"), "{errors:?}");
    assert!(errors[1].message.contains("kept"), "{errors:?}");
    bench.put("a.yaml", &server("a", 2));
    assert_eq!(weights(&bench.folder), expected(&[("a", 2)]));
    assert_eq!(bench.folder.errors(), []);
}

#[test]
fn a_deleted_file_takes_its_objects_along_and_an_emptied_one_does_not() {
    let mut bench = Bench::new();
    bench.put("a.yaml", &server("a", 1));
    bench.put("b.yaml", &server("b", 1));
    bench.put("a.yaml", "");
    assert_eq!(weights(&bench.folder), expected(&[("a", 1), ("b", 1)]));
    fs::remove_file(bench.dir.path().join("a.yaml")).unwrap();
    assert!(bench.folder.scan());
    assert_eq!(weights(&bench.folder), expected(&[("b", 1)]));
}

#[test]
fn of_two_files_with_one_object_the_first_by_name_has_it_and_the_other_is_told() {
    let mut bench = Bench::new();
    bench.put("b.yaml", &server("a", 2));
    bench.put("a.yaml", &server("a", 1));
    assert_eq!(weights(&bench.folder), expected(&[("a", 1)]));
    let errors = bench.folder.errors();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].file == "b.yaml" && errors[0].message.contains("a.yaml"), "{errors:?}");
}

#[test]
fn while_the_folder_is_away_everything_stays() {
    let mut bench = Bench::new();
    bench.put("a.yaml", &server("a", 1));
    let away = bench.dir.path().with_extension("away");
    fs::rename(bench.dir.path(), &away).unwrap();
    assert!(bench.folder.scan() && !bench.folder.scan());
    assert_eq!(weights(&bench.folder), expected(&[("a", 1)]));
    assert_eq!(bench.folder.errors()[0].file, "");
    fs::rename(away, bench.dir.path()).unwrap();
    assert!(bench.folder.scan());
    assert_eq!(bench.folder.errors(), []);
}

#[test]
fn an_earlier_runs_objects_stand_in_for_a_file_that_is_bad_now() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), "kind: [").unwrap();
    let object = manifest::parse(&server("a", 1)).remove(0).unwrap();
    let last = BTreeMap::from([
        ("a.yaml".to_owned(), vec![object.clone()]),
        ("gone.yaml".to_owned(), vec![object]),
    ]);
    let mut folder = Folder::new(dir.path(), last);
    folder.scan();
    assert_eq!(weights(&folder), expected(&[("a", 1)]));
    assert_eq!(folder.errors().len(), 2);
}

#[test]
fn a_file_that_cannot_be_read_is_tried_again() {
    let mut bench = Bench::new();
    symlink("nowhere.txt", bench.dir.path().join("a.yaml")).unwrap();
    assert!(bench.folder.scan());
    assert!(bench.folder.errors()[0].message.contains("cannot be read"));
    fs::write(bench.dir.path().join("nowhere.txt"), server("a", 1)).unwrap();
    assert!(bench.folder.scan());
    assert_eq!(weights(&bench.folder), expected(&[("a", 1)]));
}

fn doubts(text: &str) -> Vec<Option<String>> {
    let mut bench = Bench::new();
    bench.put("a.yaml", text);
    bench.folder.doubts().into_iter().map(|doubt| doubt.group).collect()
}

const GROUP_TEXT: &str = "apiVersion: kube-lvs.io/v1alpha1\nkind: DirectorGroup\nmetadata: {name: default}\nspec:\n  \
                          members:\n  - {node: a, addresses: [10.0.0.1]}\n  - {node: b, addresses: [10.0.0.2]}\n";

#[test]
fn what_seems_to_be_a_group_that_cannot_be_read_is_in_doubt() {
    let named = vec![Some("default".to_owned())];
    assert_eq!(doubts(GROUP_TEXT), []);
    assert_eq!(doubts(&GROUP_TEXT.replace("b, addresses", "b, addres")), named);
    assert_eq!(doubts(&GROUP_TEXT.replace("v1alpha1", "v1beta1")), [None]);
    assert_eq!(doubts(&GROUP_TEXT.replace("DirectorGroup", "Directorgroups")), [None]);
    assert_eq!(doubts(&GROUP_TEXT.replace("members:", "members: [")), [None]);
    assert_eq!(doubts("{\"kind\": \"DirectorGroup\", \"spec\": ["), [None]);
    assert_eq!(doubts("apiVersion: v1\nkind: List\nitems: []\n"), [None]);
    // Half written, anywhere.
    for end in 0..GROUP_TEXT.len() - 1 {
        let half = &GROUP_TEXT[..end];
        let mut bench = Bench::new();
        bench.put("a.yaml", half);
        let is_in_doubt = !bench.folder.doubts().is_empty();
        // With its last line or without a part of it, it may be a group as it stands.
        assert!(is_in_doubt || !bench.folder.objects().is_empty(), "{half}");
    }
    // What says to be something else is nobody's doubt.
    let broken = server("a", 1).replace("weight", "wait");
    assert_eq!(doubts(&broken), []);
    assert_eq!(doubts("kind: RealServer\nspec: [\n"), []);
    assert_eq!(doubts("apiVersion: apps/v1\nkind: Deployment\n"), []);
}

#[test]
fn a_group_of_which_the_last_good_state_is_known_is_in_no_doubt() {
    let mut bench = Bench::new();
    bench.put("a.yaml", GROUP_TEXT);
    for bad in [GROUP_TEXT.replace("addresses", "addres"), String::new(), "kind: [".to_owned()] {
        bench.put("a.yaml", &bad);
        assert!(bench.folder.doubts().is_empty(), "{bad}");
        assert_eq!(bench.folder.objects().len(), 1);
    }
    // What else it is about to get is.
    let edge = GROUP_TEXT.replace("name: default", "name: edge").replace("addresses", "addres");
    bench.put("a.yaml", &format!("{GROUP_TEXT}---\n{edge}"));
    let doubts = bench.folder.doubts();
    assert_eq!(doubts.first().and_then(|doubt| doubt.group.as_deref()), Some("edge"));
}
