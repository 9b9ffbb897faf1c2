//! The server runs commands in its data directory; its environment may name another one.

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(a_server_whose_environment_names_another_data_directory_is_not_confused);

fn a_server_whose_environment_names_another_data_directory_is_not_confused(product: Product) {
    let scratch = Scratch::new();
    let other = Node::initdb_with_segments(&scratch, "other", product, 1);
    let mut primary = Node::initdb_with_segments(&scratch, "primary", product, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    name_in_environment(&mut primary, &other);
    primary.start();
    load::prepare(&primary);
    // The backup history file and the timeline history carry no identity of their own: the cluster's counts.
    let backup = primary.back_up("backup");
    load::some_load(&scratch, &primary, 1, 50);
    primary.archive_all(&repository);
    let contents = load::contents(&primary);
    assert_eq!(primary.sql("SELECT failed_count FROM pg_stat_archiver"), "0");
    assert!(
        repository.names().iter().any(|name| name.ends_with(".backup")),
        "no backup history file is stored"
    );
    primary.stop();

    let mut recovered = Node::from_backup(&scratch, "recovered", product, &backup);
    name_in_environment(&mut recovered, &other);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
    wait_until("the timeline history is archived", || repository.has("00000002.history"));
    assert_eq!(recovered.sql("SELECT failed_count FROM pg_stat_archiver"), "0");
}

fn name_in_environment(node: &mut Node, other: &Node) {
    for variable in ["PGDATA", "KINGBASE_DATA", "WALKEEP_PGDATA"] {
        node.set_environment(variable, &other.data.display().to_string());
    }
}
