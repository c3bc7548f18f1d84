//! Users at the start: `user` lines of the configuration, or the ACL file.

use std::collections::HashSet;

use basalt_engine::acl::{Grammar, RuleError, User, has_blanks, merge_selectors};
use basalt_engine::command::{DATA_GROUPS, Registry};
use basalt_engine::shown;

use super::DEFAULT;
use crate::command::SERVER_GROUPS;
use crate::config::{AclPubsubDefault, Config, LoadHooks};
use crate::server::Server;

const BOTH: &str = "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both.";

/// Judges `user` lines while the configuration is being read, as far as that is possible before
/// all of it is: rules about unknown commands come to light later.
#[derive(Default)]
pub struct UserLines {
    seen: HashSet<Vec<u8>>,
    registry: Option<&'static Registry>,
}

impl LoadHooks for UserLines {
    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), (Vec<u8>, String)> {
        let Some((name, rules)) = words.split_first() else {
            return Ok(());
        };
        // Redis counts rules from 0 and names the word of the line at that place, which begins
        // with `user` and the name.
        let at = |index: usize| match index {
            0 => b"user".to_vec(),
            index => words.get(index - 1).cloned().unwrap_or_default(),
        };
        if !self.seen.insert(name.clone()) {
            let reason = "Duplicate user found. A user can only be defined once in config files";
            return Err((name.clone(), reason.into()));
        }
        let grammar = Grammar {
            registry: self.registry.get_or_insert_with(|| {
                let groups: Vec<_> = DATA_GROUPS.iter().chain(SERVER_GROUPS).copied().collect();
                Registry::build(&groups, &[])
            }),
            all_channels: false,
        };
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let rules = merge_selectors(&rules).map_err(|open| (at(open), "Wrong format".into()))?;
        let mut user = User::new(&grammar);
        for (index, rule) in rules.iter().enumerate() {
            match user.apply(&grammar, rule) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(error) => return Err((at(index), error.to_string())),
            }
        }
        Ok(())
    }
}

/// The users of `user` lines.
fn configured(
    config: &Config,
    registry: &'static Registry,
) -> Result<Vec<(Vec<u8>, User)>, String> {
    let grammar = Grammar {
        registry,
        all_channels: config.acl_pubsub_default == AclPubsubDefault::AllChannels,
    };
    let mut users = Vec::new();
    for words in &config.users {
        let Some((name, rules)) = words.split_first() else {
            continue;
        };
        if has_blanks(name) {
            return Err("Spaces not allowed in ACL usernames".into());
        }
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let mut user = User::new(&grammar);
        for rule in merge_selectors(&rules).unwrap_or_default() {
            user.apply(&grammar, &rule).map_err(|error| {
                format!(
                    "Error loading ACL rule '{}' for the user named '{}': {error}",
                    shown(&rule),
                    shown(name)
                )
            })?;
        }
        if !user.is_enabled() {
            tracing::info!(
                "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error.",
                shown(name)
            );
        }
        users.push((name.clone(), user));
    }
    Ok(users)
}

impl Server {
    /// Takes over the users that the configuration names.
    ///
    /// # Errors
    /// Why the server must not start, in Redis's words.
    pub fn load_users_at_start(&self) -> Result<(), String> {
        let config = self.config.snapshot();
        if !config.users.is_empty() {
            if !config.aclfile.is_empty() {
                return Err(BOTH.into());
            }
            let mut users = configured(&config, self.engine.registry).map_err(|reason| {
                tracing::warn!("{reason}");
                "Critical error while loading ACLs. Exiting.".to_owned()
            })?;
            if !users.iter().any(|(name, _)| name == DEFAULT) {
                // `requirepass` made it what it is.
                let default = User::clone(&self.accounts.default_account().rules());
                users.push((DEFAULT.to_vec(), default));
            }
            self.replace_users(None, users);
        }
        if !config.aclfile.is_empty() {
            self.load_acl_file(None).map_err(|errors| {
                format!("Aborting Redis startup because of ACL errors: {errors}")
            })?;
        }
        self.follow_default_user();
        Ok(())
    }
}
