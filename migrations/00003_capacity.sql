-- What plans propose and what is held: plans, leases, tasks, moves, logs.

-- +goose Up

create table plans (
    id             text             primary key,
    created_at     timestamptz      not null,
    admitted_at    timestamptz      not null,
    actor          text             not null,
    status         text             not null,
    rehearsal      boolean          not null,
    objective      bigint           not null,
    bound          bigint           not null,
    gap            double precision not null,
    unit_price     bigint           not null,
    baseline_price bigint           not null,
    summary        jsonb            not null,
    detail         jsonb            not null,
    constraint plans_status_is_known check (status in ('optimal', 'feasible', 'infeasible', 'limit'))
);
comment on table plans is 'owner: optimizer. Admitted plans with their proof.';
comment on column plans.created_at is 'when the snapshot was taken that the plan was made from';
comment on column plans.objective is 'nano-USD over the horizon, as is bound; unit_price and baseline_price are nano-USD per hour';
comment on column plans.summary is 'the plan without its leases, refusals and runners-up';
comment on column plans.detail is 'its leases, refusals and runners-up; apart, so that lists need not read it';
create index plans_newest on plans (admitted_at desc, id desc);

create table leases (
    id              text        primary key,
    plan            text        not null references plans (id),
    offer_id        text        not null,
    offer           jsonb       not null,
    purchase_option text        not null,
    holder          text        not null,
    host            text        not null default '',
    rehearsal       boolean     not null,
    state           text        not null,
    attempt         integer     not null default 0,
    fence           bigint      not null default 0,
    instance        text        not null default '',
    reason          text        not null default '',
    agent_hash      bytea,
    created_at      timestamptz not null,
    launched_at     timestamptz,
    running_at      timestamptz,
    draining_at     timestamptz,
    ended_at        timestamptz,
    heartbeat_at    timestamptz,
    charged_through timestamptz,
    constraint leases_agent_unique unique (agent_hash),
    constraint leases_state_is_known check (state in ('planned', 'launching', 'running', 'draining', 'released', 'failed', 'withdrawn')),
    constraint leases_ended_has_a_time check ((state in ('released', 'failed', 'withdrawn')) = (ended_at is not null)),
    constraint leases_launched_before_it_runs check (state in ('planned', 'withdrawn') or launched_at is not null),
    constraint leases_running_has_a_time check (state <> 'running' or (running_at is not null and agent_hash is not null)),
    constraint leases_draining_has_a_time check (state <> 'draining' or draining_at is not null),
    constraint leases_withdrawn_never_launched check (state <> 'withdrawn' or launched_at is null),
    constraint leases_counters_not_negative check (attempt >= 0 and fence >= 0)
) with (fillfactor = 60);
comment on table leases is 'owner: fleet. Capacity that is held, from the decision to its end.';
comment on column leases.offer is 'the offer as it was when planned; the price on demand is locked here';
comment on column leases.fence is 'grows with every transition; a step that carries an older one is dropped';
comment on column leases.agent_hash is 'SHA-256 of the secret that the agent chose when it joined';
comment on column leases.charged_through is 'charges exist up to here';
create index leases_live on leases (id) where ended_at is null;
create index leases_never_ran on leases (ended_at) where running_at is null and state in ('failed', 'released');
create index leases_by_plan on leases (plan);

create table instances (
    lease       text        not null references leases (id),
    attempt     integer     not null,
    instance    text        not null,
    holder      text        not null,
    recorded_at timestamptz not null,
    ended_at    timestamptz,
    constraint instances_key primary key (lease, attempt, instance),
    constraint instances_are_named check (instance <> '')
);
comment on table instances is 'owner: fleet. The machines that a provider named for a lease, one for each attempt.';

