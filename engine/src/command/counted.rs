//! Key positions of commands that say how many keys they name. The count is read as Redis
//! reads it here, with `atoi`: whether it is a clean number is for the command to say.

use crate::command::spec::{Args, KeyFlags, KeyRef};
use basalt_formats::num::atoi;

/// The keys behind the count at `count_at`; `None` if there are fewer words
/// than that, or the count is not positive. O(keys).
pub(in crate::command) fn counted(
    args: Args<'_>,
    count_at: usize,
    flags: KeyFlags,
) -> Option<Vec<KeyRef>> {
    let count = usize::try_from(atoi(args.get(count_at)?)).ok()?;
    let first = count_at + 1;
    if count == 0 || count > args.len().saturating_sub(first) {
        return None;
    }
    Some((first..first + count).map(|at| (at, flags)).collect())
}

/// Keys of `ZUNION numkeys key ...` and kin.
pub(in crate::command) fn zunion_inter_diff_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    counted(args, 1, KeyFlags::RO.or(KeyFlags::ACCESS))
}

/// Keys of `ZUNIONSTORE destination numkeys key ...` and kin.
pub(in crate::command) fn zunion_inter_diff_store_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let mut keys = counted(args, 2, KeyFlags::RO.or(KeyFlags::ACCESS))?;
    keys.insert(0, (1, KeyFlags::OW.or(KeyFlags::UPDATE)));
    Some(keys)
}

const POPPED: KeyFlags = KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE);

/// Keys of `ZMPOP numkeys key ...`.
pub(in crate::command) fn zmpop_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    counted(args, 1, POPPED)
}

/// Keys of `BZMPOP timeout numkeys key ...`.
pub(in crate::command) fn blmpop_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    counted(args, 2, POPPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(found: Option<Vec<KeyRef>>) -> Option<Vec<usize>> {
        found.map(|keys| keys.into_iter().map(|(at, _)| at).collect())
    }

    #[test]
    fn counts_say_where_keys_end() {
        let words = |text: &'static str| text.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        let zunion = |text| at(zunion_inter_diff_get_keys(&words(text)));
        assert_eq!(zunion("zunion 2 a b weights 1 2"), Some(vec![2, 3]));
        assert_eq!(zunion("zunion 3 a b"), None);
        assert_eq!(zunion("zunion 0 a b"), None);
        assert_eq!(zunion("zunion -1 a b"), None);
        assert_eq!(zunion("zunion 9223372036854775807 a"), None);
        assert_eq!(zunion("zunion x a"), None);
        let store = at(zunion_inter_diff_store_get_keys(&words("s d 2 a b")));
        assert_eq!(store, Some(vec![1, 3, 4]));
        assert_eq!(at(zmpop_get_keys(&words("zmpop 1 a min"))), Some(vec![2]));
        let blocking = at(blmpop_get_keys(&words("bzmpop 0 1 a min")));
        assert_eq!(blocking, Some(vec![3]));
    }

    #[test]
    fn counts_are_read_leniently() {
        let zunion = |count: &str| {
            let words = [&b"ZUNION"[..], count.as_bytes(), b"a", b"b"];
            at(counted(&words, 1, KeyFlags::RO))
        };
        assert_eq!(zunion("1.5 "), Some(vec![2]));
        assert_eq!(zunion("4294967297"), Some(vec![2]));
        for none in ["0.9", " -1", "3", "x", "2147483648"] {
            assert_eq!(zunion(none), None, "{none}");
        }
    }
}
