package app

import (
	"context"
	"sync"

	"purser"
)

// jobName is what people call a job; it never changes.
type jobName struct{ project, name string }

// maxNames bounds the names that are remembered.
const maxNames = 100_000

// jobNames remembers the names of jobs, which pages and sweeps ask for over and over.
type jobNames struct {
	mu    sync.Mutex
	known map[purser.JobID]jobName
}

func (n *jobNames) get(id purser.JobID) (jobName, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.known[id]
	return name, ok
}

func (n *jobNames) put(id purser.JobID, name jobName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxNames {
		n.known = map[purser.JobID]jobName{}
	}
	n.known[id] = name
}

// jobName reads a job's name, once.
func (a *App) jobName(ctx context.Context, id purser.JobID) (jobName, error) {
	if name, ok := a.names.get(id); ok {
		return name, nil
	}
	j, err := a.db.Job(ctx, string(id))
	if err != nil {
		return jobName{}, err
	}
	name := jobName{j.Project, j.Name}
	a.names.put(id, name)
	return name, nil
}

// namesOf gives job names by id, and the id where the name cannot be read.
func (a *App) namesOf(ctx context.Context) func(purser.JobID) string {
	return func(id purser.JobID) string {
		name, err := a.jobName(ctx, id)
		if err != nil {
			return string(id)
		}
		return name.name
	}
}
