package optimizer

import (
	"slices"

	"purser"
)

// settleStages reads what of a job's stages can be planned now. A group that waits for others has no demand, unless it runs, which
// says that it has begun; one that can begin has the deadline that what comes after it leaves, and reads what earlier ones have left.
func (p *Problem) settleStages() error {
	done := map[purser.JobID]map[string][]purser.Data{}
	for _, s := range p.in.Stages {
		at, ok := p.jobAt[s.Job]
		if !ok {
			return invalid("stages", "there is no live job %s", s.Job)
		}
		if g := groupIndex(p.jobs[at], s.Group); g < 0 || p.jobs[at].Groups[g].Kind != purser.Training {
			return invalid("stages", "the job %s has no training group %s", s.Job, s.Group)
		}
		if done[s.Job] == nil {
			done[s.Job] = map[string][]purser.Data{}
		}
		for _, d := range s.Outputs {
			if !(d.SizeGB >= 0) {
				return invalid("stages", "the output of %s/%s has no size", s.Job, s.Group)
			}
		}
		done[s.Job][s.Group] = s.Outputs
	}
	running := map[purser.JobID][]string{}
	for _, h := range p.in.Held {
		for _, pl := range h.Placements {
			running[pl.Job] = append(running[pl.Job], pl.Group)
		}
	}
	p.blocked = map[groupKey]bool{}
	for i := range p.jobs {
		job := &p.jobs[i]
		if !job.Staged() {
			continue
		}
		ends := job.LatestEnds()
		job.Groups = slices.Clone(job.Groups)
		for g := range job.Groups {
			group := &job.Groups[g]
			group.Inputs = nil
			for _, name := range group.After {
				outputs, ended := done[job.ID][name]
				if !ended && !slices.Contains(running[job.ID], group.Name) {
					p.blocked[groupKey{i, g}] = true
				}
				group.Inputs = append(group.Inputs, outputs...)
			}
			if group.Kind == purser.Training {
				group.Deadline = ends[g]
			}
		}
	}
	return nil
}
