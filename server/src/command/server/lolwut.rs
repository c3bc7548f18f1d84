//! LOLWUT: a small picture that is different each time, and the version.

use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};
use basalt_engine::command::{Ctx, args};
use basalt_engine::env::random_below;

use crate::config::COMPAT_VERSION;

/// The command's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "lolwut",
    group: Group::Server,
    since: "5.0.0",
    summary: "Draws a picture with characters and names the version.",
    arity: -1,
    flags: Flags::READONLY.or(Flags::FAST),
    args: &[ArgSpec {
        token: "VERSION",
        optional: true,
        ..ArgSpec::new("version", ArgType::Integer)
    }],
    handler: lolwut,
    ..CommandSpec::BLANK
}];

const WIDTH: usize = 40;
const HEIGHT: usize = 8;

/// Columns of basalt seen from the side: each has its own height and is cut by joints here
/// and there.
fn columns(width: usize, height: usize) -> String {
    let stones: Vec<(usize, usize)> = (0..width)
        .map(|_| {
            (
                height / 3 + random_below(height - height / 3),
                random_below(height),
            )
        })
        .collect();
    let mut picture = String::with_capacity((width + 1) * height);
    for row in (0..height).rev() {
        for &(top, joint) in &stones {
            picture.push(match row {
                _ if row > top => ' ',
                _ if row == top => '_',
                _ if row == joint => '=',
                _ => '|',
            });
        }
        picture.push('\n');
    }
    picture
}

/// `LOLWUT [VERSION n] [columns rows]`; the pictures of all versions are the same kind.
fn lolwut(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let version = match &words[1..] {
        [word, number, ..] if args::is(word, "version") => args::int(number)?,
        _ => 0,
    };
    // Only the servers of versions 5 and 6 drew something; later ones tell their version.
    let picture = if matches!(version, 5 | 6) {
        let size = |at: usize, usual: usize, most: i64| match words.get(at) {
            None => Ok(usual),
            Some(word) => {
                args::int(word).map(|n| usize::try_from(n.clamp(1, most)).unwrap_or(usual))
            }
        };
        columns(size(3, WIDTH, 160)?, size(4, HEIGHT, 40)?) + "\n"
    } else {
        String::new()
    };
    let text = format!("{picture}Redis ver. {COMPAT_VERSION}\n");
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn pictures_have_their_size() {
        for (width, height) in [(1, 1), (160, 40), (3, 2)] {
            let picture = super::columns(width, height);
            assert_eq!(picture.lines().count(), height);
            assert!(picture.lines().all(|line| line.len() == width));
        }
    }
}
