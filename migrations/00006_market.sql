-- A market that is always current: prices by region of a source, a history that
-- knows when an offer could not be had, days rolled up, what feeds say beside prices.

-- +goose Up

-- A source is collected region by region; each is stored whole and fares on its own.
create table price_scopes (
    scope_key integer     generated always as identity primary key,
    source    text        not null references sources (name),
    region    text        not null default '',
    last_at   timestamptz,
    alarm     text        not null default '',
    constraint price_scopes_unique unique (source, region)
);
comment on table price_scopes is 'owner: pricing. The parts of a source that are collected whole: its regions, or the source itself (region empty).';
comment on column price_scopes.alarm is 'what about the last full batch was not believed, e.g. more offers had vanished than can be';
insert into price_scopes (source, last_at, alarm) select name, last_at, alarm from sources;

alter table sources drop column alarm,
    add column began_at     timestamptz,
    add column ended_at     timestamptz,
    add column progress     text    not null default '',
    add column error_kind   text    not null default '',
    add column failures     integer not null default 0;
comment on column sources.began_at is 'when the collection under way began; null: none is';
comment on column sources.ended_at is 'when the last collection ended, well or not';
comment on column sources.progress is 'how far the collection under way has come, or what the last one brought';
comment on column sources.failures is 'collections in a row that failed';

alter table quarantine
    add column region  text not null default '',
    add column kept_at timestamptz;
comment on column quarantine.region is 'of the scope that had it; empty: the source as a whole';
comment on column quarantine.kept_at is 'when an operator looked at it and let it be; null: not reviewed as it stands';

-- The price in force, and all that a batch is judged by, in one narrow row.
alter table offers
    alter column offer_key type integer,
    add column terms jsonb;
comment on column offers.terms is 'conditions of a serverless offer; null: none';

create table price_counter (
    renewed bigint not null,
    sole    boolean primary key default true,
    constraint price_counter_has_one_row check (sole)
);
comment on table price_counter is 'owner: pricing. How often rows of offers were renewed, for readers that remember them.';
insert into price_counter (renewed) values (0);

create table price_now_new (
    offer_key   integer     not null,
    scope_key   integer     not null references price_scopes (scope_key),
    unit_price  bigint      not null,
    valid_from  timestamptz not null,
    observed_at timestamptz not null,
    gone_at     timestamptz,
    first_at    timestamptz not null,
    traits      bigint      not null
) with (fillfactor = 70);
insert into price_now_new select n.offer_key::integer, s.scope_key, n.unit_price, n.valid_from, n.observed_at, o.gone_at,
        coalesce((select min(p.valid_from) from price_points p where p.offer_key = n.offer_key), n.valid_from), 0
    from price_now n join offers o using (offer_key) join price_scopes s on s.source = n.source;
drop table price_now;
alter table price_now_new rename to price_now;
alter table price_now
    add constraint price_now_pkey primary key (offer_key),
    add constraint price_now_of_an_offer foreign key (offer_key) references offers (offer_key),
    add constraint price_now_price_is_not_negative check (unit_price >= 0),
    add constraint price_now_seen_after_it_began check (observed_at >= valid_from);
create index price_now_by_scope on price_now (scope_key);
comment on table price_now is 'owner: pricing. The price in force of each offer: one row an offer, narrow and often updated.';
comment on column price_now.unit_price is 'nano-USD per hour of the whole machine';
comment on column price_now.scope_key is 'who saw it last; the offer belongs to it';
comment on column price_now.gone_at is 'when a full batch of its scope no longer had it; null: it can be had';
comment on column price_now.first_at is 'no point of the offer is older';
comment on column price_now.traits is 'hash of the row of offers, so that a batch need not read it';
alter table offers drop column gone_at;

