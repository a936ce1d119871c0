package app

import (
	"slices"
	"time"

	"purser"
)

// demandLead is how long before a higher demand machines for it are asked for: they take
// minutes to start, and what runs on them has to load.
const demandLead = 10 * time.Minute

// demandInForce gives jobs whose services ask for the demand of now and of the next
// minutes, whichever is higher, at all hours.
func demandInForce(jobs []purser.Job, now time.Time) []purser.Job {
	jobs = slices.Clone(jobs)
	for j := range jobs {
		if !slices.ContainsFunc(jobs[j].Groups, func(g purser.TaskGroup) bool { return len(g.DemandHours) > 0 }) {
			continue
		}
		jobs[j].Groups = slices.Clone(jobs[j].Groups)
		for k := range jobs[j].Groups {
			g := &jobs[j].Groups[k]
			g.Demand = max(demandAt(*g, now), demandAt(*g, now.Add(demandLead)))
			g.DemandHours, g.TimeZone = nil, ""
		}
	}
	return jobs
}

// demandAt is a group's demand at a moment. In a time zone that is not known here it is
// the highest of all hours.
func demandAt(g purser.TaskGroup, at time.Time) float64 {
	if len(g.DemandHours) == 0 {
		return g.Demand
	}
	zone, err := time.LoadLocation(g.TimeZone)
	if err != nil {
		return g.MaxDemand()
	}
	return g.DemandAt(at.In(zone))
}
