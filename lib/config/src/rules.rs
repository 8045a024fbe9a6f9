//! The rule language: which components get which host name and policy. Two forms, one meaning: CoreSMD's text
//! (`type:Node,hostname:nid{04d}`) is cut into the table that the spelled-out form is to begin with.

mod text;

use crate::{
    id_set::IdSet,
    options::{self, Options},
    pattern::Pattern,
    reader::{Book, Field, Place, Section, shorten},
    scalars, url,
    yaml::{Data, Node},
};
use ipnet::IpNet;
use std::net::Ipv4Addr;
use values::Name;
use xxhash_rust::xxh3::xxh3_64;

/// One rule of the rule language.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Given, or `rule-` and eight hexadecimal digits of a hash of its text.
    pub name: String,
    /// Line in the file; 0 for the default rules.
    pub line: usize,
    /// All that are given must hold.
    pub matches: Match,
    /// Pattern of the host name.
    pub hostname: Option<Pattern>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 1, from `netmask`, `cidr`, or the mask of the first `subnet` (an IPv4 one).
    pub prefix_length: Option<u8>,
    /// Without leading dots.
    pub domain: Option<Name>,
    /// What follows the host name.
    pub domain_append: Option<DomainAppend>,
    /// No reply at all; ends evaluation.
    pub ignore: bool,
    /// Later rules are looked at too.
    pub goes_on: bool,
    /// How a match is logged.
    pub log: RuleLog,
    /// Instead of the loader: a file name or a URL, with placeholders.
    pub boot_file: Option<String>,
    /// Instead of the TFTP server.
    pub next_server: Option<Ipv4Addr>,
    /// Instead of `boot.script_url`.
    pub script_url: Option<String>,
    /// Further options, those of `dns` and `lease_time` among them.
    pub options: Options,
}

impl Rule {
    /// The domain of the names this rule gives, where `global` is the file's `domain`. Two parts that are too long
    /// together are the first of them.
    pub fn effective_domain(&self, global: Option<&Name>) -> Option<Name> {
        let own = self.domain.as_ref();
        let both = |first: Option<&Name>, second: Option<&Name>| match (first, second) {
            (Some(first), Some(second)) => second.below(first.as_str()).ok().or_else(|| Some(first.clone())),
            (one, other) => one.or(other).cloned(),
        };
        match self.domain_append {
            None => own.or(global).cloned(),
            Some(DomainAppend::None) => None,
            Some(DomainAppend::Global) => global.cloned(),
            Some(DomainAppend::Rule) => own.cloned(),
            Some(DomainAppend::GlobalRule) => both(global, own),
            Some(DomainAppend::RuleGlobal) => both(own, global),
        }
    }
}

/// Conditions of a rule; an empty list is no condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// Component types, compared without case.
    pub types: Vec<String>,
    /// Tested against the address being named.
    pub subnets: Vec<IpNet>,
    /// `id` and `id_set`, never expanded: see [`IdSet`].
    pub ids: Option<IdSet>,
    /// Component roles, without case, like the lists below.
    pub roles: Vec<String>,
    /// Sub-roles.
    pub sub_roles: Vec<String>,
    /// Architectures.
    pub archs: Vec<String>,
    /// Classes.
    pub classes: Vec<String>,
    /// Enabled or not.
    pub enabled: Option<bool>,
    /// Member of any of these groups.
    pub groups: Vec<String>,
    /// SMD's `Network` of the address.
    pub networks: Vec<String>,
}

/// `global`, `rule`, `global|rule`, `rule|global`: these parts in this order; `none`: no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainAppend {
    /// Bare host name.
    None,
    /// The global domain.
    Global,
    /// The rule's.
    Rule,
    /// Global, then the rule's.
    GlobalRule,
    /// The rule's, then the global one.
    RuleGlobal,
}

/// How a rule's match is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleLog {
    /// At info level.
    Info,
    /// At debug level.
    #[default]
    Debug,
    /// Not at all.
    None,
}

/// Keys under `match`; in the text form they stand among the others.
pub(crate) const MATCH_KEYS: [&str; 11] =
    ["type", "subnet", "id", "id_set", "role", "sub_role", "arch", "class", "enabled", "group", "network"];

