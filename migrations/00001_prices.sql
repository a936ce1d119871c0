-- Offers and what they cost.
--
-- An offer is known by its id (provider/region/zone/instance_type/option) and
-- stored under a small key, because price_points repeats it for every change.

-- +goose Up

create table offers (
    offer_key         bigint generated always as identity primary key,
    id                text        not null,
    provider          text        not null,
    region            text        not null,
    zone              text        not null default '',
    instance_type     text        not null,
    purchase_option   text        not null,
    accelerator       text        not null default '',
    milli_devices     bigint      not null default 0,
    device_memory_mib bigint      not null default 0,
    milli_cpu         bigint      not null default 0,
    memory_mib        bigint      not null default 0,
    disk_mib          bigint      not null default 0,
    country           text        not null default '',
    machine_limit     integer     not null default -1,
    first_seen_at     timestamptz not null,
    gone_at           timestamptz,
    constraint offers_id_unique unique (id),
    constraint offers_place_is_named check (provider <> '' and region <> '' and instance_type <> '' and purchase_option <> ''),
    constraint offers_sizes_are_not_negative check (
        milli_devices >= 0 and device_memory_mib >= 0 and milli_cpu >= 0 and memory_mib >= 0 and disk_mib >= 0),
    constraint offers_accelerator_and_devices_together check ((accelerator = '') = (milli_devices = 0)),
    constraint offers_limit_is_a_count_or_unlimited check (machine_limit >= -1)
);
comment on table offers is 'owner: pricing. What can be had: an instance type in a place under a purchase option. Never deleted.';
comment on column offers.machine_limit is 'machines that can be had; -1: not known to end';
comment on column offers.gone_at is 'when a full batch of its source no longer had it; null: it can be had';
create index offers_by_accelerator on offers (accelerator);

-- What each offer costs now: one row an offer, narrow and often updated.
create table price_now (
    offer_key   bigint      primary key references offers (offer_key),
    unit_price  bigint      not null,
    valid_from  timestamptz not null,
    observed_at timestamptz not null,
    source      text        not null,
    constraint price_now_price_is_not_negative check (unit_price >= 0),
    constraint price_now_seen_after_it_began check (observed_at >= valid_from)
) with (fillfactor = 70);
comment on table price_now is 'owner: pricing. The price in force of each offer.';
comment on column price_now.unit_price is 'nano-USD per hour of the whole machine';
comment on column price_now.source is 'the feed that saw it last; the offer belongs to this feed';

-- Changes alone: a row is written when a price differs from the one before. No
-- foreign key: offers are never deleted, and the check would cost a second per
-- 100,000 rows.
create table price_points (
    offer_key   bigint      not null,
    valid_from  timestamptz not null,
    unit_price  bigint      not null,
    source      text        not null,
    observed_at timestamptz not null,
    constraint price_points_key primary key (offer_key, valid_from),
    constraint price_points_price_is_not_negative check (unit_price >= 0)
) partition by range (valid_from);
comment on table price_points is 'owner: pricing. A price that was in force from valid_from on, until the next row of the offer.';
comment on column price_points.unit_price is 'nano-USD per hour of the whole machine';

create table price_points_default partition of price_points default;
comment on table price_points_default is 'owner: pricing. Points of months without a partition; stays empty in normal use.';

-- +goose StatementBegin
create function ensure_partitions(at timestamptz) returns integer
    language plpgsql
as $$
declare
    month timestamptz;
    part  text;
    made  integer := 0;
begin
    -- A date far off is a slip in a feed; its points lie in the default partition.
    if at < '2015-01-01 00:00+00' or at > now() + interval '1 year' then
        return 0;
    end if;
    for i in 0..2 loop
        month := (date_trunc('month', at at time zone 'UTC') + make_interval(months => i)) at time zone 'UTC';
        part := to_char(month at time zone 'UTC', '"price_points_y"YYYY"m"MM');
        continue when to_regclass(part) is not null;
        -- Two at once would both find it missing. Look again once the lock is held, in
        -- the table itself: the cache that to_regclass asks may not know of it yet.
        perform pg_advisory_xact_lock(hashtext('purser.ensure_partitions'));
        continue when exists (select from pg_class where relname = part and pg_table_is_visible(oid));
        -- Made apart and attached: readers of the parent are not shut out. Points
        -- that went to the default partition meanwhile move along.
        execute format('create table %I (like price_points including all)', part);
        execute format('with moved as (delete from price_points_default where valid_from >= %L and valid_from < %L returning *)
                        insert into %I select * from moved', month, month + interval '1 month', part);
        execute format('alter table price_points attach partition %I for values from (%L) to (%L)',
                       part, month, (month at time zone 'UTC' + interval '1 month') at time zone 'UTC');
        execute format('comment on table %I is %L', part, 'owner: pricing. One month of price_points (UTC).');
        made := made + 1;
    end loop;
    return made;
end
$$;
-- +goose StatementEnd
comment on function ensure_partitions is 'makes the partitions of price_points for the month of a time and the two after it';

create table quarantine (
    source        text        not null,
    offer_id      text        not null,
    reason        text        not null,
    offer         jsonb       not null,
    detail        text        not null,
    place         text        not null,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    released_at   timestamptz,
    constraint quarantine_key primary key (source, offer_id, reason),
    constraint quarantine_has_a_reason check (reason <> '')
);
comment on table quarantine is 'owner: pricing. Prices that were seen and are not believed, with the reason.';
comment on column quarantine.released_at is 'when the source gave a price that is believed, or no longer had the offer; null: not believed now';

create table sources (
    name        text        primary key,
    last_at     timestamptz,
    failed_at   timestamptz,
    last_error  text        not null default '',
    alarm       text        not null default '',
    constraint sources_are_named check (name <> '')
);
comment on table sources is 'owner: pricing. Feeds of prices and how they fare.';
comment on column sources.alarm is 'why the last full batch was not taken whole, e.g. more offers had vanished than can be believed';
