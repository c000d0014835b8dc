//! What a command is to a proxy, beyond being forwarded.

/// Commands a session or policy treats by name. Everything else is [`Role::Ordinary`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each variant is the command it names")]
pub enum Role {
    Ordinary,
    Auth,
    Hello,
    Quit,
    Reset,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Ping,
    Asking,
    Select,
    SwapDb,
    Subscribe,
    Psubscribe,
    Ssubscribe,
    Unsubscribe,
    Punsubscribe,
    Sunsubscribe,
    Publish,
    Spublish,
    Monitor,
    Sync,
    Psync,
    Replconf,
    Shutdown,
    /// `ACL` and every subcommand of it.
    Acl,
    /// What nodes of a cluster say to each other.
    ClusterSyncslots,
    ClientReply,
    ClientTracking,
    ClientCaching,
    ClientId,
    ClientInfo,
    ClientSetname,
    ClientGetname,
    ClientNoEvict,
    ClientNoTouch,
    ClientKill,
    ClientList,
    /// XREAD and XREADGROUP, which block with BLOCK only.
    Xread,
    /// WAIT and WAITAOF, which Redis 7.0 does not mark as blocking.
    Wait,
    /// EVAL, FCALL and their relatives.
    Script,
    ScriptDebug,
}

impl Role {
    /// SUBSCRIBE and its relatives.
    pub fn changes_subscriptions(self) -> bool {
        matches!(
            self,
            Role::Subscribe
                | Role::Psubscribe
                | Role::Ssubscribe
                | Role::Unsubscribe
                | Role::Punsubscribe
                | Role::Sunsubscribe
        )
    }

    /// By full name in lower case, `client|reply`.
    pub(super) fn of(full_name: &str) -> Role {
        match full_name {
            "auth" => Role::Auth,
            "hello" => Role::Hello,
            "quit" => Role::Quit,
            "reset" => Role::Reset,
            "multi" => Role::Multi,
            "exec" => Role::Exec,
            "discard" => Role::Discard,
            "watch" => Role::Watch,
            "unwatch" => Role::Unwatch,
            "ping" => Role::Ping,
            "asking" => Role::Asking,
            "select" => Role::Select,
            "swapdb" => Role::SwapDb,
            "subscribe" => Role::Subscribe,
            "psubscribe" => Role::Psubscribe,
            "ssubscribe" => Role::Ssubscribe,
            "unsubscribe" => Role::Unsubscribe,
            "punsubscribe" => Role::Punsubscribe,
            "sunsubscribe" => Role::Sunsubscribe,
            "publish" => Role::Publish,
            "spublish" => Role::Spublish,
            "monitor" => Role::Monitor,
            "sync" => Role::Sync,
            "psync" => Role::Psync,
            "replconf" => Role::Replconf,
            "shutdown" => Role::Shutdown,
            "cluster|syncslots" => Role::ClusterSyncslots,
            "client|reply" => Role::ClientReply,
            "client|tracking" => Role::ClientTracking,
            "client|caching" => Role::ClientCaching,
            "client|id" => Role::ClientId,
            "client|info" => Role::ClientInfo,
            "client|setname" => Role::ClientSetname,
            "client|getname" => Role::ClientGetname,
            "client|no-evict" => Role::ClientNoEvict,
            "client|no-touch" => Role::ClientNoTouch,
            "client|kill" => Role::ClientKill,
            "client|list" => Role::ClientList,
            "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall" | "fcall_ro" => Role::Script,
            "xread" | "xreadgroup" => Role::Xread,
            "wait" | "waitaof" => Role::Wait,
            "script|debug" => Role::ScriptDebug,
            name if name == "acl" || name.starts_with("acl|") => Role::Acl,
            _ => Role::Ordinary,
        }
    }
}
