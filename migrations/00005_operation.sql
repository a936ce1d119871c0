-- Who may call, who did what, and how the servers run.

-- +goose Up

-- Ids of audit rows grow in the order of commit: whoever adds rows holds an
-- advisory lock from the first of them until the transaction has ended (see package
-- postgres). A reader that has seen id n never misses a row below n.
create table audit (
    id         bigint generated always as identity primary key,
    at         timestamptz not null,
    actor      text        not null,
    subject    text        not null,
    name       text        not null,
    from_state text        not null default '',
    to_state   text        not null default '',
    reason     text        not null default '',
    constraint audit_names_who_and_what check (actor <> '' and subject <> '' and name <> '')
);
comment on table audit is 'owner: whoever makes a transition, in the same transaction. Rows are only ever added.';
create index audit_of_subject on audit (subject, name, id);

create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function refuse_change();

create table tokens (
    id         text        primary key,
    name       text        not null,
    role       text        not null,
    hash       bytea       not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at    timestamptz,
    constraint tokens_hash_unique unique (hash),
    constraint tokens_hash_is_sha256 check (length(hash) = 32),
    constraint tokens_are_named check (name <> '' and role <> '')
);
comment on table tokens is 'owner: server. Bearer tokens; only the SHA-256 hash of the secret is kept.';
create unique index tokens_name_in_use on tokens (name) where revoked_at is null;

create table logins (
    hash       bytea       primary key,
    token      text        not null references tokens (id),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at    timestamptz
);
comment on table logins is 'owner: server. One-time codes that sign a browser in as a token; only hashes are kept.';

create table sessions (
    hash       bytea       primary key,
    token      text        not null references tokens (id),
    created_at timestamptz not null,
    expires_at timestamptz not null
);
comment on table sessions is 'owner: server. Browsers that are signed in; only hashes of their cookies are kept.';

create table server_replicas (
    id         text        primary key,
    host       text        not null,
    addr       text        not null default '',
    started_at timestamptz not null,
    beat_at    timestamptz not null
) with (fillfactor = 50);
comment on table server_replicas is 'owner: fleet. Heartbeats of the server processes; a dead one''s steps are handed on.';

create table quotas (
    name     text    primary key,
    position integer not null,
    spec     jsonb   not null
);
comment on table quotas is 'owner: server. Limits of the operator''s accounts on what may run at once.';

create table sweeps (
    name       text        primary key,
    due_at     timestamptz not null,
    claimed_at timestamptz not null,
    done_at    timestamptz,
    error      text        not null default '',
    constraint sweeps_are_named check (name <> '')
);
comment on table sweeps is 'owner: app. The last run of each sweep: what is overdue is caught up, and each tick runs once.';

create table settings (
    name       text        primary key,
    value      bytea       not null,
    created_at timestamptz not null
);
comment on table settings is 'owner: app. What is made once for an installation: its id and its secret.';
