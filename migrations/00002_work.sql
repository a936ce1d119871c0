-- The users' work: jobs, their groups, and what plans and agents make of them.

-- +goose Up

create table projects (
    name       text        primary key,
    created_at timestamptz not null,
    constraint projects_are_named check (name <> '')
);
comment on table projects is 'owner: server. Names that jobs and charges are grouped by.';

create table jobs (
    id           text        primary key,
    project      text        not null references projects (name),
    name         text        not null,
    labels       jsonb       not null default '{}',
    priority     integer     not null default 0,
    spec_hash    bytea       not null,
    state        text        not null default 'queued',
    submitted_by text        not null,
    submitted_at timestamptz not null,
    cancelled_at timestamptz,
    ended_at     timestamptz,
    constraint jobs_key unique (project, name),
    constraint jobs_state_is_known check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    constraint jobs_priority_in_range check (priority between -1000 and 1000),
    constraint jobs_ended_has_a_time check ((state in ('succeeded', 'failed', 'cancelled')) = (ended_at is not null)),
    constraint jobs_cancelled_was_asked_for check (state <> 'cancelled' or cancelled_at is not null)
);
comment on table jobs is 'owner: server. Workloads of users; (project, name) is the key.';
comment on column jobs.spec_hash is 'SHA-256 of the job as submitted: the same submission again changes nothing';
comment on column jobs.cancelled_at is 'when a user asked for its end; its state follows once nothing of it lives';
create index jobs_live on jobs (id) where ended_at is null;

create table task_groups (
    job      text    not null references jobs (id),
    name     text    not null,
    position integer not null,
    kind     text    not null,
    replicas integer not null,
    gang     boolean not null,
    retries  integer not null,
    spec     jsonb   not null,
    files    jsonb,
    constraint task_groups_key primary key (job, name),
    constraint task_groups_kind_is_known check (kind in ('training', 'inference')),
    constraint task_groups_replicas_not_negative check (replicas >= 0),
    constraint task_groups_retries_not_negative check (retries >= 0)
);
comment on table task_groups is 'owner: server. The uniform parts of a job, in its order.';
comment on column task_groups.spec is 'the group as submitted, its files without their content';
comment on column task_groups.files is 'the files with their content; apart, so that lists need not read it';

-- +goose StatementBegin
create function refuse_change() returns trigger
    language plpgsql
as $$
begin
    raise exception 'rows of % are only ever added', tg_table_name using errcode = 'restrict_violation';
end
$$;
-- +goose StatementEnd
comment on function refuse_change is 'trigger of append-only tables';
