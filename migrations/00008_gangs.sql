-- How many replicas the gang of a task has, where the plan decides it; 0: as many as its group says.

-- +goose Up

alter table tasks add column world integer not null default 0 constraint tasks_world_counts check (world >= 0);
