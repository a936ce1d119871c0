package jobfile

import (
	"strconv"
	"strings"
)

// nounFields maps the paths that purser.Job.Check uses within a group to fields
// of the file, best first. Paths that are spelt alike in both are not listed.
var nounFields = map[string][]string{
	"demand_rps":             {"demand"},
	"demand_hours":           {"demand_at"},
	"run_time":               {"run_time", "work"},
	"run":                    {"command", "image"},
	"where.max_usd_per_hour": {"max_price"},
	"where.compliance":       {"compliance"},
	"max_latency":            {"max_latency", "users"},
	"users":                  {"users", "max_latency"},
	"data.size_gb":           {"data"},
	"data.storage":           {"data"},
	"data.load_time":         {"data"},
	"checkpoint.size_gb":     {"checkpoint"},
	"checkpoint.storage":     {"checkpoint"},
	"spread":                 {"spread"},
	"spread.level":           {"spread"},
	"spread.share":           {"spread"},
	"survive.level":          {"survive"},
	"survive.share":          {"survive"},
	"survive.failures":       {"survive"},
	"deadline":               {"deadline", "work", "run_time"},
	"variants":               {"variants", "any_of", "accelerators"},
	"devices":                {"accelerators"},
	"accelerator":            {"accelerators"},
	"sizes":                  {"replicas"},
	"output_gb":              {"output"},
	"exchange":               {"federated"},
	"gang":                   {"gang", "replicas"},
}

// find gives the value of the file that a path of the noun came from: the field
// itself, or what encloses it when the field was not written.
func (j *job) find(path string) value {
	rest, ok := strings.CutPrefix(path, "groups[")
	if !ok {
		return j.written.find(j.at, path)
	}
	i, rest, ok := index(rest)
	if !ok || i >= len(j.groups) {
		return j.at
	}
	g := &j.groups[i]
	if inner, ok := strings.CutPrefix(rest, "variants["); ok {
		k, field, ok := index(inner)
		if ok && k < len(g.origins) {
			e := g.entries[g.origins[k]]
			return e.written.find(e.at, field)
		}
	}
	return g.written.find(g.at, rest)
}

// index reads "3].rest".
func index(s string) (i int, rest string, ok bool) {
	digits, rest, ok := strings.Cut(s, "]")
	i, err := strconv.Atoi(digits)
	return i, strings.TrimPrefix(rest, "."), ok && err == nil && i >= 0
}

func (w written) find(enclosing value, path string) value {
	list, _, _ := strings.Cut(path, "[")
	for _, name := range append(nounFields[path], path, list) {
		if v, ok := w[name]; ok {
			return v
		}
	}
	return enclosing
}
