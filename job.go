package purser

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// JobID names a job for good. (Project, Name) is its key for users.
type JobID string

// Job is one workload of a user: one or more task groups under a name.
type Job struct {
	ID          JobID             `json:"id,omitempty"`
	Project     string            `json:"project"`
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Priority    int               `json:"priority,omitempty"` // higher goes first when not everything fits; -1000 to 1000
	Groups      []TaskGroup       `json:"groups"`
	State       JobState          `json:"state,omitempty"`
	SubmittedAt time.Time         `json:"submitted_at,omitzero"`
	EndedAt     time.Time         `json:"ended_at,omitzero"`
}

// JobState follows from the job's tasks, see StateOf.
type JobState string

// The states of a job. A service has no success, only running and ended.
const (
	JobQueued    JobState = "queued"    // no task has started
	JobRunning   JobState = "running"   // at least one task is placed or running
	JobSucceeded JobState = "succeeded" // every training task succeeded
	JobFailed    JobState = "failed"    // a task failed and has no attempt left
	JobCancelled JobState = "cancelled" // the user ended it
)

// Ended says whether the state is final.
func (s JobState) Ended() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

// GroupKind says how a task group's work is counted.
type GroupKind string

// The kinds of task group.
const (
	Training  GroupKind = "training"  // runs to an end
	Inference GroupKind = "inference" // serves a rate until it is ended
)

// TaskGroup is the uniform part of a job: replicas that are alike.
type TaskGroup struct {
	Name     string    `json:"name"`
	Kind     GroupKind `json:"kind"`
	Variants []Variant `json:"variants"`           // the ways to run one replica; at least one
	Replicas int       `json:"replicas,omitempty"` // copies; for inference 0 lets the demand decide
	Gang     bool      `json:"gang,omitempty"`     // all replicas or none, in one zone
	Sizes    []int     `json:"sizes,omitempty"`    // of a gang: copies that the plan chooses from, ascending, Replicas being the least; empty: Replicas
	Scaling  Scaling   `json:"scaling,omitzero"`   // training: what n replicas together keep of their speed
	Spread   Spread    `json:"spread,omitzero"`    // of training: how replicas are kept apart

	// MinQuality is the accuracy floor, in the unit of Variant.Quality: variants below it are not run. 0: none.
	MinQuality float64 `json:"min_quality,omitempty"`

	// Training.
	RunTime    time.Duration `json:"run_time_ns,omitempty"` // of a replica on a variant with Throughput 0
	Work       float64       `json:"work,omitempty"`        // of the whole group, in the unit of Variant.Throughput × 1 h
	Deadline   time.Time     `json:"deadline,omitzero"`
	CanWait    time.Duration `json:"can_wait_ns,omitempty"` // for how long after it was submitted a replica need not begin yet, where that costs less; 0: it begins as soon as it can
	Checkpoint Checkpoint    `json:"checkpoint,omitzero"`
	Retries    int           `json:"retries,omitempty"` // further attempts after a failure of the command itself

	// Inference.
	Demand      float64       `json:"demand_rps,omitempty"`   // requests per second
	DemandHours []DemandHours `json:"demand_hours,omitempty"` // other demands at certain hours of each day
	TimeZone    string        `json:"time_zone,omitempty"`    // of DemandHours, by its IANA name; empty: UTC
	Headroom    float64       `json:"headroom,omitempty"`     // 0.2 provisions 20 % above Demand
	Survive     Survive       `json:"survive,omitzero"`
	MaxReplicas int           `json:"max_replicas,omitempty"` // 0: no maximum
	Port        int           `json:"port,omitempty"`         // where a replica listens; 0: nowhere

	// A replica farther from the users than MaxLatency is of no use to them, so none is placed there.
	Users      []Users    `json:"users,omitempty"`
	MaxLatency MaxLatency `json:"max_latency,omitzero"`

	// Stages.
	After    []string `json:"after,omitempty"`     // groups of the job that have to succeed before this one begins
	OutputGB float64  `json:"output_gb,omitempty"` // 10⁹ bytes that it leaves where it ran, and that each replica of a group after it reads

	Where    Where    `json:"where,omitzero"`
	Run      Run      `json:"run"`
	Data     Data     `json:"data,omitzero"`
	Exchange Exchange `json:"exchange,omitzero"` // training: what it tells an aggregator and is told
	Inputs   []Data   `json:"inputs,omitempty"`  // what earlier stages have left, and where; filled in for a plan, not by users
}