-- Points are narrower, and say when an offer was gone.
alter table price_points rename to price_points_old;
alter table price_points_old rename constraint price_points_key to price_points_old_key;
-- +goose StatementBegin
do $$
declare part text;
begin
    for part in select inhrelid::regclass::text from pg_inherits where inhparent = 'price_points_old'::regclass loop
        execute format('alter table %I rename to %I', part, 'old_' || part);
    end loop;
end
$$;
-- +goose StatementEnd
create table price_points (
    valid_from  timestamptz not null,
    unit_price  bigint,
    observed_at timestamptz not null,
    offer_key   integer     not null,
    scope_key   integer     not null,
    constraint price_points_key primary key (offer_key, valid_from) include (unit_price, observed_at, scope_key),
    constraint price_points_price_is_above_nothing check (unit_price >= 0)
) partition by range (valid_from);
comment on table price_points is 'owner: pricing. Changes alone: what was in force from valid_from on, until the next row of the offer. No foreign keys: offers and scopes are never deleted, and the checks would cost a second per 100,000 rows.';
comment on column price_points.unit_price is 'nano-USD per hour of the whole machine; null: it could not be had';
-- The key holds all of a row, so that a history is read from it alone: the rows of an
-- offer lie together there and far apart in the table.
create table price_points_default partition of price_points default;
comment on table price_points_default is 'owner: pricing. Points of months without a partition; stays empty in normal use.';

create table price_days (
    day       date    not null,
    offer_key integer not null,
    low       bigint,
    high      bigint,
    mean      bigint,
    last      bigint,
    seconds   integer not null,
    constraint price_days_key primary key (offer_key, day),
    constraint price_days_are_in_order check (low <= mean and mean <= high),
    constraint price_days_seconds_of_a_day check (seconds between 0 and 86400),
    constraint price_days_priced_while_had check ((seconds = 0) = (mean is null))
) partition by range (day);
comment on table price_days is 'owner: pricing. One UTC day of an offer in which its price changed; on a day without a row the last one before it holds.';
comment on column price_days.low is 'nano-USD per hour';
comment on column price_days.high is 'nano-USD per hour';
comment on column price_days.mean is 'nano-USD per hour, weighted by time while it could be had; null: not that day';
comment on column price_days.last is 'nano-USD per hour at the end of the day; null: it could not be had then';
comment on column price_days.seconds is 'for how long of the day it could be had';
create table price_days_default partition of price_days default;
comment on table price_days_default is 'owner: pricing. Days of years without a partition; stays empty in normal use.';

create table price_days_done (
    day date primary key
);
comment on table price_days_done is 'owner: pricing. Days that are rolled up; one is taken out when history is filled in behind it.';

drop function ensure_partitions;
-- +goose StatementBegin
create function ensure_partitions(at timestamptz) returns integer
    language plpgsql
as $$
declare
    month timestamptz;
    part  text;
    made  integer := 0;
    piece record;
begin
    -- A date far off is a slip in a feed; its points lie in the default partition.
    if at < '2015-01-01 00:00+00' or at > now() + interval '1 year' then
        return 0;
    end if;
    month := date_trunc('month', at at time zone 'UTC') at time zone 'UTC';
    for piece in
        select 'price_points' as parent, to_char(m at time zone 'UTC', '"price_points_y"YYYY"m"MM') as part, 'valid_from' as col,
               m::text as lo, ((m at time zone 'UTC' + interval '1 month') at time zone 'UTC')::text as hi, 'One month of price_points (UTC).' as says
        from (select (month at time zone 'UTC' + make_interval(months => i)) at time zone 'UTC' as m from generate_series(0, 2) i) months
        union all
        select distinct 'price_days', to_char(m, '"price_days_y"YYYY'), 'day', date_trunc('year', m)::date::text, (date_trunc('year', m) + interval '1 year')::date::text, 'One year of price_days.'
        from (select month at time zone 'UTC' + make_interval(months => i) as m from generate_series(0, 2) i) years
    loop
        continue when to_regclass(piece.part) is not null;
        -- Two at once would both find it missing. Look again once the lock is held, in
        -- the table itself: the cache that to_regclass asks may not know of it yet.
        perform pg_advisory_xact_lock(hashtext('purser.ensure_partitions'));
        continue when exists (select from pg_class where relname = piece.part and pg_table_is_visible(oid));
        -- Made apart and attached: readers of the parent are not shut out. Rows that
        -- went to the default partition meanwhile move along.
        execute format('create table %I (like %I including all)', piece.part, piece.parent);
        execute format('with moved as (delete from %I where %I >= %L and %I < %L returning *) insert into %I select * from moved',
                       piece.parent || '_default', piece.col, piece.lo, piece.col, piece.hi, piece.part);
        execute format('alter table %I attach partition %I for values from (%L) to (%L)', piece.parent, piece.part, piece.lo, piece.hi);
        execute format('comment on table %I is %L', piece.part, 'owner: pricing. ' || piece.says);
        made := made + 1;
    end loop;
    return made;
