//! What SMD reads out of the form of an xname: its type, and the NID of a node that was posted without one.

/// Type by the letters of the name, numbers left out.
const KINDS: &[(&str, &str)] = &[
    ("s", "System"),
    ("p", "Partition"),
    ("d", "CDU"),
    ("dw", "CDUMgmtSwitch"),
    ("sms", "SMSBox"),
    ("x", "Cabinet"),
    ("xb", "CabinetBMC"),
    ("xd", "CabinetCDU"),
    ("xe", "CEC"),
    ("xm", "CabinetPDUController"),
    ("xmp", "CabinetPDU"),
    ("xmi", "CabinetPDUNic"),
    ("xmpj", "CabinetPDUOutlet"),
    ("xmpv", "CabinetPDUPowerConnector"),
    ("xc", "Chassis"),
    ("xcb", "ChassisBMC"),
    ("xcbi", "ChassisBMCNic"),
    ("xcf", "CMMFpga"),
    ("xct", "CMMRectifier"),
    ("xcw", "MgmtSwitch"),
    ("xcwj", "MgmtSwitchConnector"),
    ("xch", "MgmtHLSwitchEnclosure"),
    ("xchs", "MgmtHLSwitch"),
    ("xcr", "RouterModule"),
    ("xcra", "HSNAsic"),
    ("xcral", "HSNLink"),
    ("xcrb", "RouterBMC"),
    ("xcrbi", "RouterBMCNic"),
    ("xcre", "HSNBoard"),
    ("xcrf", "RouterFpga"),
    ("xcrj", "HSNConnector"),
    ("xcrjp", "HSNConnectorPort"),
    ("xcrt", "RouterTOR"),
    ("xcrtf", "RouterTORFpga"),
    ("xcrv", "RouterPowerConnector"),
    ("xcs", "ComputeModule"),
    ("xcsb", "NodeBMC"),
    ("xcsbf", "NodeFpga"),
    ("xcsbi", "NodeBMCNic"),
    ("xcsbn", "Node"),
    ("xcsbna", "NodeAccel"),
    ("xcsbnd", "Memory"),
    ("xcsbng", "StorageGroup"),
    ("xcsbngk", "Drive"),
    ("xcsbnh", "NodeHsnNic"),
    ("xcsbni", "NodeNic"),
    ("xcsbnp", "Processor"),
    ("xcsbnr", "NodeAccelRiser"),
    ("xcsbnv", "VirtualNode"),
    ("xcse", "NodeEnclosure"),
    ("xcset", "NodeEnclosurePowerSupply"),
    ("xcsv", "NodePowerConnector"),
];

/// The xname as SMD stores it: lower case, numbers without leading zeros. `None` for what is none.
pub(crate) fn normal(text: &str) -> Option<String> {
    let name: values::Xname = text.parse().ok()?;
    kind(name.as_str())?;
    Some(name.as_str().to_owned())
}

/// The type of a normalised xname.
pub fn kind(name: &str) -> Option<&'static str> {
    let letters: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    KINDS.iter().find(|(form, _)| *form == letters).map(|(_, kind)| *kind)
}

/// SMD's own spelling of a type given in any case.
pub(crate) fn known_kind(text: &str) -> Option<&'static str> {
    KINDS.iter().map(|(_, kind)| *kind).find(|kind| kind.eq_ignore_ascii_case(text))
}

/// Every type that an xname can have.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(_, kind)| *kind)
}

/// The NID SMD makes for a node without one. The layout of the bits is made to fit the one recorded answer
/// (x1000c0s3b0n0: 16400480) and is not known to hold for others.
pub(crate) fn made_nid(name: &str) -> i64 {
    let numbers: Vec<i64> = name
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [cabinet, chassis, slot, bmc, node] => {
            ((cabinet + 1) << 14) | (chassis << 11) | (slot << 5) | (bmc << 4) | node
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_comes_from_the_form() {
        for (name, wanted) in [
            ("x1000c0s0b0n0", Some("Node")),
            ("x1000c0s0b0", Some("NodeBMC")),
            ("x1000c0w14", Some("MgmtSwitch")),
            ("x3000c0h33s1", Some("MgmtHLSwitch")),
            ("x3000m0", Some("CabinetPDUController")),
            ("x1000c0r1b0", Some("RouterBMC")),
            ("bogus", None),
            ("q1", None),
        ] {
            assert_eq!(kind(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_nid_is_made_as_recorded() {
        assert_eq!(made_nid("x1000c0s3b0n0"), 16_400_480);
    }
}