/// What holds where the file has no `rules`.
const DEFAULT_RULES: [&str; 2] = ["type:Node,hostname:nid{04d}", "type:NodeBMC,hostname:bmc{04d}"];

/// `rules` of the file, or the default ones.
pub(crate) fn read(root: &Section) -> Vec<Rule> {
    match root.field("rules") {
        Some(field) => field.each(rule).unwrap_or_default(),
        None => default_rules(),
    }
}

fn default_rules() -> Vec<Rule> {
    let book = Book::default();
    let parse = |text: &&str| {
        let node = Node::scalar(text.to_string(), Place { line: 0, column: 1 });
        rule(&Field { node: &node, path: String::new(), book: &book }).expect("the default rules are good")
    };
    DEFAULT_RULES.iter().map(parse).collect()
}

fn rule(field: &Field) -> Option<Rule> {
    let canonical = canonical(field.node);
    let line = field.place().line;
    match &field.node.data {
        Data::Scalar(_) => {
            let tables = text::split(field)?;
            let part = |node| Field { node, path: field.path.clone(), book: field.book };
            let (matches, has_subnet) = part(&tables.conditions).section(matches)?;
            part(&tables.actions).section(|section| {
                section.also("", &MATCH_KEYS);
                let rule = complete(section, matches, line, &canonical);
                if tables.whole {
                    must_do_something(section, &rule, has_subnet);
                }
                rule
            })
        }
        _ => field.section(|section| {
            section.also("match", &MATCH_KEYS);
            let (matches, has_subnet) = section.part("match", matches);
            let rule = complete(section, matches, line, &canonical);
            must_do_something(section, &rule, has_subnet);
            rule
        }),
    }
}

/// The conditions, and whether `subnet` is among them, right or wrong.
fn matches(section: &Section) -> (Match, bool) {
    let words = |key| section.get(key, |field| each_word(field, scalars::text)).unwrap_or_default();
    let id = section.get("id", |field| ids(field, false));
    let id_set = section.get("id_set", |field| ids(field, true));
    if section.field("id").is_some() && section.field("id_set").is_some() {
        section.mistake("id_set", "`id` and `id_set` exclude each other");
    }
    let matches = Match {
        types: words("type"),
        subnets: section.get("subnet", |field| each_word(field, subnet)).unwrap_or_default(),
        ids: id_set.or(id),
        roles: words("role"),
        sub_roles: words("sub_role"),
        archs: words("arch"),
        classes: words("class"),
        enabled: section.get("enabled", scalars::switch),
        groups: words("group"),
        networks: words("network"),
    };
    (matches, section.field("subnet").is_some())
}

fn complete(section: &Section, matches: Match, line: usize, canonical: &str) -> Rule {
    let name = section.get("name", scalars::text);
    let netmask = section.get("netmask", scalars::netmask);
    let cidr = section.get("cidr", prefix_length);
    if section.field("netmask").is_some() && section.field("cidr").is_some() {
        section.mistake("cidr", "`netmask` and `cidr` exclude each other");
    }
    let of_subnet = matches.subnets.iter().find_map(|subnet| match subnet {
        IpNet::V4(subnet) => Some(subnet.prefix_len()).filter(|length| *length > 0),
        IpNet::V6(_) => None,
    });
    Rule {
        name: name.unwrap_or_else(|| format!("rule-{:08x}", xxh3_64(canonical.as_bytes()) as u32)),
        line,
        hostname: section.get("hostname", hostname),
        routers: section.get("routers", |field| each_word(field, scalars::ipv4)).unwrap_or_default(),
        prefix_length: netmask.or(cidr).or(of_subnet),
        domain: section.get("domain", scalars::name),
        domain_append: section.get("domain_append", domain_append),
        ignore: section.get("ignore", scalars::switch).unwrap_or(false),
        goes_on: section.get("continue", scalars::switch).unwrap_or(false),
        log: section.get("log", rule_log).unwrap_or_default(),
        boot_file: section.get("boot_file", url::boot_file),
        next_server: section.get("next_server", scalars::ipv4),
        script_url: section.get("script_url", url::boot_url),
        options: options::read(section, each_value, &options::KEYS_OF_RULES),
        matches,
    }
}

