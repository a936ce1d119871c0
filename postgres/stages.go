package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"purser"
)

// StageEnd is a training group that has ended with success in a job whose groups
// wait for one another, and where its parts ran.
type StageEnd struct {
	Job    purser.JobID
	Group  string
	Places []purser.Data // its output, in parts, by provider and region
}

// stageEnds lists the stages that have ended, of jobs that are live. Their groups are
// filled in, and live are their tasks: a group of a live job of which nothing lives
// any more, and something has succeeded, has succeeded.
func stageEnds(ctx context.Context, q querier, jobs []purser.Job, live []purser.Task) ([]StageEnd, error) {
	groups := map[groupKey]purser.TaskGroup{}
	var ids []string
	for _, j := range jobs {
		if !j.Staged() {
			continue
		}
		ids = append(ids, string(j.ID))
		for _, g := range j.Groups {
			if g.Kind == purser.Training {
				groups[groupKey{j.ID, g.Name}] = g
			}
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	for _, t := range live {
		delete(groups, groupKey{t.Job, t.Group})
	}
	type part struct {
		key      groupKey
		place    purser.Data
		replicas float64
	}
	parts, err := collect(ctx, q, func(row pgx.CollectableRow) (p part, err error) {
		return p, row.Scan(&p.key.job, &p.key.group, &p.place.Provider, &p.place.Region, &p.replicas)
	}, `select t.job, t.group_name, coalesce(l.offer->>'provider', ''), coalesce(l.offer->>'region', ''), count(*)::float8
		from tasks t left join leases l on l.id = t.lease where t.job = any($1) and t.newest and t.state = 'succeeded'
		group by 1, 2, 3, 4 order by 1, 2, 3, 4`, ids)
	if err != nil {
		return nil, err
	}
	all := map[groupKey]float64{}
	for _, p := range parts {
		all[p.key] += p.replicas
	}
	var out []StageEnd
	for _, p := range parts {
		g, ended := groups[p.key]
		if !ended {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Job != p.key.job || out[n-1].Group != p.key.group {
			out = append(out, StageEnd{Job: p.key.job, Group: p.key.group})
		}
		if p.place.SizeGB = g.OutputGB * p.replicas / all[p.key]; p.place.SizeGB > 0 && p.place.Provider != "" {
			end := &out[len(out)-1]
			end.Places = append(end.Places, p.place)
		}
	}
	return out, nil
}

// comesAfter says whether a group waits, over whatever stages, for another.
func (j *jobRow) comesAfter(group, before string) bool {
	for _, name := range j.groups[group].after {
		if name == before || j.comesAfter(name, before) {
			return true
		}
	}
	return false
}

// failedStages finds, for jobs that have failed, the groups that did.
func (w *world) failedStages(ctx context.Context, failed []purser.JobID) (map[purser.JobID][]string, error) {
	keys, err := collect(ctx, w, func(row pgx.CollectableRow) (k groupKey, err error) {
		return k, row.Scan(&k.job, &k.group)
	}, "select distinct job, group_name from tasks where job = any($1) and newest and state = 'failed' order by 1, 2", texts(failed))
	out := map[purser.JobID][]string{}
	for _, k := range keys {
		out[k.job] = append(out[k.job], k.group)
	}
	return out, err
}

// whyStopped is why a task of a job ends, of which groups have failed.
func (w *world) whyStopped(t *taskRow, failed []string) string {
	j := w.jobs[t.Job]
	if i := slices.IndexFunc(failed, func(name string) bool { return j.comesAfter(t.Group, name) }); i >= 0 {
		return fmt.Sprintf("the stage %s, which it comes after, has failed", failed[i])
	}
	return "another task of the job has failed"
}