end
$$;
-- +goose StatementEnd
comment on function ensure_partitions is 'makes the partitions of price_points for the month of a time and the two after it, and those of price_days for their years';

select ensure_partitions(m) from (select distinct date_trunc('month', valid_from) as m from price_points_old) months order by m;
insert into price_points (valid_from, unit_price, observed_at, offer_key, scope_key)
    select p.valid_from, p.unit_price, p.observed_at, p.offer_key::integer, s.scope_key
    from price_points_old p join price_scopes s on s.source = p.source;
insert into price_points (valid_from, unit_price, observed_at, offer_key, scope_key)
    select n.gone_at, null, n.gone_at, n.offer_key, n.scope_key from price_now n where n.gone_at > n.valid_from
    on conflict do nothing;
drop table price_points_old;

-- Operators' word on prices that are not believed, or should not be.
create table price_rules (
    offer_id text        not null,
    reason   text        not null,
    low      bigint      not null,
    high     bigint      not null,
    until    timestamptz not null,
    actor    text        not null,
    note     text        not null default '',
    made_at  timestamptz not null,
    constraint price_rules_key primary key (offer_id, reason),
    constraint price_rules_range check (low >= 0 and low <= high),
    constraint price_rules_end check (until > made_at)
);
comment on table price_rules is 'owner: server. What an operator decided of an offer: reason names what is not held against it any more, or "by_hand" that it is not believed at all.';
comment on column price_rules.low is 'nano-USD per hour: the rule is of prices from here on';
comment on column price_rules.high is 'nano-USD per hour: the rule is of prices up to here';

create table price_signals (
    provider        text             not null,
    region          text             not null,
    zone            text             not null default '',
    instance_type   text             not null,
    purchase_option text             not null,
    kind            text             not null,
    low             double precision not null,
    high            double precision not null,
    detail          text             not null,
    scope_key       integer          not null references price_scopes (scope_key),
    observed_at     timestamptz      not null,
    constraint price_signals_key primary key (provider, region, instance_type, purchase_option, kind, zone, scope_key),
    constraint price_signals_range check (low >= 0 and low <= high)
);
comment on table price_signals is 'owner: pricing. What sources say of a machine beside its price: ranges of hazard per hour, and of availability from 0 to 1.';
create index price_signals_by_scope on price_signals (scope_key);

create table hazards (
    provider      text             not null,
    region        text             not null,
    zone          text             not null default '',
    instance_type text             not null,
    mean          double precision not null,
    low           double precision not null,
    high          double precision not null,
    alpha         double precision not null,
    beta          double precision not null,
    events        double precision not null,
    hours         double precision not null,
    basis         text             not null,
    computed_at   timestamptz      not null,
    constraint hazards_key primary key (provider, region, zone, instance_type),
    constraint hazards_in_order check (0 <= low and low <= mean and mean <= high)
);
comment on table hazards is 'owner: pricing. Preemptions per hour of running a spot machine, from our own leases and what clouds say; low and high enclose 80 %.';

create index offers_by_place on offers (provider, region, instance_type);