fn must_do_something(section: &Section, rule: &Rule, has_subnet: bool) {
    // A key with a mistake in it counts, and so may one that is misspelt: one sentence about it is enough.
    let given = ["hostname", "routers", "netmask", "cidr", "boot_file", "next_server", "script_url"];
    let is_given = |key: &&'static str| section.field(key).is_some();
    let does_something =
        rule.ignore || has_subnet || given.iter().any(is_given) || options::are_given(section);
    if !does_something && !section.has_unknown() {
        let message =
            "does nothing: it needs one of hostname, routers, netmask, cidr, ignore: true, or a subnet";
        section.book.mistake(section.place, &section.path, message);
    }
}

/// The words of `a|b`, or of a list, each read at its own place.
pub(crate) fn each_word<T>(field: &Field, read: impl Fn(&Field) -> Option<T>) -> Option<Vec<T>> {
    if let Data::List(_) = field.node.data {
        return field.each(read);
    }
    let text = field.text("a word or a list")?;
    let mut words = Vec::new();
    let mut at = 0;
    for piece in text.split('|') {
        let start = at + piece.len() - piece.trim_start().len();
        let node = field.node.slice(start, start + piece.trim().len());
        match piece.trim() {
            "" => field.mistake_at(at, "an empty word in a list"),
            _ => words.extend(read(&Field { node: &node, path: field.path.clone(), book: field.book })),
        }
        at += piece.len() + 1;
    }
    Some(words)
}

/// The same for values that are bytes already.
fn each_value(field: &Field, read: &dyn Fn(&Field<'_>) -> Option<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    each_word(field, read)
}

/// Host bits are dropped, as CoreSMD does: `172.16.0.1/24` is the network of that address.
fn subnet(field: &Field) -> Option<IpNet> {
    field.parse("a network", |text| scalars::parse_network(text).map(|network| network.trunc()))
}

fn ids(field: &Field, ranges: bool) -> Option<IdSet> {
    let mut set = IdSet::new();
    let add = |field: &Field| field.text("an xname").map(|text| (text.to_owned(), field.node.clone()));
    for (text, node) in each_word(field, add)? {
        if let Err((byte, message)) = set.add(&text, ranges) {
            field.book.mistake(node.place_of(byte), &field.path, message);
        }
    }
    Some(set)
}

/// A host name pattern.
pub(crate) fn hostname(field: &Field) -> Option<Pattern> {
    match Pattern::parse(field.text("a host name pattern")?) {
        Ok(pattern) => Some(pattern),
        Err(bad) => {
            field.mistake_at(bad.at, bad.message);
            None
        }
    }
}

/// `22` or `/22`.
fn prefix_length(field: &Field) -> Option<u8> {
    field.parse("a prefix length", |text| {
        let length = text.strip_prefix('/').unwrap_or(text).parse().ok();
        let good = length.filter(|length| (1..=32).contains(length));
        good.ok_or_else(|| format!("'{}' is no prefix length from 1 to 32", shorten(text)))
    })
}

fn domain_append(field: &Field) -> Option<DomainAppend> {
    let words = each_word(field, scalars::text)?;
    let words: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    Some(match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["none"] => DomainAppend::None,
        ["global"] => DomainAppend::Global,
        ["rule"] => DomainAppend::Rule,
        ["global", "rule"] => DomainAppend::GlobalRule,
        ["rule", "global"] => DomainAppend::RuleGlobal,
        _ => {
            field.mistake("none of none, global, rule, global|rule, rule|global");
            return None;
        }
    })
}

fn rule_log(field: &Field) -> Option<RuleLog> {
    field.parse("info, debug or none", |text| match text.to_ascii_lowercase().as_str() {
        "info" => Ok(RuleLog::Info),
        "debug" => Ok(RuleLog::Debug),
        "none" => Ok(RuleLog::None),
        _ => Err(format!("'{}' is none of info, debug, none", shorten(text))),
    })
}

/// The rule as text, to be hashed for its name.
fn canonical(node: &Node) -> String {
    match &node.data {
        Data::Null => String::new(),
        Data::Scalar(scalar) => scalar.text.trim().to_owned(),
        Data::List(items) => items.iter().map(canonical).collect::<Vec<_>>().join("|"),
        Data::Map(entries) => entries
            .iter()
            .map(|(key, value)| format!("{}:{}", key.text, canonical(value)))
            .collect::<Vec<_>>()
            .join(","),
    }
}
