//! Receipts as they are remembered with an idempotency key.

use crate::queue::Receipt;
use crate::queue::varint;

pub(super) fn pack(receipts: &[Receipt]) -> Vec<u8> {
    let mut out = Vec::with_capacity(receipts.len() * 4);
    for receipt in receipts {
        varint::put(&mut out, receipt.partition.into());
        varint::put(&mut out, receipt.offset);
    }
    out
}

/// `None` when these are no receipts.
pub(super) fn unpack(mut packed: &[u8]) -> Option<Vec<Receipt>> {
    let mut receipts = Vec::new();
    while !packed.is_empty() {
        let partition = varint::take_u32(&mut packed)?;
        receipts.push(Receipt { partition, offset: varint::take(&mut packed)? });
    }
    Some(receipts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_come_back() {
        let receipts = [Receipt { partition: 0, offset: 0 }, Receipt { partition: 999, offset: 1 << 40 }];
        assert_eq!(unpack(&pack(&receipts)).as_deref(), Some(&receipts[..]));
        assert_eq!(unpack(&[]), Some(vec![]));
        assert_eq!(unpack(&[0x80]), None);
    }
}