// Variant is one way to run a replica: a model form on an accelerator shape.
type Variant struct {
	Name            string       `json:"name"`
	Accelerator     string       `json:"accelerator,omitempty"` // canonical name; empty for CPU-only
	Devices         MilliDevices `json:"milli_devices,omitempty"`
	DeviceMemoryMiB int64        `json:"device_memory_mib,omitempty"` // least memory of a whole device; 0: any
	MilliCPU        int64        `json:"milli_cpu,omitempty"`
	MemoryMiB       int64        `json:"memory_mib,omitempty"`
	Throughput      float64      `json:"throughput,omitempty"` // per replica: work per hour (training), requests per second (inference); of a variant with stages, of all its stages together
	Stages          int          `json:"stages,omitempty"`     // replicas that hold one copy of the model together, a part each (training); 0 and 1: it is whole
	Quality         float64      `json:"quality,omitempty"`    // what the user measured of this form of the model, more is better: 0.912
}

// Checkpoint says how a training task saves its state.
type Checkpoint struct {
	Path    string        `json:"path,omitempty"`       // folder that the task writes checkpoints to; empty: starts over
	Every   time.Duration `json:"every_ns,omitempty"`   // how often it writes one
	Cost    time.Duration `json:"cost_ns,omitempty"`    // how long writing blocks it (δ)
	Restart time.Duration `json:"restart_ns,omitempty"` // how long starting from one takes (r)
	SizeGB  float64       `json:"size_gb,omitempty"`    // what is kept of them at a time, 10⁹ bytes
	Storage StorageClass  `json:"storage,omitempty"`    // standard or nvme
}

// Survive is the failover policy: after the loss of any Failures domains of the
// level at once, Share of the demand is still served (κ).
type Survive struct {
	Level    DomainLevel `json:"level,omitempty"`
	Share    float64     `json:"share,omitempty"`
	Failures int         `json:"failures,omitempty"` // 0 means 1 (N+1), 2 is N+2
}

// MaxFailures is the most domains that a service can be asked to lose at once.
const MaxFailures = 8

// Lost is how many domains may be lost at once: none without a level.
func (s Survive) Lost() int {
	if s.Level == DomainNone {
		return 0
	}
	return max(s.Failures, 1)
}

// Spread keeps replicas apart: at most Max of a group lie in one domain of the level,
// or where that is 0, ⌈Share·n⌉ of its n replicas.
type Spread struct {
	Level DomainLevel `json:"level,omitempty"`
	Share float64     `json:"share,omitempty"` // above 0, at most 1
	Max   int         `json:"max,omitempty"`
}

// Most is how many of n replicas may lie in one domain.
func (s Spread) Most(n int) int {
	switch {
	case s.Level == DomainNone:
		return n
	case s.Max > 0:
		return s.Max
	}
	return max(1, int(math.Ceil(s.Share*float64(n)-1e-9)))
}

func (s Spread) check(bad func(field, message string) error) error {
	switch {
	case s == Spread{}:
		return nil
	case !slices.Contains(DomainLevels(), s.Level):
		return bad("spread.level", "replicas are kept apart by zone, region, provider, site, spot_pool or machine")
	case s.Max < 0 || !(s.Share >= 0 && s.Share <= 1) || (s.Max > 0) == (s.Share > 0):
		return bad("spread.share", "give the share that may lie in one domain, above 0 and at most 1, or the most replicas")
	}
	return nil
}

// Where limits the offers that may serve a group. Empty lists allow all.
type Where struct {
	Providers   []string         `json:"providers,omitempty"`
	Regions     []string         `json:"regions,omitempty"` // a trailing * matches any ending
	Zones       []string         `json:"zones,omitempty"`
	Countries   []string         `json:"countries,omitempty"`        // residency: ISO 3166 alpha-2, or EU for its members
	Options     []PurchaseOption `json:"purchase_options,omitempty"` // e.g. no spot
	MaxPerHour  USDPerHour       `json:"max_usd_per_hour,omitempty"` // ceiling for the price of a whole machine
	NoProviders []string         `json:"not_providers,omitempty"`
	NoRegions   []string         `json:"not_regions,omitempty"`

	// What offers do not say of themselves, see Atlas.Allows.
	Confidential bool     `json:"confidential,omitempty"` // machines that can run as confidential ones
	Compliance   []string `json:"compliance,omitempty"`   // with all of these, of ComplianceRules
}

