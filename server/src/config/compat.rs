//! The page that tells operators which directives are accepted without an effect.

use std::fmt::Write;

use super::TABLE;

/// Renders `docs/compatibility-config.md` from the table.
pub fn compatibility_page() -> String {
    let mut page = String::from(
        "# Directives of redis.conf\n\n\
         Every directive of Redis 7.2 and Valkey 8 is accepted in files, on the command line and by `CONFIG SET`, with the\n\
         same bounds and errors, and `CONFIG GET` returns it. This page is made from the table of directives and a test\n\
         keeps the two equal.\n\n\
         ## Without an effect\n\n\
         These are stored and returned so that existing files and tools work, but there is nothing here for them to\n\
         control.\n\n\
         | directive | also | default |\n|---|---|---|\n",
    );
    for row in TABLE.iter().filter(|row| row.flags.inert()) {
        let alias = row
            .alias
            .map(|name| format!("`{name}`"))
            .unwrap_or_default();
        let value = String::from_utf8_lossy(&row.default_value()).into_owned();
        let value = if value.is_empty() {
            value
        } else {
            format!("`{value}`")
        };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {alias} | {value} |", row.name);
    }
    page.push_str(
        "\nIn files only: `loadmodule` and directives of modules (`module.name`) are stored; there are no loadable\n\
         modules. `sentinel` lines are refused.\n\n\
         ## Two names for one directive\n\n\
         `CONFIG REWRITE` writes the first.\n\n\
         | directive | also |\n|---|---|\n",
    );
    for (name, alias) in TABLE.iter().filter_map(|row| Some((row.name, row.alias?))) {
        let _ = writeln!(page, "| `{name}` | `{alias}` |");
    }
    page.push_str(
        "\n## Differences\n\n\
         - A size such as `maxmemory` that does not fit 64 bits once its unit is applied is an error; Redis wraps around.\n\
         - Text values, other than passwords, have to be UTF-8 without NUL bytes.\n\
         - `CONFIG REWRITE` keeps the permissions of the file, and the letter `n` of `notify-keyspace-events`.\n\
         - A wrong line in an included file is reported with the name of that file.\n\
         - `repl-backlog-size` below 16 kb is raised to it also when it comes from a file.\n\
         - `repl-diskless-load` also takes Valkey's `flush-before-load`, so the error for a wrong word lists it.\n\
         - Where Redis and Valkey disagree on a default, it is that of Redis.\n\
         - Files may include each other 64 levels deep, and a configuration may have 64 MiB.\n",
    );
    page
}
