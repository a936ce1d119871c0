-- The ledger.

-- +goose Up

create table charges (
    charge_key        bigint generated always as identity primary key,
    lease             text        not null references leases (id),
    job               text        references jobs (id),
    task              text        references tasks (id),
    project           text        not null default '',
    offer_id          text        not null,
    start_at          timestamptz not null,
    end_at            timestamptz not null,
    unit_price        bigint      not null,
    list_cost         bigint      not null,
    billed_cost       bigint      not null,
    effective_cost    bigint      not null,
    rehearsal         boolean     not null,
    price_source      text        not null,
    price_observed_at timestamptz,
    constraint charges_cover_a_time check (end_at > start_at),
    constraint charges_are_not_negative check (unit_price >= 0 and list_cost >= 0 and billed_cost >= 0 and effective_cost >= 0)
);
comment on table charges is 'owner: ledger. What leases cost over [start_at, end_at) UTC; rows are only ever added.';
comment on column charges.task is 'null: idle room, which belongs to the pool';
comment on column charges.unit_price is 'nano-USD per hour of the whole machine';
comment on column charges.list_cost is 'nano-USD at the on-demand price, as are billed_cost (price in force) and effective_cost';
comment on column charges.rehearsal is 'what it would have cost; nothing was bought';
-- No second of a task on a lease is charged twice, whoever asks twice.
create unique index charges_once on charges (lease, (coalesce(task, '')), start_at);
create index charges_by_time on charges (start_at);
create index charges_by_job on charges (job, start_at) where job is not null;

create trigger charges_append_only before update or delete or truncate on charges
    for each statement execute function refuse_change();
