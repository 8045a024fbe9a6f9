//! Any client works with a server one release away: what was released once stays as it was, number by number. Adding is
//! free; whatever is in `smdcache/v1/released.bin` must be found unchanged in the contract of today.
//!
//! When a release is made, and only then, take its contract over:
//!
//! ```sh
//! RELEASE_CONTRACT=1 cargo test -p proto --test compatibility
//! ```

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};
use std::{collections::BTreeMap, path::Path};

const RELEASED: &str = "smdcache/v1/released.bin";

/// Everything that two programs have to agree on, by a name that says where it is.
type Contract = BTreeMap<String, String>;

#[test]
fn what_was_released_is_unchanged() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(RELEASED);
    if std::env::var_os("RELEASE_CONTRACT").is_some() {
        std::fs::write(&file, without_comments(proto::DESCRIPTORS).encode_to_vec())
            .expect("released.bin is written");
    }
    let released = std::fs::read(&file).expect("released.bin is checked in");
    let broken = broken(&contract(&released), &contract(proto::DESCRIPTORS));
    assert!(broken.is_empty(), "clients of the last release would not understand:\n{}", broken.join("\n"));
}

#[test]
fn the_whole_contract_is_looked_at() {
    let contract = contract(proto::DESCRIPTORS);
    for (place, expected) in [
        ("smdcache.v1.Interface 1", "mac String"),
        ("smdcache.v1.Interface 5", "addresses repeated Message .smdcache.v1.Address"),
        ("smdcache.v1.Component 3", "nid optional Int64"),
        ("smdcache.v1.Outcome 2", "OUTCOME_UNKNOWN"),
        ("smdcache.v1.WatchEvent 6", "change Message .smdcache.v1.Change of event"),
        ("smdcache.v1.SmdCache LookupMac", ".smdcache.v1.LookupMacRequest -> .smdcache.v1.LookupReply"),
        ("smdcache.v1.SmdCache Watch", ".smdcache.v1.WatchRequest -> stream .smdcache.v1.WatchEvent"),
        ("smdcache.v1.Status.ProblemsByReasonEntry 2", "value Uint64"),
    ] {
        assert_eq!(contract.get(place).map(String::as_str), Some(expected), "{place}");
    }
}

#[test]
fn a_number_that_means_something_else_is_found() {
    let was = without_comments(proto::DESCRIPTORS);
    type Change = fn(&mut FileDescriptorSet);
    let changes: [(&str, Change); 5] = [
        ("renumbered", |set| field(set).number = Some(99)),
        ("renamed", |set| field(set).name = Some("hardware_address".into())),
        ("another type", |set| field(set).r#type = Some(12)),
        ("repeated", |set| field(set).label = Some(3)),
        ("removed", |set| drop(interface(set).field.remove(0))),
    ];
    for (change, apply) in changes {
        let mut is = was.clone();
        apply(&mut is);
        let broken = broken(&contract(&was.encode_to_vec()), &contract(&is.encode_to_vec()));
        assert_eq!(broken.len(), 1, "{change}: {broken:?}");
    }
    let mut more = was.clone();
    let added =
        FieldDescriptorProto { name: Some("added".into()), number: Some(99), ..field(&mut more).clone() };
    interface(&mut more).field.push(added);
    assert!(
        broken(&contract(&was.encode_to_vec()), &contract(&more.encode_to_vec())).is_empty(),
        "adding is free"
    );
}

fn interface(set: &mut FileDescriptorSet) -> &mut DescriptorProto {
    let messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    messages.into_iter().find(|message| message.name() == "Interface").expect("there is an Interface")
}

fn field(set: &mut FileDescriptorSet) -> &mut FieldDescriptorProto {
    &mut interface(set).field[0]
}

fn broken(was: &Contract, is: &Contract) -> Vec<String> {
    let changed = was.iter().filter(|(place, meaning)| is.get(*place) != Some(meaning));
    changed
        .map(|(place, meaning)| match is.get(place) {
            Some(now) => format!("{place} was '{meaning}' and is '{now}'"),
            None => format!("{place} was '{meaning}' and is gone"),
        })
        .collect()
}

fn without_comments(bytes: &[u8]) -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(bytes).expect("a descriptor set");
    set.file.retain(|file| file.package() == "smdcache.v1");
    for file in &mut set.file {
        file.source_code_info = None;
    }
    set
}

fn contract(bytes: &[u8]) -> Contract {
    let mut contract = Contract::new();
    for file in &without_comments(bytes).file {
        let package = file.package();
        file.message_type.iter().for_each(|message| add_message(&mut contract, package, message));
        file.enum_type.iter().for_each(|values| add_enum(&mut contract, package, values));
        file.service.iter().for_each(|service| add_service(&mut contract, package, service));
    }
    contract
}

fn add_message(contract: &mut Contract, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for field in &message.field {
        contract.insert(format!("{name} {}", field.number()), meaning(message, field));
    }
    message.nested_type.iter().for_each(|nested| add_message(contract, &name, nested));
    message.enum_type.iter().for_each(|values| add_enum(contract, &name, values));
}

fn meaning(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let mut words = vec![field.name().to_owned()];
    if field.label() == prost_types::field_descriptor_proto::Label::Repeated {
        words.push("repeated".into());
    }
    if field.proto3_optional() {
        words.push("optional".into());
    }
    words.push(format!("{:?}", field.r#type()));
    words.extend(field.type_name.clone());
    if let Some(index) = field.oneof_index.filter(|_| !field.proto3_optional()) {
        words.push(format!("of {}", message.oneof_decl[index as usize].name()));
    }
    words.join(" ")
}

fn add_enum(contract: &mut Contract, scope: &str, values: &EnumDescriptorProto) {
    for value in &values.value {
        contract.insert(format!("{scope}.{} {}", values.name(), value.number()), value.name().to_owned());
    }
}

fn add_service(contract: &mut Contract, scope: &str, service: &ServiceDescriptorProto) {
    for method in &service.method {
        contract.insert(format!("{scope}.{} {}", service.name(), method.name()), signature(method));
    }
}

fn signature(method: &MethodDescriptorProto) -> String {
    let stream = |yes| if yes { "stream " } else { "" };
    let (asks, answers) = (stream(method.client_streaming()), stream(method.server_streaming()));
    format!("{asks}{} -> {answers}{}", method.input_type(), method.output_type())
}
