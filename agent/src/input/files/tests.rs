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