create table tasks (
    id            text             primary key,
    job           text             not null,
    group_name    text             not null,
    replica       integer          not null,
    attempt       integer          not null,
    failures      integer          not null default 0,
    state         text             not null,
    newest        boolean          not null default true,
    lease         text             references leases (id),
    variant       text             not null default '',
    milli_devices bigint           not null default 0,
    milli_cpu     bigint           not null default 0,
    memory_mib    bigint           not null default 0,
    checkpoint    text             not null default '',
    progress      double precision not null default 0,
    port          integer          not null default 0,
    exit_code     integer,
    reason        text             not null default '',
    stop_for      text             not null default '',
    missing_since timestamptz,
    queued_at     timestamptz      not null,
    placed_at     timestamptz,
    started_at    timestamptz,
    ended_at      timestamptz,
    constraint tasks_of_a_group foreign key (job, group_name) references task_groups (job, name),
    constraint tasks_attempt_unique unique (job, group_name, replica, attempt),
    constraint tasks_state_is_known check (state in ('queued', 'placed', 'running', 'succeeded', 'failed', 'lost', 'cancelled')),
    constraint tasks_ended_has_a_time check ((state in ('succeeded', 'failed', 'lost', 'cancelled')) = (ended_at is not null)),
    constraint tasks_queued_on_no_lease check (state <> 'queued' or lease is null),
    constraint tasks_placed_on_a_lease check (state not in ('placed', 'running') or lease is not null),
    constraint tasks_running_has_a_time check (state <> 'running' or started_at is not null),
    constraint tasks_stop_is_known check (stop_for in ('', 'move', 'drain', 'unneeded', 'cancelled')),
    constraint tasks_progress_in_range check (progress between 0 and 1),
    constraint tasks_numbers_in_range check (replica >= 0 and attempt >= 1 and failures >= 0 and port between 0 and 65535)
) with (fillfactor = 70);
comment on table tasks is 'owner: fleet. Runs of replicas; a replica that runs again has a new task with the next attempt.';
comment on column tasks.newest is 'no later attempt exists; the job''s state follows from these';
comment on column tasks.stop_for is 'why its agent is to stop it; empty: it is not';
comment on column tasks.missing_since is 'since when its agent''s reports leave it out, although it ran';
-- At most one live task a replica, whatever the code above believes.
create unique index tasks_one_live on tasks (job, group_name, replica) where state in ('queued', 'placed', 'running');
create unique index tasks_one_newest on tasks (job, group_name, replica) where newest;
create index tasks_by_lease on tasks (lease) where lease is not null;
create index tasks_live on tasks (id) where state in ('queued', 'placed', 'running');

create table placements (
    plan          text    not null references plans (id) on delete cascade,
    machine       integer not null,
    position      integer not null,
    lease         text    references leases (id),
    offer_id      text    not null,
    job           text    not null,
    group_name    text    not null,
    replica       integer not null,
    variant       text    not null,
    milli_devices bigint  not null,
    milli_cpu     bigint  not null,
    memory_mib    bigint  not null,
    constraint placements_key primary key (plan, machine, position)
);
comment on table placements is 'owner: optimizer. What each plan puts where, whether or not it came to be.';
comment on column placements.machine is 'counts the plan''s machines from 0';
comment on column placements.lease is 'the lease that stands for the machine; null: none was made';

create table refusals (
    plan       text    not null references plans (id) on delete cascade,
    job        text    not null,
    group_name text    not null,
    offers     integer not null,
    allowed    integer not null,
    reasons    jsonb   not null,
    constraint refusals_key primary key (plan, job, group_name)
);
comment on table refusals is 'owner: optimizer. Why offers could not serve a group, counted by reason.';

create table moves (
    move_key   bigint generated always as identity primary key,
    task       text        not null references tasks (id),
    from_lease text        not null references leases (id),
    to_lease   text        not null references leases (id),
    plan       text        not null references plans (id),
    state      text        not null,
    gain       bigint      not null,
    placement  jsonb       not null,
    reason     text        not null,
    at         timestamptz not null,
    ended_at   timestamptz,
    constraint moves_state_is_known check (state in ('waiting', 'stopping', 'done', 'undone')),
    constraint moves_ended_has_a_time check ((state in ('done', 'undone')) = (ended_at is not null)),
    constraint moves_go_elsewhere check (from_lease <> to_lease)
);
comment on table moves is 'owner: fleet. Tasks that go to another lease for a gain.';
comment on column moves.gain is 'nano-USD over the plan''s horizon, of its moves together';
create unique index moves_one_open on moves (task) where state in ('waiting', 'stopping');
create index moves_open_from on moves (from_lease) where state in ('waiting', 'stopping');
create index moves_open_to on moves (to_lease) where state in ('waiting', 'stopping');

create table logs (
    id     bigint generated always as identity,
    task   text        not null references tasks (id),
    job    text        not null,
    seq    bigint      not null,
    at     timestamptz not null,
    stream text        not null,
    line   text        not null,
    constraint logs_key primary key (task, seq),
    constraint logs_stream_is_known check (stream in ('stdout', 'stderr', 'agent'))
);
comment on table logs is 'owner: fleet. Lines that tasks printed; (task, seq) keeps a repeated report from doubling them.';
create index logs_of_job on logs (job, id);
create index logs_of_task on logs (task, id);
