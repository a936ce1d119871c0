-- Leases whose machines their cloud took back are told to every plan for a while.

-- +goose Up

create index leases_taken_back on leases (ended_at)
    where running_at is not null and state in ('failed', 'released') and reason like 'its machine is being taken back%';