// Run is what a task executes.
type Run struct {
	Command string            `json:"command,omitempty"` // given to a shell
	Image   string            `json:"image,omitempty"`
	Setup   string            `json:"setup,omitempty"` // runs once per task before Command
	Workdir string            `json:"workdir,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Files   []File            `json:"files,omitempty"`
}

// File is brought into the task's working directory before Setup.
type File struct {
	Path    string `json:"path"` // relative to the working directory
	Content []byte `json:"content"`
	Mode    uint32 `json:"mode,omitempty"` // permission bits; 0 means 0644
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// ValidName says whether s can name a project, a job or a group: up to 63 of
// a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit.
func ValidName(s string) bool { return nameForm.MatchString(s) }

// Limits on one job, so that a slip of the pen does not become a bill.
const (
	MaxReplicasPerGroup = 100_000
	MaxGroupsPerJob     = 1_000
	MaxVariantsPerGroup = 200
	MaxStages           = 1_000
	maxAmount           = 1e12

	// MaxWait is the longest that a training group can be let wait.
	MaxWait = 366 * 24 * time.Hour
)

// Check says what is wrong with the job, with the path of the field, or nil.
func (j Job) Check() error {
	if !ValidName(j.Name) {
		return fieldError("name", "a name is up to 63 of a-z, 0-9, '.', '_' and '-', and begins and ends with a letter or digit")
	}
	if !ValidName(j.Project) {
		return fieldError("project", "a project is named like a job: a-z, 0-9, '.', '_' and '-'")
	}
	if j.Priority < -1000 || j.Priority > 1000 {
		return fieldError("priority", "a priority lies between -1000 and 1000")
	}
	if len(j.Groups) == 0 {
		return fieldError("groups", "a job needs at least one task group")
	}
	if len(j.Groups) > MaxGroupsPerJob {
		return fieldError("groups", fmt.Sprintf("a job has at most %d task groups", MaxGroupsPerJob))
	}
	seen := map[string]bool{}
	for i, g := range j.Groups {
		if seen[g.Name] {
			return fieldError(fmt.Sprintf("groups[%d].name", i), fmt.Sprintf("two groups are named %q", g.Name))
		}
		seen[g.Name] = true
		if err := g.check(fmt.Sprintf("groups[%d].", i)); err != nil {
			return err
		}
	}
	return j.checkStages()
}

func fieldError(path, message string) error {
	return &Error{Kind: KindInvalid, Op: "purser.Job.Check", Message: message, Place: &Place{Path: path}}
}

func (g TaskGroup) check(at string) error {
	bad := func(field, message string) error { return fieldError(at+field, message) }
	switch {
	case !ValidName(g.Name):
		return bad("name", "a group is named like a job: a-z, 0-9, '.', '_' and '-'")
	case g.Kind != Training && g.Kind != Inference:
		return bad("kind", "a group is either training or inference")
	case len(g.Variants) == 0:
		return bad("variants", "a group needs at least one variant to run")
	case len(g.Variants) > MaxVariantsPerGroup:
		return bad("variants", fmt.Sprintf("a group has at most %d variants", MaxVariantsPerGroup))
	case g.Replicas < 0 || g.Replicas > MaxReplicasPerGroup:
		return bad("replicas", fmt.Sprintf("replicas lie between 0 and %d", MaxReplicasPerGroup))
	case g.Retries < 0 || g.Retries > 1000:
		return bad("retries", "retries lie between 0 and 1000")
	case g.Run.Command == "" && g.Run.Image == "":
		return bad("run", "there is nothing to run: give a command or an image")
	case g.Port < 0 || g.Port > 65535:
		return bad("port", "a port lies between 1 and 65535")
	case !(g.Data.SizeGB >= 0 && g.Data.SizeGB <= maxDataGB):
		return bad("data.size_gb", "a size of data lies between 0 and an exabyte, in GB")
	case g.Where.MaxPerHour < 0:
		return bad("where.max_usd_per_hour", "a price ceiling must not be negative")
	case !(g.MinQuality >= 0 && g.MinQuality <= maxAmount):
		return bad("min_quality", "an accuracy floor is a number, not negative")
	}
	if wrong := checkCompliance(g.Where.Compliance); wrong != "" {
		return bad("where.compliance", wrong)
	}
	for _, check := range []func() (field, message string){g.checkLatency, g.checkStorage} {
		if field, wrong := check(); wrong != "" {
			return bad(field, wrong)
		}
	}
	for i, v := range g.Variants {
		if err := v.check(fmt.Sprintf("%svariants[%d].", at, i)); err != nil {
			return err
		}
		if g.MinQuality > 0 && v.Quality == 0 {
			return bad(fmt.Sprintf("variants[%d].quality", i), "an accuracy floor needs the quality of each variant: Purser does not guess")
		}
	}
	if g.Kind == Training {
		return g.checkTraining(bad)
	}
	return g.checkInference(bad)
}

func (g TaskGroup) checkTraining(bad func(field, message string) error) error {
	switch {
	case g.Replicas == 0:
		return bad("replicas", "a training group needs at least one replica")
	case g.CanWait < 0 || g.CanWait > MaxWait:
		return bad("can_wait", "a time to wait lies between 0 and 366 days")
	case g.RunTime < 0:
		return bad("run_time", "a run time must not be negative")
	case !(g.Work >= 0 && g.Work <= maxAmount):
		return bad("work", "work is a number, not negative")
	case g.RunTime == 0 && g.Work == 0:
		return bad("run_time", "give a run time, or work and a throughput for each variant: Purser does not guess")
	case g.Demand != 0 || len(g.DemandHours) > 0 || g.TimeZone != "" || g.Survive.Level != "":
		return bad("demand_rps", "demand and failover belong to inference groups")
	case g.Exchange.check() != "":
		return bad("exchange", g.Exchange.check())
	case g.Checkpoint.Every < 0 || g.Checkpoint.Cost < 0 || g.Checkpoint.Restart < 0:
		return bad("checkpoint", "checkpoint times must not be negative")
	}
	if g.Gang && g.Spread.Level != DomainNone {
		return bad("spread", "a gang lies in one zone together; its replicas cannot be kept apart")
	}
	if err := g.Spread.check(bad); err != nil {
		return err
	}
	if err := g.checkGang(bad); err != nil {
		return err
	}
	for i, v := range g.Variants {
		if (g.RunTime == 0 || g.Varies()) && v.Throughput == 0 {
			return bad(fmt.Sprintf("variants[%d].throughput", i), "work needs a throughput for each variant")
		}
	}
	return nil
}

func (g TaskGroup) checkInference(bad func(field, message string) error) error {
	switch {
	case !(g.Demand >= 0 && g.Demand <= maxAmount):
		return bad("demand_rps", "demand is a number of requests per second, not negative")
	case g.Demand == 0 && g.Replicas == 0:
		return bad("demand_rps", "give a demand in requests per second, or a number of replicas")
	case g.Gang, len(g.Sizes) > 0:
		return bad("gang", "an inference group cannot be a gang")
	case g.Scaling.Given():
		return bad("scaling", "scaling belongs to training groups")
	case g.Exchange != Exchange{}:
		return bad("exchange", "rounds of federated training belong to training groups")
	case g.Spread != Spread{}:
		return bad("spread", "an inference group is kept apart by what it has to survive")
	case !(g.Headroom >= 0 && g.Headroom <= 100):
		return bad("headroom", "headroom is a share such as 0.2, between 0 and 100")
	case !(g.Survive.Share >= 0 && g.Survive.Share <= 1):
		return bad("survive.share", "the share that survives lies between 0 and 1")
	case g.Survive.Level == DomainNone && g.Survive.Share > 0:
		return bad("survive.level", "say what may fail: zone, region, provider, site, spot_pool or machine")
	case g.Survive.Level != DomainNone && !slices.Contains(DomainLevels(), g.Survive.Level):
		return bad("survive.level", "what may fail is a zone, a region, a provider, a site, a spot_pool or a machine")
	case g.Survive.Failures < 0 || g.Survive.Failures > MaxFailures, g.Survive.Failures > 0 && g.Survive.Level == DomainNone:
		return bad("survive.failures", fmt.Sprintf("the number that may fail at once lies between 1 and %d, and belongs to a level", MaxFailures))
	case g.MaxReplicas < 0 || (g.MaxReplicas > 0 && g.MaxReplicas < g.Replicas):
		return bad("max_replicas", "the most replicas cannot be fewer than the least")
	case !g.Deadline.IsZero() || g.Work != 0 || g.RunTime != 0:
		return bad("deadline", "deadline, work and run time belong to training groups")
	case g.CanWait != 0:
		return bad("can_wait", "only training can wait: a service serves from the start")
	}
	for i, v := range g.Variants {
		if g.Demand > 0 && v.Throughput == 0 {
			return bad(fmt.Sprintf("variants[%d].throughput", i), "a demand needs the requests per second that one replica of each variant serves")
		}
		if v.Stages > 1 {
			return bad(fmt.Sprintf("variants[%d].stages", i), "a replica of a service is one machine: its model is split over devices, not over machines")
		}
	}
	return g.checkHours(bad)
}

func (v Variant) check(at string) error {
	bad := func(field, message string) error { return fieldError(at+field, message) }
	switch {
	case v.Name == "":
		return bad("name", "a variant needs a name")
	case !v.Devices.ValidShare():
		return bad("devices", "devices are a whole number, or 0.5, 0.25 or 0.125 of one")
	case v.Devices > 1_000_000*OneDevice:
		return bad("devices", "that is more devices than any machine has")
	case (v.Accelerator == "") != (v.Devices == 0):
		return bad("accelerator", "an accelerator and a number of devices belong together")
	case v.MilliCPU < 0 || v.MilliCPU > 1e9:
		return bad("cpus", "vCPUs lie between 0 and 1,000,000")
	case v.MemoryMiB < 0 || v.MemoryMiB > maxMiB:
		return bad("memory", "memory lies between 0 and 1 PiB")
	case v.DeviceMemoryMiB < 0 || v.DeviceMemoryMiB > maxMiB:
		return bad("device_memory", "memory lies between 0 and 1 PiB")
	case v.Devices == 0 && v.MilliCPU == 0 && v.MemoryMiB == 0:
		return bad("cpus", "a replica needs something: devices, vCPUs or memory")
	case !(v.Throughput >= 0 && v.Throughput <= maxAmount):
		return bad("throughput", "a throughput is a number, not negative")
	case !(v.Quality >= 0 && v.Quality <= maxAmount):
		return bad("quality", "a quality is a number, not negative; more is better")
	case v.Stages < 0 || v.Stages > MaxStages:
		return bad("stages", fmt.Sprintf("stages lie between 1 and %d", MaxStages))
	}
	if v.Accelerator != "" {
		if _, ok := AcceleratorNamed(v.Accelerator); !ok {
			return bad("accelerator", fmt.Sprintf("%q is not an accelerator that Purser knows", clip(v.Accelerator)))
		}
	}
	return nil
}

// Allows gives the reason why the limits refuse the offer by what it says of itself,
// or "". The reason is one of the Reason constants. Atlas.Allows knows the rest.
func (w Where) Allows(o Offer) RefusalReason {
	switch {
	case len(w.Providers) > 0 && !slices.Contains(w.Providers, o.Provider), slices.Contains(w.NoProviders, o.Provider):
		return ReasonProvider
	case len(w.Regions) > 0 && !matchAny(w.Regions, o.Region), matchAny(w.NoRegions, o.Region),
		len(w.Zones) > 0 && !slices.Contains(w.Zones, o.Zone):
		return ReasonRegion
	case len(w.Countries) > 0 && !inCountries(w.Countries, o.Country):
		return ReasonResidency
	case len(w.Options) > 0 && !slices.Contains(w.Options, o.Option):
		return ReasonOption
	case w.MaxPerHour > 0 && o.UnitPrice > w.MaxPerHour:
		return ReasonPriceCeiling
	}
	return ""
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if pre, ok := strings.CutSuffix(p, "*"); (ok && strings.HasPrefix(s, pre)) || p == s {
			return true
		}
	}
	return false
}

// euCountries are the members of the European Union, ISO 3166 alpha-2.
const euCountries = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"

func inCountries(list []string, country string) bool {
	if country == "" {
		return false // a place that is not known satisfies no residency rule
	}
	return slices.Contains(list, country) || (slices.Contains(list, "EU") && strings.Contains(" "+euCountries+" ", " "+country+" "))
}
